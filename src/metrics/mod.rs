//! Metrics: what is counted while a model trains, and the trait for metrics of your own.

mod accuracy;
mod running_mean;

pub use accuracy::Accuracy;
pub use running_mean::RunningMean;

use crate::Result;
use candle_core::Tensor;
use std::fmt::Debug;

/// A number over all samples of an epoch: its name, and how to count.
///
/// ```
/// use candle_keras::prelude::*;
/// use candle_keras::metrics::{Counter, Metric, RunningMean};
///
/// /// The mean of the greatest output.
/// #[derive(Debug)]
/// struct Confidence;
///
/// impl Metric for Confidence {
///     fn name(&self) -> &str {
///         "confidence"
///     }
///     fn counter(&self) -> Box<dyn Counter> {
///         Box::new(ConfidenceCounter::default())
///     }
/// }
///
/// #[derive(Debug, Default)]
/// struct ConfidenceCounter(RunningMean);
///
/// impl Counter for ConfidenceCounter {
///     fn update(&mut self, _y_true: &Tensor, y_pred: &Tensor) -> candle_keras::Result<()> {
///         self.0.add(&y_pred.max(1)?)
///     }
///     fn result(&mut self) -> candle_keras::Result<f64> {
///         self.0.result()
///     }
/// }
/// ```
pub trait Metric: Debug + Send + Sync {
    /// The name in logs and history: `accuracy`. Validation puts `val_` before it.
    fn name(&self) -> &str;

    /// A counter that has seen no sample; every epoch and every evaluation takes a new one.
    fn counter(&self) -> Box<dyn Counter>;
}

/// A metric's count of the samples so far.
pub trait Counter: Debug + Send + Sync {
    /// Counts the samples of a batch, from their targets, which come as a loss gets them, and the
    /// model's outputs.
    ///
    /// # Errors
    /// When candle's operations fail.
    fn update(&mut self, y_true: &Tensor, y_pred: &Tensor) -> Result<()>;

    /// The number so far; NaN before the first sample.
    ///
    /// # Errors
    /// When candle's operations fail.
    fn result(&mut self) -> Result<f64>;
}

/// What `compile` takes as metrics: `[Accuracy]`, `(Accuracy, Confidence)` for several types, `()` for none, or a `Vec<Box<dyn Metric>>`.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no list of metrics",
    note = "give metrics in brackets: `[Accuracy]`, `(Accuracy, Mine)` for several types, `()` for none"
)]
pub trait Metrics {
    /// The metrics in order.
    fn into_metrics(self) -> Vec<Box<dyn Metric>>;
}

impl Metrics for () {
    fn into_metrics(self) -> Vec<Box<dyn Metric>> {
        Vec::new()
    }
}

impl Metrics for Vec<Box<dyn Metric>> {
    fn into_metrics(self) -> Vec<Box<dyn Metric>> {
        self
    }
}

impl<M: Metric + 'static, const N: usize> Metrics for [M; N] {
    fn into_metrics(self) -> Vec<Box<dyn Metric>> {
        self.into_iter()
            .map(|metric| Box::new(metric) as Box<dyn Metric>)
            .collect()
    }
}

macro_rules! metrics_of_tuple {
    ($($name:ident)+) => {
        impl<$($name: Metric + 'static),+> Metrics for ($($name,)+) {
            #[allow(non_snake_case, reason = "the type's name serves as the value's")]
            fn into_metrics(self) -> Vec<Box<dyn Metric>> {
                let ($($name,)+) = self;
                vec![$(Box::new($name)),+]
            }
        }
    };
}

metrics_of_tuple!(A);
metrics_of_tuple!(A B);
metrics_of_tuple!(A B C);
metrics_of_tuple!(A B C D);
metrics_of_tuple!(A B C D E);
metrics_of_tuple!(A B C D E F);
