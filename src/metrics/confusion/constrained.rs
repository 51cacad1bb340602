use super::precision::precision;
use super::recall::recall;
use super::{Confusion, Counts, Ladder, Summary, View, counter, shares};
use crate::Result;
use crate::metrics::base::{Base, metric_access, metric_setters};
use crate::metrics::{Counter, Direction, Metric, check_at_least_one, check_share, tally::Tally};
use serde::{Deserialize, Serialize};

/// The greatest of one share at the thresholds where another one is at least `least`; 0 where it
/// is at none.
#[derive(Debug)]
struct Greatest {
    of: fn(&Counts) -> Vec<f64>,
    where_share: fn(&Counts) -> Vec<f64>,
    least: f64,
}

impl Summary for Greatest {
    fn values(&self, counts: &[Counts]) -> Vec<f64> {
        let Some(counts) = counts.first() else {
            return vec![0.0];
        };
        // Keras compares shares in f32.
        let fits = |share: &f64| *share as f32 >= self.least as f32;
        let shares = (self.where_share)(counts)
            .into_iter()
            .zip((self.of)(counts));
        let shares = shares
            .filter(|(share, _)| fits(share))
            .map(|(_, share)| share);
        vec![shares.fold(0.0, f64::max)]
    }
}

/// The share of the targets of no that are found, at every threshold.
fn specificity(counts: &Counts) -> Vec<f64> {
    shares(&counts.true_negatives, &counts.false_positives)
}

