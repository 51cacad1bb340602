use super::{Counter, Direction, Metric, rule::Rule, rule::RuleCounter};
use crate::{Config, Result};
use serde::{Deserialize, Serialize};

/// The share of samples that are classified right.
///
/// The shapes decide what right means, as in Keras:
/// - outputs with a last axis of length 1: the output lies on the target's side of 0.5 (binary);
/// - labels, (batch, ..) or (batch, .., 1): the greatest output is the label's (sparse);
/// - otherwise: the greatest output is where the greatest target is (categorical).
///
/// Of equal outputs the first counts as the greatest.
///
/// ```
/// use candle_keras::{metrics::Metric, prelude::*};
/// # fn main() -> anyhow::Result<()> {
/// let mut accuracy = Accuracy.counter();
/// let y_true = Tensor::new(&[1u32, 0], &Device::Cpu)?;
/// let y_pred = Tensor::new(&[[0.2f32, 0.8], [0.4, 0.6]], &Device::Cpu)?;
/// accuracy.update(&y_true, &y_pred, None)?;
/// assert_eq!(accuracy.result()?, 0.5);
/// # Ok(()) }
/// ```
///
/// Keras: the string `"accuracy"`, which its configuration is as well. The class `Accuracy` of
/// Keras, which compares labels with labels, is [`ExactAccuracy`](super::ExactAccuracy).
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct Accuracy;

impl Metric for Accuracy {
    fn name(&self) -> &str {
        "accuracy"
    }

    fn counter(&self) -> Box<dyn Counter> {
        Box::new(RuleCounter::new(None))
    }

    fn check(&self, target_shape: &[usize], output_shape: &[usize]) -> Result<()> {
        Rule::of(target_shape, output_shape).check(target_shape, output_shape)
    }

    fn direction(&self) -> Option<Direction> {
        Some(Direction::Up)
    }

    fn config(&self) -> Option<Config> {
        Config::of_keras("accuracy", self)
    }
}
