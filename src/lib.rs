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
//! - [`layers`], [`activations`], [`initializers`], [`regularizers`], [`constraints`], [`losses`],
//!   [`metrics`], [`optimizers`] with their [`schedules`](optimizers::schedules), [`callbacks`]: the
//!   parts, each module with the trait for parts of your own. [`catalogue`] lists all classes.
//! - [`Batch`] and [`batches`]: data from a stream.
//! - [`extending`]: a layer, a loss, a metric, an optimizer and a callback of your own.
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
mod axes;
pub mod callbacks;
mod config;
pub mod constraints;
mod custom_objects;
mod data;
pub mod datasets;
mod device;
mod error;
#[doc = include_str!("../docs/extending.md")]
pub mod extending {}
pub mod initializers;
pub mod layers;
pub mod losses;
pub mod metrics;
mod model;
mod ops;
pub mod optimizers;
mod printing;
mod python;
pub mod regularizers;
mod saving;
pub mod seed;
mod shapes;
mod training;
pub mod weights;

pub use axes::Axes;
pub use candle_core;
pub use candle_nn;
pub use config::{Config, catalogue};
pub use custom_objects::CustomObjects;
pub use data::Data;
pub use datasets::to_categorical;
pub use device::device;
pub use error::{Error, Result};
pub use model::{LayerInModel, Predict, Sequential, Summary};
pub use training::{Batch, BatchSource, Evaluate, Fit, History, Logs, OnBatch, batches};

/// All that a program of the usual kind needs: `use candle_keras::prelude::*`.
///
/// Of parts of one name, the activation is here and the layer is `layers::Softmax`, the loss is here
/// and the metric is `metrics::MeanSquaredError`. The traits for parts of your own are in the modules.
pub mod prelude {
    pub use crate::activations::{
        Celu, Elu, Exponential, Gelu, Glu, HardShrink, HardSigmoid, HardSilu, HardTanh, LeakyRelu,
        Linear, LogSigmoid, LogSoftmax, Mish, Relu, Relu6, ReluWith, Selu, Sigmoid, Silu,
        SoftShrink, Softmax, Softplus, Softsign, SparsePlus, SparseSigmoid, Sparsemax, Squareplus,
        Tanh, TanhShrink, Threshold,
    };
    pub use crate::callbacks::{
        BackupAndRestore, CSVLogger, EarlyStopping, LambdaCallback, LearningRateScheduler,
        ModelCheckpoint, ReduceLROnPlateau, TerminateOnNaN,
    };
    pub use crate::datasets::{self, to_categorical};
    pub use crate::layers::{
        Activation, ActivityRegularization, AlphaDropout, BatchNormalization, Dense, Dropout, ELU,
        Embedding, Flatten, GaussianDropout, GaussianNoise, GroupNormalization, Input,
        LayerNormalization, LeakyReLU, Normalization, PReLU, Permute, RMSNormalization, ReLU,
        RepeatVector, Rescaling, Reshape, UnitNormalization,
    };
    pub use crate::losses::{
        BinaryCrossentropy, BinaryFocalCrossentropy, CategoricalCrossentropy,
        CategoricalFocalCrossentropy, CategoricalHinge, CosineSimilarity, Dice, Hinge, Huber,
        KLDivergence, LogCosh, MeanAbsoluteError, MeanAbsolutePercentageError, MeanSquaredError,
        MeanSquaredLogarithmicError, Poisson, SparseCategoricalCrossentropy, SquaredHinge, Tversky,
    };
    pub use crate::metrics::{Accuracy, Weighted};
    pub use crate::optimizers::{
        Adadelta, Adafactor, Adagrad, Adam, AdamW, Adamax, Ftrl, Lamb, Lion, Muon, Nadam, RMSprop,
        Sgd,
    };
    pub use crate::regularizers;
    pub use crate::{
        Batch, Data, Evaluate, Fit, History, Logs, OnBatch, Predict, Sequential, batches,
    };
    pub use crate::{callbacks, constraints, initializers, layers, losses, metrics, optimizers};
    pub use candle_core::{DType, Device, Tensor};
}
