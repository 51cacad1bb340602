use super::selection::Selection;
use super::{Thresholds, counter};
use crate::Result;
use crate::metrics::base::{Base, default_is_new, metric_access, metric_setters};
use crate::metrics::{Counter, Metric, tally::Tally};
use serde::{Deserialize, Serialize};

/// A metric that is one of the four counts.
macro_rules! count {
    ($(#[$documentation:meta])* $class:ident, $field:ident) => {
        $(#[$documentation])*
        ///
        /// # Shapes
        /// `y_true` and `y_pred` (batch, ..), both of one shape; all outputs are counted together.
        ///
        /// # Defaults
        /// The threshold is 0.5. With several thresholds there is a value for each, of which logs
        /// show the mean. A sample counts by its weight in a weighted metric.
        ///
        /// # Errors
        /// `fit` and `evaluate` fail for a threshold outside 0 to 1, and targets of another shape.
        #[doc = concat!("\nKeras: `", stringify!($class), "`, which `mode=\"auto\"` of callbacks does not know the direction of.")]
        #[derive(Debug, Clone, Serialize, Deserialize)]
        pub struct $class {
            thresholds: Option<Thresholds>,
            #[serde(flatten)]
            base: Base,
        }

        impl $class {
            /// At the threshold 0.5.
            pub fn new() -> Self {
                Self {
                    thresholds: None,
                    base: Base::new(stringify!($field)),
                }
            }

            /// What an output must exceed to say yes: one number or several, from 0 to 1.
            pub fn thresholds(mut self, thresholds: impl Into<Thresholds>) -> Self {
                self.thresholds = Some(thresholds.into());
                self
            }

            metric_setters!();

            fn selection(&self) -> Selection {
                Selection {
                    thresholds: self.thresholds.clone(),
                    ..Selection::default()
                }
            }
        }

        default_is_new!($class);

        impl Metric for $class {
            metric_access!(stringify!($class), None);

            fn counter(&self) -> Box<dyn Counter> {
                counter(self.selection().confusion(|counts| counts.$field.clone()))
            }

            fn check(&self, target_shape: &[usize], output_shape: &[usize]) -> Result<()> {
                self.selection().check()?;
                let confusion = self.selection().confusion(|counts| counts.$field.clone());
                confusion.check(target_shape, output_shape)
            }
        }
    };
}

count! {
    /// How many outputs say yes, above the threshold, where the target does.
    ///
    /// ```
    /// use candle_keras::{metrics::{Metric, TruePositives}, prelude::*};
    /// # fn main() -> anyhow::Result<()> {
    /// let mut count = TruePositives::new().counter();
    /// let y_true = Tensor::new(&[0f32, 1., 1., 1.], &Device::Cpu)?;
    /// let y_pred = Tensor::new(&[1f32, 0., 1., 1.], &Device::Cpu)?;
    /// count.update(&y_true, &y_pred, None)?;
    /// assert_eq!(count.result()?, 2.0);
    /// # Ok(()) }
    /// ```
    TruePositives, true_positives
}

count! {
    /// How many outputs say no, not above the threshold, where the target does.
    ///
    /// ```
    /// use candle_keras::{metrics::{Metric, TrueNegatives}, prelude::*};
    /// # fn main() -> anyhow::Result<()> {
    /// let mut count = TrueNegatives::new().counter();
    /// let y_true = Tensor::new(&[0f32, 1., 0., 0.], &Device::Cpu)?;
    /// let y_pred = Tensor::new(&[1f32, 1., 0., 0.], &Device::Cpu)?;
    /// count.update(&y_true, &y_pred, None)?;
    /// assert_eq!(count.result()?, 2.0);
    /// # Ok(()) }
    /// ```
    TrueNegatives, true_negatives
}

count! {
    /// How many outputs say yes, above the threshold, where the target says no.
    ///
    /// ```
    /// use candle_keras::{metrics::{FalsePositives, Metric}, prelude::*};
    /// # fn main() -> anyhow::Result<()> {
    /// let mut count = FalsePositives::new().counter();
    /// let y_true = Tensor::new(&[0f32, 1., 0., 0.], &Device::Cpu)?;
    /// let y_pred = Tensor::new(&[0f32, 0., 1., 1.], &Device::Cpu)?;
    /// count.update(&y_true, &y_pred, None)?;
    /// assert_eq!(count.result()?, 2.0);
    /// # Ok(()) }
    /// ```
    FalsePositives, false_positives
}

count! {
    /// How many outputs say no, not above the threshold, where the target says yes.
    ///
    /// ```
    /// use candle_keras::{metrics::{FalseNegatives, Metric}, prelude::*};
    /// # fn main() -> anyhow::Result<()> {
    /// let mut count = FalseNegatives::new().counter();
    /// let y_true = Tensor::new(&[0f32, 1., 1., 1.], &Device::Cpu)?;
    /// let y_pred = Tensor::new(&[0f32, 1., 0., 0.], &Device::Cpu)?;
    /// count.update(&y_true, &y_pred, None)?;
    /// assert_eq!(count.result()?, 2.0);
    /// # Ok(()) }
    /// ```
    FalseNegatives, false_negatives
}
