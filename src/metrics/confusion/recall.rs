use super::selection::{Selection, selection_setters};
use super::{Counts, counter, shares};
use crate::Result;
use crate::metrics::base::{Base, default_is_new, metric_access, metric_setters};
use crate::metrics::{Counter, Direction, Metric, tally::Tally};
use serde::{Deserialize, Serialize};

/// The share of targets of yes that are found: true positives / (true positives + false negatives), 0
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
/// use candle_keras::{metrics::{Metric, Recall}, prelude::*};
/// # fn main() -> anyhow::Result<()> {
/// let mut recall = Recall::new().counter();
/// let y_true = Tensor::new(&[0f32, 0., 1., 1., 1.], &Device::Cpu)?;
/// let y_pred = Tensor::new(&[0.1f32, 0.6, 0.5, 0.8, 0.3], &Device::Cpu)?;
/// recall.update(&y_true, &y_pred, None)?;
/// assert!((recall.result()? - 1.0 / 3.0).abs() < 1e-12);
/// # Ok(()) }
/// ```
///
/// # Errors
/// `fit` and `evaluate` fail for a threshold outside 0 to 1, a `top_k` of 0 or of more than there
/// are classes, a `class_id` that is none, and targets of another shape.
///
/// Keras: `Recall`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Recall {
    #[serde(flatten)]
    selection: Selection,
    #[serde(flatten)]
    base: Base,
}

impl Recall {
    /// At the threshold 0.5.
    pub fn new() -> Self {
        Self {
            selection: Selection::default(),
            base: Base::new("recall"),
        }
    }

    selection_setters!();
    metric_setters!();
}

default_is_new!(Recall);

impl Metric for Recall {
    metric_access!("Recall", Some(Direction::Up));

    fn counter(&self) -> Box<dyn Counter> {
        counter(self.selection.confusion(recall))
    }

    fn check(&self, target_shape: &[usize], output_shape: &[usize]) -> Result<()> {
        self.selection.check()?;
        let confusion = self.selection.confusion(recall);
        confusion.check(target_shape, output_shape)
    }
}

/// The share of the targets of yes that are found at every threshold.
pub(super) fn recall(counts: &Counts) -> Vec<f64> {
    shares(&counts.true_positives, &counts.false_negatives)
}
