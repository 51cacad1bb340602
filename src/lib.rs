//! tour
pub mod activations;
pub mod callbacks;
mod data;
pub mod datasets;
mod device;
mod error;
pub mod initializers;
pub mod layers;
pub mod losses;
pub mod metrics;
mod model;
mod ops;
pub mod optimizers;
pub mod seed;
mod training;
pub mod weights;

pub use data::Data;
pub use datasets::to_categorical;
pub use device::device;
pub use error::{Error, Result};
pub use model::{Sequential, Summary};
pub use training::{Evaluate, Fit, History, Logs};

/// All that a program of the usual kind needs.
pub mod prelude {
    pub use crate::activations::{Elu, LeakyRelu, Linear, Relu, Sigmoid, Softmax, Tanh};
    pub use crate::datasets::{self, to_categorical};
    pub use crate::layers::{Activation, Dense, Dropout, Flatten, Input};
    pub use crate::losses::{
        BinaryCrossentropy, CategoricalCrossentropy, MeanSquaredError,
        SparseCategoricalCrossentropy,
    };
    pub use crate::metrics::Accuracy;
    pub use crate::optimizers::{Adam, Sgd};
    pub use crate::{Data, Evaluate, Fit, History, Logs, Sequential};
    pub use candle_core::{DType, Device, Tensor};
}
