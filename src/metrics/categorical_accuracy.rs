use super::base::{Base, default_is_new, metric_access, metric_setters};
use super::{Counter, Direction, Metric, rule::Rule, rule::RuleCounter};
use crate::Result;
use serde::{Deserialize, Serialize};

/// The share of rows whose greatest output is where the greatest target is. Of equal ones the
/// first counts.
///
/// # Shapes
/// `y_true` and `y_pred` (batch, .., classes).
///
/// ```
/// use candle_keras::{metrics::{CategoricalAccuracy, Metric}, prelude::*};
/// # fn main() -> anyhow::Result<()> {
/// let mut accuracy = CategoricalAccuracy::new().counter();
/// let y_true = Tensor::new(&[[0f32, 0., 1.], [0., 1., 0.]], &Device::Cpu)?;
/// let y_pred = Tensor::new(&[[0.1f32, 0.9, 0.8], [0.05, 0.95, 0.]], &Device::Cpu)?;
/// accuracy.update(&y_true, &y_pred, None)?;
/// assert_eq!(accuracy.result()?, 0.5);
/// # Ok(()) }
/// ```
///
/// # Errors
/// `fit` and `evaluate` fail for targets of another width, and for labels.
///
/// Keras: `CategoricalAccuracy`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct CategoricalAccuracy {
    #[serde(flatten)]
    base: Base,
}

/// The share of rows whose greatest output is the label's. Of equal outputs the first counts.
///
/// # Shapes
/// `y_true` (batch, ..) or (batch, .., 1), whole numbers; `y_pred` (batch, .., classes).
///
/// ```
/// use candle_keras::{metrics::{Metric, SparseCategoricalAccuracy}, prelude::*};
/// # fn main() -> anyhow::Result<()> {
/// let mut accuracy = SparseCategoricalAccuracy::new().counter();
/// let y_true = Tensor::new(&[2u32, 1], &Device::Cpu)?;
/// let y_pred = Tensor::new(&[[0.1f32, 0.6, 0.3], [0.05, 0.95, 0.]], &Device::Cpu)?;
/// accuracy.update(&y_true, &y_pred, None)?;
/// assert_eq!(accuracy.result()?, 0.5);
/// # Ok(()) }
/// ```
///
/// # Errors
/// `fit` and `evaluate` fail for one-hot targets.
///
/// Keras: `SparseCategoricalAccuracy`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct SparseCategoricalAccuracy {
    #[serde(flatten)]
    base: Base,
}

impl CategoricalAccuracy {
    /// The metric.
    pub fn new() -> Self {
        Self {
            base: Base::new("categorical_accuracy"),
        }
    }

    metric_setters!();
}

impl SparseCategoricalAccuracy {
    /// The metric.
    pub fn new() -> Self {
        Self {
            base: Base::new("sparse_categorical_accuracy"),
        }
    }

    metric_setters!();
}

default_is_new!(CategoricalAccuracy SparseCategoricalAccuracy);

impl Metric for CategoricalAccuracy {
    metric_access!("CategoricalAccuracy", Some(Direction::Up));

    fn counter(&self) -> Box<dyn Counter> {
        Box::new(RuleCounter::new(Some(Rule::Categorical)))
    }

    fn check(&self, target_shape: &[usize], output_shape: &[usize]) -> Result<()> {
        Rule::Categorical.check(target_shape, output_shape)
    }
}

impl Metric for SparseCategoricalAccuracy {
    metric_access!("SparseCategoricalAccuracy", Some(Direction::Up));

    fn counter(&self) -> Box<dyn Counter> {
        Box::new(RuleCounter::new(Some(Rule::Sparse)))
    }

    fn check(&self, target_shape: &[usize], output_shape: &[usize]) -> Result<()> {
        Rule::Sparse.check(target_shape, output_shape)
    }
}
