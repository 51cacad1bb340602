use super::base::{Base, default_is_new, metric_access, metric_setters};
use super::{Counter, Direction, Metric, rule::Rule, rule::RuleCounter};
use crate::Result;
use serde::{Deserialize, Serialize};

/// The share of outputs that are equal to their targets, as labels are to labels.
///
/// # Shapes
/// `y_true` and `y_pred` (batch, ..), both of one shape.
///
/// # Defaults
/// The name is `accuracy`.
///
/// ```
/// use candle_keras::{metrics::{ExactAccuracy, Metric}, prelude::*};
/// # fn main() -> anyhow::Result<()> {
/// let mut accuracy = ExactAccuracy::new().counter();
/// let y_true = Tensor::new(&[1f32, 2.0, 3.0, 4.0], &Device::Cpu)?;
/// let y_pred = Tensor::new(&[0f32, 2.0, 3.0, 4.0], &Device::Cpu)?;
/// accuracy.update(&y_true, &y_pred, None)?;
/// assert_eq!(accuracy.result()?, 0.75);
/// # Ok(()) }
/// ```
///
/// Keras: the class `Accuracy`. Its string `"accuracy"` is [`Accuracy`](super::Accuracy).
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ExactAccuracy {
    #[serde(flatten)]
    base: Base,
}

impl ExactAccuracy {
    /// The metric.
    pub fn new() -> Self {
        Self {
            base: Base::new("accuracy"),
        }
    }

    metric_setters!();
}

default_is_new!(ExactAccuracy);

impl Metric for ExactAccuracy {
    metric_access!("Accuracy", Some(Direction::Up));

    fn counter(&self) -> Box<dyn Counter> {
        Box::new(RuleCounter::new(Some(Rule::Equal)))
    }

    fn check(&self, target_shape: &[usize], output_shape: &[usize]) -> Result<()> {
        Rule::Equal.check(target_shape, output_shape)
    }
}