/// A metric that is the greatest of `$of` where `$where_share` is at least what is asked for.
macro_rules! constrained {
    (
        $(#[$documentation:meta])*
        $class:ident, $name:literal, $argument:ident, $of:ident where $where_share:ident
    ) => {
        $(#[$documentation])*
        ///
        /// # Shapes
        /// `y_true` and `y_pred` (batch, ..), both of one shape; all outputs are counted together.
        ///
        /// # Defaults
        /// 200 thresholds: i/199. One alone is 0.5.
        ///
        /// # Errors
        /// `fit` and `evaluate` fail for an argument outside 0 to 1, no threshold, a `class_id` that
        /// is none, and targets of another shape.
        #[doc = concat!("\nKeras: `", stringify!($class), "`.")]
        #[derive(Debug, Clone, Serialize, Deserialize)]
        pub struct $class {
            $argument: f64,
            num_thresholds: usize,
            class_id: Option<usize>,
            #[serde(flatten)]
            base: Base,
        }

        impl $class {
            #[doc = concat!("With the ", stringify!($argument), " that is asked for, from 0 to 1.")]
            pub fn new($argument: f64) -> Self {
                Self {
                    $argument,
                    num_thresholds: 200,
                    class_id: None,
                    base: Base::new($name),
                }
            }

            /// How many thresholds are tried.
            pub fn num_thresholds(mut self, num_thresholds: usize) -> Self {
                self.num_thresholds = num_thresholds;
                self
            }

            /// Counts the outputs of one class alone.
            pub fn class_id(mut self, class_id: usize) -> Self {
                self.class_id = Some(class_id);
                self
            }

            metric_setters!();

            fn confusion(&self) -> Confusion<Greatest> {
                let view = View {
                    class_id: self.class_id,
                    ..View::default()
                };
                let summary = Greatest {
                    of: $of,
                    where_share: $where_share,
                    least: self.$argument,
                };
                Confusion::new(Ladder::even(self.num_thresholds), view, summary)
            }
        }

        impl Metric for $class {
            metric_access!(stringify!($class), Some(Direction::Up));

            fn counter(&self) -> Box<dyn Counter> {
                counter(self.confusion())
            }

            fn check(&self, target_shape: &[usize], output_shape: &[usize]) -> Result<()> {
                check_share(stringify!($argument), self.$argument)?;
                check_at_least_one("num_thresholds", self.num_thresholds)?;
                super::thresholds::check_count(self.num_thresholds)?;
                self.confusion().check(target_shape, output_shape)
            }
        }
    };
}

constrained! {
    /// The best sensitivity, the share of targets of yes that are found, at the thresholds where
    /// the specificity, the share of targets of no that are found, is at least as asked for.
    ///
    /// ```
    /// use candle_keras::{metrics::{Metric, SensitivityAtSpecificity}, prelude::*};
    /// # fn main() -> anyhow::Result<()> {
    /// let mut sensitivity = SensitivityAtSpecificity::new(0.5).counter();
    /// let y_true = Tensor::new(&[0f32, 0., 0., 1., 1.], &Device::Cpu)?;
    /// let y_pred = Tensor::new(&[0f32, 0.3, 0.8, 0.3, 0.8], &Device::Cpu)?;
    /// sensitivity.update(&y_true, &y_pred, None)?;
    /// assert_eq!(sensitivity.result()?, 0.5);
    /// # Ok(()) }
    /// ```
    SensitivityAtSpecificity, "sensitivity_at_specificity", specificity, recall where specificity
}

constrained! {
    /// The best specificity, the share of targets of no that are found, at the thresholds where
    /// the sensitivity, the share of targets of yes that are found, is at least as asked for.
    ///
    /// ```
    /// use candle_keras::{metrics::{Metric, SpecificityAtSensitivity}, prelude::*};
    /// # fn main() -> anyhow::Result<()> {
    /// let mut specificity = SpecificityAtSensitivity::new(0.5).counter();
    /// let y_true = Tensor::new(&[0f32, 0., 0., 1., 1.], &Device::Cpu)?;
    /// let y_pred = Tensor::new(&[0f32, 0.3, 0.8, 0.3, 0.8], &Device::Cpu)?;
    /// specificity.update(&y_true, &y_pred, None)?;
    /// assert!((specificity.result()? - 2.0 / 3.0).abs() < 1e-12);
    /// # Ok(()) }
    /// ```
    SpecificityAtSensitivity, "specificity_at_sensitivity", sensitivity, specificity where recall
}

constrained! {
    /// The best precision, the share of right answers among those of yes, at the thresholds where
    /// the recall, the share of targets of yes that are found, is at least as asked for.
    ///
    /// ```
    /// use candle_keras::{metrics::{Metric, PrecisionAtRecall}, prelude::*};
    /// # fn main() -> anyhow::Result<()> {
    /// let mut precision = PrecisionAtRecall::new(0.5).counter();
    /// let y_true = Tensor::new(&[0f32, 0., 0., 1., 1.], &Device::Cpu)?;
    /// let y_pred = Tensor::new(&[0f32, 0.3, 0.8, 0.3, 0.8], &Device::Cpu)?;
    /// precision.update(&y_true, &y_pred, None)?;
    /// assert_eq!(precision.result()?, 0.5);
    /// # Ok(()) }
    /// ```
    PrecisionAtRecall, "precision_at_recall", recall, precision where recall
}

constrained! {
    /// The best recall, the share of targets of yes that are found, at the thresholds where the
    /// precision, the share of right answers among those of yes, is at least as asked for.
    ///
    /// ```
    /// use candle_keras::{metrics::{Metric, RecallAtPrecision}, prelude::*};
    /// # fn main() -> anyhow::Result<()> {
    /// let mut recall = RecallAtPrecision::new(0.8).counter();
    /// let y_true = Tensor::new(&[0f32, 0., 1., 1.], &Device::Cpu)?;
    /// let y_pred = Tensor::new(&[0f32, 0.5, 0.3, 0.9], &Device::Cpu)?;
    /// recall.update(&y_true, &y_pred, None)?;
    /// assert_eq!(recall.result()?, 0.5);
    /// # Ok(()) }
    /// ```
    RecallAtPrecision, "recall_at_precision", precision, recall where precision
}
