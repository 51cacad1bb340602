//! Metrics that are the mean of a loss.

use super::base::{Base, default_is_new, metric_access, metric_setters};
use super::mean::{MeanCounter, Values};
use super::{Counter, Direction, Metric, shapes};
use crate::{
    Config, Result,
    losses::{self, Loss},
};
use candle_core::Tensor;
use serde::{Deserialize, Serialize};

/// The losses of samples.
#[derive(Debug)]
pub(super) struct OfLoss<L> {
    loss: L,
    fits: Fits<L>,
}

/// An error unless shapes of targets and outputs fit, and the loss's arguments are in range.
type Fits<L> = fn(&L, &[usize], &[usize]) -> Result<()>;

impl<L: Loss> OfLoss<L> {
    pub(super) fn new(loss: L, fits: Fits<L>) -> Self {
        Self { loss, fits }
    }
}

impl<L: Loss> Values for OfLoss<L> {
    fn check(&self, target: &[usize], output: &[usize]) -> Result<()> {
        (self.fits)(&self.loss, target, output)
    }

    fn values(&self, y_true: &Tensor, y_pred: &Tensor) -> Result<Tensor> {
        losses::values(&self.loss, y_true, y_pred)
    }

    fn mask(&self, y_true: &Tensor) -> Result<Option<Tensor>> {
        self.loss.mask(y_true)
    }
}

