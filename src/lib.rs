//! Keras's `Sequential` for Rust, on Hugging Face's candle.
//!
//! A program reads as it does in Keras: put layers together, compile, fit, evaluate, predict.
//!
//! ```no_run
//! use candle_keras::prelude::*;
//!
//! fn main() -> anyhow::Result<()> {
//!     let device = Device::Cpu; // or Device::new_cuda(0)?
//!     let mnist = datasets::mnist::load_data()?; // u8 images (n, 28, 28), u8 labels
//!     let x_train = mnist.train_images.flatten().scale(1.0 / 255.0)?;
//!     let y_train = to_categorical(&mnist.train_labels, 10)?;
//!     let x_test = mnist.test_images.flatten().scale(1.0 / 255.0)?;
//!     let y_test = to_categorical(&mnist.test_labels, 10)?;
//!
//!     let mut model = Sequential::new()
//!         .add(Input::new(784))
//!         .add(Dense::new(128).activation(Relu))
//!         .add(Dense::new(64).activation(Relu))
//!         .add(Dense::new(10).activation(Softmax))
//!         .seed(42)
//!         .build(&device)?;
//!     model.compile(Sgd::new(0.01).momentum(0.9), CategoricalCrossentropy::new(), [Accuracy])?;
//!     println!("{}", model.summary());
//!
//!     let history = model.fit(
//!         &x_train,
//!         &y_train,
//!         Fit::new().epochs(5).batch_size(64).validation_split(0.1),
//!     )?;
//!     let scores = model.evaluate(&x_test, &y_test)?;
//!     println!("{:.4} {:?}", scores["accuracy"], &history["val_accuracy"]);
//!     let probabilities = model.predict(&x_test.narrow(0, 0, 5)?)?;
//!     println!("{probabilities}");
//!     Ok(())
//! }
//! ```
//!
//! # Where things are
//! - [`Sequential`]: the model, from `add` to `predict`; [`Fit`], [`Evaluate`] and [`Predict`] are
//!   the options, [`History`] and [`Logs`] what comes back.
//! - [`Data`]: samples that stay bytes until a batch is gathered. Wherever samples or targets are
//!   asked for, a `&Tensor` does as well.
//! - [`layers`], [`activations`], [`initializers`], [`losses`], [`metrics`], [`optimizers`],
//!   [`callbacks`]: the parts, each module with the trait for parts of your own.
//! - [`datasets`]: MNIST, Fashion-MNIST, and digits that are always there.
//! - [`device()`]: a device by name, with an error that says what to do.
//!
//! `Tensor`, `Device` and `DType` are candle's own: candle code mixes in anywhere. The crates are
//! here as `candle_keras::candle_core` and `candle_keras::candle_nn`, in the versions that fit.
//!
//! # Features
//! - `datasets` (default): gets MNIST and Fashion-MNIST from the hub through candle-datasets.
//! - `cuda`, `cudnn`, `mkl`, `accelerate`, `metal`: candle's, passed on.

#![deny(missing_docs, unsafe_code)]

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

pub use candle_core;
pub use candle_nn;
pub use data::Data;
pub use datasets::to_categorical;
pub use device::device;
pub use error::{Error, Result};
pub use model::{Predict, Sequential, Summary};
pub use training::{Evaluate, Fit, History, Logs};

/// All that a program of the usual kind needs: `use candle_keras::prelude::*`. The traits for parts
/// of your own, and the initializers, are in the crate's modules.
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
    pub use crate::{Data, Evaluate, Fit, History, Logs, Predict, Sequential};
    pub use candle_core::{DType, Device, Tensor};
}
