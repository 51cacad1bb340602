use super::base::{Base, default_is_new, metric_access, metric_setters};
use super::{Counter, Direction, Metric, check_finite, rule::Rule, rule::RuleCounter};
use crate::Result;
use serde::{Deserialize, Serialize};

/// The share of outputs on their targets' side of a threshold: an output above it says 1, any
/// other 0.
///
/// # Shapes
/// `y_true` and `y_pred` (batch, .., outputs), or `y_true` (batch) for one output.
///
/// # Defaults
/// The threshold is 0.5.
///
/// ```
/// use candle_keras::{metrics::{BinaryAccuracy, Metric}, prelude::*};
/// # fn main() -> anyhow::Result<()> {
/// let mut accuracy = BinaryAccuracy::new().counter();
/// let y_true = Tensor::new(&[[1f32], [1.], [0.], [0.]], &Device::Cpu)?;
/// let y_pred = Tensor::new(&[[0.98f32], [0.5], [0.], [0.6]], &Device::Cpu)?;
/// accuracy.update(&y_true, &y_pred, None)?;
/// assert_eq!(accuracy.result()?, 0.5);
/// # Ok(()) }
/// ```
///
/// # Errors
/// `fit` and `evaluate` fail for a threshold that is not finite, and targets of another shape.
///
/// Keras: `BinaryAccuracy`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct BinaryAccuracy {
    threshold: f64,
    #[serde(flatten)]
    base: Base,
}

impl BinaryAccuracy {
    /// With the threshold 0.5.
    pub fn new() -> Self {
        Self {
            threshold: 0.5,
            base: Base::new("binary_accuracy"),
        }
    }

    /// What an output must exceed to say 1; any finite number, such as 0 for logits.
    pub fn threshold(mut self, threshold: f64) -> Self {
        self.threshold = threshold;
        self
    }

    metric_setters!();

    fn rule(&self) -> Rule {
        Rule::Binary(self.threshold as f32)
    }
}

default_is_new!(BinaryAccuracy);

impl Metric for BinaryAccuracy {
    metric_access!("BinaryAccuracy", Some(Direction::Up));

    fn counter(&self) -> Box<dyn Counter> {
        Box::new(RuleCounter::new(Some(self.rule())))
    }

    fn check(&self, target_shape: &[usize], output_shape: &[usize]) -> Result<()> {
        check_finite("threshold", self.threshold)?;
        self.rule().check(target_shape, output_shape)
    }
}