/// A metric without arguments: the mean of a loss.
macro_rules! mean_of_loss {
    ($(#[$documentation:meta])* $class:ident, $loss:expr, $name:literal, $fits:path, $keras:literal) => {
        $(#[$documentation])*
        ///
        /// # Errors
        /// `fit` and `evaluate` fail for targets of another shape.
        #[doc = concat!("\nKeras: `", $keras, "`.")]
        #[derive(Debug, Clone, Serialize, Deserialize)]
        pub struct $class {
            #[serde(flatten)]
            base: Base,
        }

        impl $class {
            /// The metric.
            pub fn new() -> Self {
                Self {
                    base: Base::new($name),
                }
            }

            metric_setters!();
        }

        default_is_new!($class);

        impl Metric for $class {
            metric_access!($keras, Some(Direction::Down));

            fn counter(&self) -> Box<dyn Counter> {
                let fits = |_: &_, target: &[usize], output: &[usize]| $fits(target, output);
                Box::new(MeanCounter::new(OfLoss::new($loss, fits)))
            }

            fn check(&self, target_shape: &[usize], output_shape: &[usize]) -> Result<()> {
                $fits(target_shape, output_shape)
            }
        }
    };
}

mean_of_loss! {
    /// The mean of the squared errors: mean (y_pred - y_true)².
    ///
    /// # Shapes
    /// `y_true` and `y_pred` (batch, ..), both of one shape, or `y_true` (batch) for one output.
    ///
    /// ```
    /// use candle_keras::{metrics::{MeanSquaredError, Metric}, prelude::{Device, Tensor}};
    /// # fn main() -> anyhow::Result<()> {
    /// let mut error = MeanSquaredError::new().counter();
    /// let y_true = Tensor::new(&[[1f32], [4.], [3.]], &Device::Cpu)?;
    /// let y_pred = Tensor::new(&[[2f32], [4.], [4.]], &Device::Cpu)?;
    /// error.update(&y_true, &y_pred, None)?;
    /// assert!((error.result()? - 2.0 / 3.0).abs() < 1e-6);
    /// # Ok(()) }
    /// ```
    MeanSquaredError, losses::MeanSquaredError::new(), "mean_squared_error", shapes::same,
    "MeanSquaredError"
}

mean_of_loss! {
    /// The mean of the sizes of the errors: mean |y_pred - y_true|.
    ///
    /// # Shapes
    /// `y_true` and `y_pred` (batch, ..), both of one shape, or `y_true` (batch) for one output.
    ///
    /// ```
    /// use candle_keras::{metrics::{MeanAbsoluteError, Metric}, prelude::{Device, Tensor}};
    /// # fn main() -> anyhow::Result<()> {
    /// let mut metric = MeanAbsoluteError::new().counter();
    /// let y_true = Tensor::new(&[[0f32, 1.], [2., 1.]], &Device::Cpu)?;
    /// let y_pred = Tensor::new(&[[1f32, 1.], [2., 3.]], &Device::Cpu)?;
    /// metric.update(&y_true, &y_pred, None)?;
    /// assert!((metric.result()? - 0.75).abs() < 1e-6);
    /// # Ok(()) }
    /// ```
    MeanAbsoluteError, losses::MeanAbsoluteError::new(), "mean_absolute_error", shapes::same,
    "MeanAbsoluteError"
}

mean_of_loss! {
    /// The mean of the errors in percent of the targets: 100·mean |(y_true - y_pred) / y_true|,
    /// targets nearer to 0 than 1e-7 counting as that.
    ///
    /// # Shapes
    /// `y_true` and `y_pred` (batch, ..), both of one shape, or `y_true` (batch) for one output.
    ///
    /// ```
    /// use candle_keras::{metrics::{MeanAbsolutePercentageError, Metric}, prelude::{Device, Tensor}};
    /// # fn main() -> anyhow::Result<()> {
    /// let mut metric = MeanAbsolutePercentageError::new().counter();
    /// let y_true = Tensor::new(&[[1f32, 2.], [4., 1.]], &Device::Cpu)?;
    /// let y_pred = Tensor::new(&[[2f32, 2.], [3., 1.]], &Device::Cpu)?;
    /// metric.update(&y_true, &y_pred, None)?;
    /// assert!((metric.result()? - 31.25).abs() < 1e-6);
    /// # Ok(()) }
    /// ```
    MeanAbsolutePercentageError, losses::MeanAbsolutePercentageError::new(),
    "mean_absolute_percentage_error", shapes::same, "MeanAbsolutePercentageError"
}

mean_of_loss! {
    /// The mean of the squared errors of logarithms: mean (ln (1 + y_true) - ln (1 + y_pred))².
    ///
    /// # Shapes
    /// `y_true` and `y_pred` (batch, ..), both of one shape, or `y_true` (batch) for one output.
    ///
    /// ```
    /// use candle_keras::{metrics::{MeanSquaredLogarithmicError, Metric}, prelude::{Device, Tensor}};
    /// # fn main() -> anyhow::Result<()> {
    /// let mut metric = MeanSquaredLogarithmicError::new().counter();
    /// let y_true = Tensor::new(&[[0f32, 1.], [2., 1.]], &Device::Cpu)?;
    /// let y_pred = Tensor::new(&[[1f32, 1.], [2., 3.]], &Device::Cpu)?;
    /// metric.update(&y_true, &y_pred, None)?;
    /// assert!((metric.result()? - 0.2402265).abs() < 1e-6);
    /// # Ok(()) }
    /// ```
    MeanSquaredLogarithmicError, losses::MeanSquaredLogarithmicError::new(),
    "mean_squared_logarithmic_error", shapes::same, "MeanSquaredLogarithmicError"
}

mean_of_loss! {
    /// The mean of the logarithms of the errors' hyperbolic cosines: mean ln cosh (y_pred - y_true).
    ///
    /// # Shapes
    /// `y_true` and `y_pred` (batch, ..), both of one shape, or `y_true` (batch) for one output.
    ///
    /// ```
    /// use candle_keras::{metrics::{LogCoshError, Metric}, prelude::{Device, Tensor}};
    /// # fn main() -> anyhow::Result<()> {
    /// let mut metric = LogCoshError::new().counter();
    /// let y_true = Tensor::new(&[[0f32, 1.], [2., 1.]], &Device::Cpu)?;
    /// let y_pred = Tensor::new(&[[1f32, 1.], [2., 3.]], &Device::Cpu)?;
    /// metric.update(&y_true, &y_pred, None)?;
    /// assert!((metric.result()? - 0.4396959).abs() < 1e-6);
    /// # Ok(()) }
    /// ```
    LogCoshError, losses::LogCosh::new(), "logcosh", shapes::same, "LogCoshError"
}

mean_of_loss! {
    /// The mean of the divergences of two distributions: Σ y_true·ln (y_true / y_pred) over the last
    /// axis.
    ///
    /// # Shapes
    /// `y_true` and `y_pred` (batch, .., classes).
    ///
    /// ```
    /// use candle_keras::{metrics::{KLDivergence, Metric}, prelude::{Device, Tensor}};
    /// # fn main() -> anyhow::Result<()> {
    /// let mut metric = KLDivergence::new().counter();
    /// let y_true = Tensor::new(&[[0.5f32, 0.5], [0.9, 0.1]], &Device::Cpu)?;
    /// let y_pred = Tensor::new(&[[0.5f32, 0.5], [0.5, 0.5]], &Device::Cpu)?;
    /// metric.update(&y_true, &y_pred, None)?;
    /// assert!((metric.result()? - 0.1840321).abs() < 1e-6);
    /// # Ok(()) }
    /// ```
    KLDivergence, losses::KLDivergence::new(), "kl_divergence", shapes::same, "KLDivergence"
}

mean_of_loss! {
    /// The mean of the Poisson losses: mean (y_pred - y_true·ln y_pred).
    ///
    /// # Shapes
    /// `y_true` and `y_pred` (batch, ..), both of one shape, or `y_true` (batch) for one output.
    ///
    /// ```
    /// use candle_keras::{metrics::{Metric, Poisson}, prelude::{Device, Tensor}};
    /// # fn main() -> anyhow::Result<()> {
    /// let mut metric = Poisson::new().counter();
    /// let y_true = Tensor::new(&[[0f32, 1.], [2., 1.]], &Device::Cpu)?;
    /// let y_pred = Tensor::new(&[[1f32, 1.], [2., 3.]], &Device::Cpu)?;
    /// metric.update(&y_true, &y_pred, None)?;
    /// assert!((metric.result()? - 1.1287733).abs() < 1e-6);
    /// # Ok(()) }
    /// ```
    Poisson, losses::Poisson::new(), "poisson", shapes::same, "Poisson"
}

mean_of_loss! {
    /// The mean of the hinge losses: mean max(1 - y_true·y_pred, 0).
    ///
    /// Targets are -1 and 1. Where all targets of a batch are 0 or 1, 0 stands for -1.
    ///
    /// # Shapes
    /// `y_true` and `y_pred` (batch, ..), both of one shape, or `y_true` (batch) for one output.
    ///
    /// ```
    /// use candle_keras::{metrics::{Hinge, Metric}, prelude::{Device, Tensor}};
    /// # fn main() -> anyhow::Result<()> {
    /// let mut metric = Hinge::new().counter();
    /// let y_true = Tensor::new(&[[0f32, 1.], [0., 0.]], &Device::Cpu)?;
    /// let y_pred = Tensor::new(&[[0.6f32, 0.4], [0.4, -0.6]], &Device::Cpu)?;
    /// metric.update(&y_true, &y_pred, None)?;
    /// assert!((metric.result()? - 1.0).abs() < 1e-6);
    /// # Ok(()) }
    /// ```
    Hinge, losses::Hinge::new(), "hinge", shapes::same, "Hinge"
}

mean_of_loss! {
    /// The mean of the squared hinge losses: mean max(1 - y_true·y_pred, 0)².
    ///
    /// Targets are -1 and 1. Where all targets of a batch are 0 or 1, 0 stands for -1.
    ///
    /// # Shapes
    /// `y_true` and `y_pred` (batch, ..), both of one shape, or `y_true` (batch) for one output.
    ///
    /// ```
    /// use candle_keras::{metrics::{Metric, SquaredHinge}, prelude::{Device, Tensor}};
    /// # fn main() -> anyhow::Result<()> {
    /// let mut metric = SquaredHinge::new().counter();
    /// let y_true = Tensor::new(&[[0f32, 1.], [0., 0.]], &Device::Cpu)?;
    /// let y_pred = Tensor::new(&[[0.6f32, 0.4], [0.4, -0.6]], &Device::Cpu)?;
    /// metric.update(&y_true, &y_pred, None)?;
    /// assert!((metric.result()? - 1.26).abs() < 1e-6);
    /// # Ok(()) }
    /// ```
    SquaredHinge, losses::SquaredHinge::new(), "squared_hinge", shapes::same, "SquaredHinge"
}

mean_of_loss! {
    /// The mean of the categorical hinge losses: max(greatest output of a wrong class - output of
    /// the right one + 1, 0).
    ///
    /// # Shapes
    /// `y_true` and `y_pred` (batch, .., classes).
    ///
    /// ```
    /// use candle_keras::{metrics::{CategoricalHinge, Metric}, prelude::{Device, Tensor}};
    /// # fn main() -> anyhow::Result<()> {
    /// let mut metric = CategoricalHinge::new().counter();
    /// let y_true = Tensor::new(&[[0f32, 1.], [1., 0.]], &Device::Cpu)?;
    /// let y_pred = Tensor::new(&[[0.6f32, 0.4], [0.4, 0.6]], &Device::Cpu)?;
    /// metric.update(&y_true, &y_pred, None)?;
    /// assert!((metric.result()? - 1.2).abs() < 1e-6);
    /// # Ok(()) }
    /// ```
    CategoricalHinge, losses::CategoricalHinge::new(), "categorical_hinge", shapes::one_hot,
    "CategoricalHinge"
}

fn binary_fits(
    loss: &losses::BinaryCrossentropy,
    target: &[usize],
    output: &[usize],
) -> Result<()> {
    shapes::same(target, output)?;
    loss.check_arguments(shapes::compared(target, output))
}

fn one_hot_fits(
    loss: &losses::CategoricalCrossentropy,
    target: &[usize],
    output: &[usize],
) -> Result<()> {
    shapes::one_hot(target, output)?;
    loss.check_arguments(output)
}

fn labels_fit(
    loss: &losses::SparseCategoricalCrossentropy,
    target: &[usize],
    output: &[usize],
) -> Result<()> {
    if !output.is_empty() {
        loss.check_arguments(output)?;
    }
    let axis = loss.axes().resolve(output.len() + 1)?;
    let axis = axis.first().copied().unwrap_or_default().saturating_sub(1);
    shapes::labels_along(axis, target, output)
}

/// A metric with a loss's arguments: its mean.
macro_rules! mean_of_cross_entropy {
    (
        $(#[$documentation:meta])* $class:ident, $name:literal, $fits:ident, without $unknown:expr;
        $($(#[$of_setter:meta])* $setter:ident: $argument:ty;)+
    ) => {
        $(#[$documentation])*
        ///
        /// # Errors
        /// `fit` and `evaluate` fail for targets of another shape, and arguments out of range.
        #[doc = concat!("\nKeras: `", stringify!($class), "`.")]
        #[derive(Debug, Clone, Serialize, Deserialize)]
        pub struct $class {
            #[serde(flatten)]
            loss: losses::$class,
            #[serde(flatten)]
            base: Base,
        }

        impl $class {
            /// The metric of probabilities.
            pub fn new() -> Self {
                Self {
                    loss: losses::$class::new(),
                    base: Base::new($name),
                }
            }

            /// Takes `y_pred` as logits, which are no probabilities yet.
            pub fn from_logits(mut self) -> Self {
                self.loss = self.loss.from_logits();
                self
            }

            $($(#[$of_setter])*
            pub fn $setter(mut self, $setter: $argument) -> Self {
                self.loss = self.loss.$setter($setter);
                self
            })+

            metric_setters!();
        }

        default_is_new!($class);

        impl Metric for $class {
            fn name(&self) -> &str {
                &self.base.name
            }

            fn direction(&self) -> Option<Direction> {
                Some(Direction::Down)
            }

            fn counter(&self) -> Box<dyn Counter> {
                Box::new(MeanCounter::new(OfLoss::new(self.loss.clone(), $fits)))
            }

            fn check(&self, target_shape: &[usize], output_shape: &[usize]) -> Result<()> {
                $fits(&self.loss, target_shape, output_shape)
            }

            fn config(&self) -> Option<Config> {
                let mut config = Config::of_keras(stringify!($class), self)?;
                let unknown: &[&str] = &$unknown; // to Keras's metric
                unknown.iter().for_each(|name| drop(config.arguments.remove(*name)));
                Some(config)
            }
        }
    };
}

mean_of_cross_entropy! {
    /// The mean of the binary cross-entropies, from probabilities of yes.
    ///
    /// # Shapes
    /// `y_true` and `y_pred` (batch, ..), both of one shape, or `y_true` (batch) for one output.
    ///
    /// # Defaults
    /// Probabilities, and targets as they are.
    ///
    /// ```
    /// use candle_keras::{metrics::{BinaryCrossentropy, Metric}, prelude::{Device, Tensor}};
    /// # fn main() -> anyhow::Result<()> {
    /// let mut metric = BinaryCrossentropy::new().label_smoothing(0.2).counter();
    /// let y_true = Tensor::new(&[[0f32, 1.], [0., 0.]], &Device::Cpu)?;
    /// let y_pred = Tensor::new(&[[0.6f32, 0.4], [0.4, 0.6]], &Device::Cpu)?;
    /// metric.update(&y_true, &y_pred, None)?;
    /// assert!((metric.result()? - 0.7946512).abs() < 1e-6);
    /// # Ok(()) }
    /// ```
    BinaryCrossentropy, "binary_crossentropy", binary_fits, without ["reduction", "axis"];
    /// How far targets are moved towards ½, from 0 to 1; 0 by default.
    label_smoothing: f64;
}

mean_of_cross_entropy! {
    /// The mean of the categorical cross-entropies, from probabilities and one-hot targets.
    ///
    /// # Shapes
    /// `y_true` and `y_pred` (batch, .., classes).
    ///
    /// # Defaults
    /// Probabilities of classes along the last axis, and targets as they are.
    ///
    /// ```
    /// use candle_keras::{metrics::{CategoricalCrossentropy, Metric}, prelude::{Device, Tensor}};
    /// # fn main() -> anyhow::Result<()> {
    /// let mut metric = CategoricalCrossentropy::new().counter();
    /// let y_true = Tensor::new(&[[0f32, 1., 0.], [0., 0., 1.]], &Device::Cpu)?;
    /// let y_pred = Tensor::new(&[[0.05f32, 0.95, 0.], [0.1, 0.8, 0.1]], &Device::Cpu)?;
    /// metric.update(&y_true, &y_pred, None)?;
    /// assert!((metric.result()? - 1.1769392).abs() < 1e-6);
    /// # Ok(()) }
    /// ```
    CategoricalCrossentropy, "categorical_crossentropy", one_hot_fits, without ["reduction"];
    /// How far targets are moved towards equal shares, from 0 to 1; 0 by default.
    label_smoothing: f64;
    /// The axis of the classes, counted with the samples' as 0; -1, the last, by default.
    axis: i64;
}

mean_of_cross_entropy! {
    /// The mean of the categorical cross-entropies, from probabilities and labels.
    ///
    /// # Shapes
    /// `y_true` (batch, ..) or (batch, .., 1), `y_pred` (batch, .., classes).
    ///
    /// # Defaults
    /// Probabilities of classes along the last axis, and every label counts.
    ///
    /// ```
    /// use candle_keras::{metrics::{Metric, SparseCategoricalCrossentropy}, prelude::{Device, Tensor}};
    /// # fn main() -> anyhow::Result<()> {
    /// let mut metric = SparseCategoricalCrossentropy::new().counter();
    /// let y_true = Tensor::new(&[1f32, 2.], &Device::Cpu)?;
    /// let y_pred = Tensor::new(&[[0.05f32, 0.95, 0.], [0.1, 0.8, 0.1]], &Device::Cpu)?;
    /// metric.update(&y_true, &y_pred, None)?;
    /// assert!((metric.result()? - 1.1769392).abs() < 1e-6);
    /// # Ok(()) }
    /// ```
    SparseCategoricalCrossentropy, "sparse_categorical_crossentropy", labels_fit,
    without ["reduction"];
    /// The label of targets that do not count; by default all do.
    ignore_class: i64;
    /// The axis of the classes, counted with the samples' as 0; -1, the last, by default. Keras on
    /// TensorFlow takes no other.
    axis: i64;
}
