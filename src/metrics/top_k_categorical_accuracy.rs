use super::base::{Base, default_is_new, metric_access, metric_setters};
use super::{Counter, Direction, Metric, check_at_least_one, rule::Rule, rule::RuleCounter};
use crate::Result;
use serde::{Deserialize, Serialize};

/// The share of rows in which fewer than k outputs are greater than the one of the target's class.
///
/// Outputs equal to the k-th greatest all count as among the first k; a row with an output that is
/// not finite is wrong.
///
/// # Shapes
/// `y_true` and `y_pred` (batch, .., classes).
///
/// # Defaults
/// k is 5.
///
/// ```
/// use candle_keras::{metrics::{Metric, TopKCategoricalAccuracy}, prelude::*};
/// # fn main() -> anyhow::Result<()> {
/// let mut accuracy = TopKCategoricalAccuracy::new().k(2).counter();
/// let y_true = Tensor::new(&[[1f32, 0., 0.], [0., 1., 0.]], &Device::Cpu)?;
/// let y_pred = Tensor::new(&[[0.1f32, 0.6, 0.3], [0.3, 0.2, 0.1]], &Device::Cpu)?;
/// accuracy.update(&y_true, &y_pred, None)?;
/// assert_eq!(accuracy.result()?, 0.5);
/// # Ok(()) }
/// ```
///
/// # Errors
/// `fit` and `evaluate` fail for a k of 0, targets of another width, and labels.
///
/// Keras: `TopKCategoricalAccuracy`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct TopKCategoricalAccuracy {
    k: usize,
    #[serde(flatten)]
    base: Base,
}

/// The share of rows in which fewer than k outputs are greater than the label's.
///
/// Outputs equal to the k-th greatest all count as among the first k; a row with an output that is
/// not finite, and a label outside the classes, are wrong.
///
/// # Shapes
/// `y_true` (batch, ..) or (batch, .., 1), whole numbers; `y_pred` (batch, .., classes).
///
/// # Defaults
/// k is 5, and outputs are scores.
///
/// ```
/// use candle_keras::{metrics::{Metric, SparseTopKCategoricalAccuracy}, prelude::*};
/// # fn main() -> anyhow::Result<()> {
/// let mut accuracy = SparseTopKCategoricalAccuracy::new().k(2).counter();
/// let y_true = Tensor::new(&[0u32, 1], &Device::Cpu)?;
/// let y_pred = Tensor::new(&[[0.1f32, 0.6, 0.3], [0.3, 0.2, 0.1]], &Device::Cpu)?;
/// accuracy.update(&y_true, &y_pred, None)?;
/// assert_eq!(accuracy.result()?, 0.5);
/// # Ok(()) }
/// ```
///
/// # Errors
/// `fit` and `evaluate` fail for a k of 0, and for one-hot targets.
///
/// Keras: `SparseTopKCategoricalAccuracy`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct SparseTopKCategoricalAccuracy {
    k: usize,
    from_sorted_ids: bool,
    #[serde(flatten)]
    base: Base,
}

impl TopKCategoricalAccuracy {
    /// With a k of 5.
    pub fn new() -> Self {
        Self {
            k: 5,
            base: Base::new("top_k_categorical_accuracy"),
        }
    }

    /// How many of the greatest outputs are looked at.
    pub fn k(mut self, k: usize) -> Self {
        self.k = k;
        self
    }

    metric_setters!();
}

impl SparseTopKCategoricalAccuracy {
    /// With a k of 5, from scores.
    pub fn new() -> Self {
        Self {
            k: 5,
            from_sorted_ids: false,
            base: Base::new("sparse_top_k_categorical_accuracy"),
        }
    }

    /// How many of the greatest outputs are looked at.
    pub fn k(mut self, k: usize) -> Self {
        self.k = k;
        self
    }

    /// Takes outputs as labels, the best first, in place of scores.
    pub fn from_sorted_ids(mut self) -> Self {
        self.from_sorted_ids = true;
        self
    }

    metric_setters!();

    fn rule(&self) -> Rule {
        if self.from_sorted_ids {
            Rule::SortedLabels(self.k)
        } else {
            Rule::SparseTopK(self.k)
        }
    }
}

default_is_new!(TopKCategoricalAccuracy SparseTopKCategoricalAccuracy);

impl Metric for TopKCategoricalAccuracy {
    metric_access!("TopKCategoricalAccuracy", Some(Direction::Up));

    fn counter(&self) -> Box<dyn Counter> {
        Box::new(RuleCounter::new(Some(Rule::TopK(self.k))))
    }

    fn check(&self, target_shape: &[usize], output_shape: &[usize]) -> Result<()> {
        check_at_least_one("k", self.k)?;
        Rule::TopK(self.k).check(target_shape, output_shape)
    }
}

impl Metric for SparseTopKCategoricalAccuracy {
    metric_access!("SparseTopKCategoricalAccuracy", Some(Direction::Up));

    fn counter(&self) -> Box<dyn Counter> {
        Box::new(RuleCounter::new(Some(self.rule())))
    }

    fn check(&self, target_shape: &[usize], output_shape: &[usize]) -> Result<()> {
        check_at_least_one("k", self.k)?;
        self.rule().check(target_shape, output_shape)
    }
}
