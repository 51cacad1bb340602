use super::selection::{Selection, selection_setters};
use super::{Counts, counter, shares};
use crate::Result;
use crate::metrics::base::{Base, default_is_new, metric_access, metric_setters};
use crate::metrics::{Counter, Direction, Metric, tally::Tally};
use serde::{Deserialize, Serialize};

/// The share of right answers among those of yes: true positives / (true + false positives), 0
/// where there are none.
///
/// An output above the threshold says yes; a target other than 0 is one.
///
/// # Shapes
/// `y_true` and `y_pred` (batch, ..), both of one shape; all outputs are counted together.
///
/// # Defaults
/// The threshold is 0.5. With several thresholds there is a value for each, of which logs show the
/// mean.
///
/// ```
/// use candle_keras::{metrics::{Metric, Precision}, prelude::*};
/// # fn main() -> anyhow::Result<()> {
/// let mut precision = Precision::new().counter();
/// let y_true = Tensor::new(&[0f32, 0., 1., 1., 1.], &Device::Cpu)?;
/// let y_pred = Tensor::new(&[0.1f32, 0.6, 0.5, 0.8, 0.3], &Device::Cpu)?;
/// precision.update(&y_true, &y_pred, None)?;
/// assert_eq!(precision.result()?, 0.5);
/// # Ok(()) }
/// ```
///
/// # Errors
/// `fit` and `evaluate` fail for a threshold outside 0 to 1, a `top_k` of 0 or of more than there
/// are classes, a `class_id` that is none, and targets of another shape.
///
/// Keras: `Precision`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Precision {
    #[serde(flatten)]
    selection: Selection,
    #[serde(flatten)]
    base: Base,
}

impl Precision {
    /// At the threshold 0.5.
    pub fn new() -> Self {
        Self {
            selection: Selection::default(),
            base: Base::new("precision"),
        }
    }

    selection_setters!();
    metric_setters!();
}

default_is_new!(Precision);

impl Metric for Precision {
    metric_access!("Precision", Some(Direction::Up));

    fn counter(&self) -> Box<dyn Counter> {
        counter(self.selection.confusion(precision))
    }

    fn check(&self, target_shape: &[usize], output_shape: &[usize]) -> Result<()> {
        self.selection.check()?;
        let confusion = self.selection.confusion(precision);
        confusion.check(target_shape, output_shape)
    }
}

/// The share of yes among the answers of yes at every threshold.
pub(super) fn precision(counts: &Counts) -> Vec<f64> {
    shares(&counts.true_positives, &counts.false_positives)
}
