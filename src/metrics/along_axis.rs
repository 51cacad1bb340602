use super::base::{Base, default_is_new, metric_access, metric_setters};
use super::mean::{MeanCounter, Values};
use super::{Counter, Direction, Metric, shapes};
use crate::{Axes, Result, losses::EPSILON};
use candle_core::Tensor;
use serde::{Deserialize, Serialize};

/// The mean of a number that compares targets with outputs along axes.
macro_rules! along_axis {
    ($(#[$documentation:meta])* $class:ident, $name:literal, $formula:ident) => {
        $(#[$documentation])*
        ///
        /// # Shapes
        /// `y_true` and `y_pred` (batch, .., outputs), both of one shape.
        ///
        /// # Defaults
        /// Along the last axis, so that every sample has a number of its own, or each of its rows.
        /// Axis 0 compares a batch's samples, and the result depends on the batches.
        ///
        /// # Errors
        /// `fit` and `evaluate` fail for targets of another shape and an axis that is none.
        #[doc = concat!("\nKeras: `", stringify!($class), "`.")]
        #[derive(Debug, Clone, Serialize, Deserialize)]
        pub struct $class {
            axis: Axes,
            #[serde(flatten)]
            base: Base,
        }

        impl $class {
            /// Along the last axis.
            pub fn new() -> Self {
                Self {
                    axis: Axes::One(-1),
                    base: Base::new($name),
                }
            }

            /// The axis along which numbers are compared, or several, `[1, 2]`: 0 is the batch's, -1
            /// the last.
            pub fn axis(mut self, axis: impl Into<Axes>) -> Self {
                self.axis = axis.into();
                self
            }

            metric_setters!();

            fn values(&self) -> AlongAxis {
                AlongAxis {
                    axis: self.axis.clone(),
                    formula: $formula,
                }
            }
        }

        default_is_new!($class);

        impl Metric for $class {
            metric_access!(stringify!($class), Some(Direction::Up));

            fn counter(&self) -> Box<dyn Counter> {
                Box::new(MeanCounter::new(self.values()))
            }

            fn check(&self, target_shape: &[usize], output_shape: &[usize]) -> Result<()> {
                self.values().check(target_shape, output_shape)
            }
        }
    };
}

along_axis! {
    /// The cosine of the angle between targets and outputs: Σ y_true·y_pred, each divided by its
    /// length. 1 is the same direction, -1 the opposite.
    ///
    /// The loss of this name has the other sign.
    ///
    /// ```
    /// use candle_keras::{metrics::{CosineSimilarity, Metric}, prelude::*};
    /// # fn main() -> anyhow::Result<()> {
    /// let mut similarity = CosineSimilarity::new().counter();
    /// let y_true = Tensor::new(&[[0f32, 1.], [1., 1.]], &Device::Cpu)?;
    /// let y_pred = Tensor::new(&[[1f32, 0.], [1., 1.]], &Device::Cpu)?;
    /// similarity.update(&y_true, &y_pred, None)?;
    /// assert!((similarity.result()? - 0.5).abs() < 1e-6);
    /// # Ok(()) }
    /// ```
    CosineSimilarity, "cosine_similarity", cosine
}

along_axis! {
    /// Pearson's correlation of a sample's targets and outputs: the mean of their products, each
    /// less its mean and divided by its standard deviation. NaN where one does not vary.
    ///
    /// ```
    /// use candle_keras::{metrics::{Metric, PearsonCorrelation}, prelude::*};
    /// # fn main() -> anyhow::Result<()> {
    /// let mut correlation = PearsonCorrelation::new().counter();
    /// let y_true = Tensor::new(&[[0f32, 1., 0.5], [1., 1., 0.2]], &Device::Cpu)?;
    /// let y_pred = Tensor::new(&[[0.1f32, 0.9, 0.5], [1., 0.9, 0.2]], &Device::Cpu)?;
    /// correlation.update(&y_true, &y_pred, None)?;
    /// assert!((correlation.result()? - 0.996700).abs() < 1e-6);
    /// # Ok(()) }
    /// ```
    PearsonCorrelation, "pearson_correlation", pearson
}

along_axis! {
    /// Lin's concordance of a sample's targets and outputs, their correlation less what differs
    /// in mean and spread: mean 2·(y_true - m)·(y_pred - m) / (var y_true + var y_pred +
    /// (mean y_true - m)² + 1e-7), where m is the outputs' mean.
    ///
    /// Keras takes the outputs' mean from the targets as well; Lin takes the targets' own.
    ///
    /// ```
    /// use candle_keras::{metrics::{ConcordanceCorrelation, Metric}, prelude::*};
    /// # fn main() -> anyhow::Result<()> {
    /// let mut correlation = ConcordanceCorrelation::new().counter();
    /// let y_true = Tensor::new(&[[0f32, 1., 0.5], [1., 1., 0.2]], &Device::Cpu)?;
    /// let y_pred = Tensor::new(&[[0.1f32, 0.9, 0.5], [1., 0.9, 0.2]], &Device::Cpu)?;
    /// correlation.update(&y_true, &y_pred, None)?;
    /// assert!((correlation.result()? - 0.9816320).abs() < 1e-6);
    /// # Ok(()) }
    /// ```
    ConcordanceCorrelation, "concordance_correlation", concordance
}

/// A number for everything along axes, by a formula of (targets, outputs, axes).
#[derive(Debug)]
struct AlongAxis {
    axis: Axes,
    formula: fn(&Tensor, &Tensor, &[usize]) -> Result<Tensor>,
}

impl Values for AlongAxis {
    fn check(&self, target: &[usize], output: &[usize]) -> Result<()> {
        shapes::same(target, output)?;
        let output = shapes::compared(target, output);
        self.axis.resolve(output.len() + 1).map(drop)
    }

    fn values(&self, y_true: &Tensor, y_pred: &Tensor) -> Result<Tensor> {
        (self.formula)(y_true, y_pred, &self.axis.resolve(y_pred.rank())?)
    }
}

fn cosine(y_true: &Tensor, y_pred: &Tensor, axes: &[usize]) -> Result<Tensor> {
    let products = (normalized(y_true, axes)? * normalized(y_pred, axes)?)?;
    Ok(products.sum(axes)?)
}

/// Numbers divided by their length along axes, of which Keras takes at least its epsilon.
fn normalized(numbers: &Tensor, axes: &[usize]) -> Result<Tensor> {
    let length = numbers.sqr()?.sum_keepdim(axes)?.sqrt()?.maximum(EPSILON)?;
    Ok(numbers.broadcast_div(&length)?)
}

fn pearson(y_true: &Tensor, y_pred: &Tensor, axes: &[usize]) -> Result<Tensor> {
    let standard = |numbers: &Tensor| -> Result<Tensor> {
        let centred = numbers.broadcast_sub(&numbers.mean_keepdim(axes)?)?;
        let deviation = variance(&centred, axes)?.sqrt()?;
        Ok(centred.broadcast_div(&deviation)?)
    };
    Ok((standard(y_true)? * standard(y_pred)?)?.mean(axes)?)
}

fn concordance(y_true: &Tensor, y_pred: &Tensor, axes: &[usize]) -> Result<Tensor> {
    let (true_mean, pred_mean) = (y_true.mean_keepdim(axes)?, y_pred.mean_keepdim(axes)?);
    let products = (y_true.broadcast_sub(&pred_mean)? * y_pred.broadcast_sub(&pred_mean)?)?;
    let spread = (variance(y_true, axes)? + variance(y_pred, axes)?)?;
    let spread = (spread + (true_mean - pred_mean)?.sqr()?)?;
    let shares = (products * 2.0)?.broadcast_div(&(spread + EPSILON)?)?;
    Ok(shares.mean(axes)?)
}

/// The mean of the squared distances from the mean, along axes that are kept.
fn variance(numbers: &Tensor, axes: &[usize]) -> Result<Tensor> {
    let distances = numbers.broadcast_sub(&numbers.mean_keepdim(axes)?)?;
    Ok(distances.sqr()?.mean_keepdim(axes)?)
}
