use super::base::{Base, default_is_new, metric_access, metric_setters};
use super::tally::{Batch, Tally, TallyCounter};
use super::{Counter, Direction, Metric, shapes};
use crate::Result;
use serde::{Deserialize, Serialize};

/// How the scores of all outputs become one.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ClassAggregation {
    /// Their mean.
    UniformAverage,
    /// Their mean, each by its targets' variance.
    VarianceWeightedAverage,
}

/// The share of the targets' variance that outputs explain:
/// R² = 1 - Σ (y_true - y_pred)² / Σ (y_true - mean y_true)². 1 is without an error, 0 is as good
/// as the mean.
///
/// A score that is infinite, of targets that are all the same, counts as 0. Sums are those of
/// distances from the first target, so that such targets have no variance from rounding.
///
/// # Shapes
/// `y_true` and `y_pred` (batch, outputs), or `y_true` (batch) for one output.
///
/// # Defaults
/// The mean of the outputs' scores, without an adjustment.
///
/// ```
/// use candle_keras::{metrics::{Metric, R2Score}, prelude::*};
/// # fn main() -> anyhow::Result<()> {
/// let mut score = R2Score::new().counter();
/// let y_true = Tensor::new(&[[1f32], [4.], [3.]], &Device::Cpu)?;
/// let y_pred = Tensor::new(&[[2f32], [4.], [4.]], &Device::Cpu)?;
/// score.update(&y_true, &y_pred, None)?;
/// assert!((score.result()? - 4.0 / 7.0).abs() < 1e-6);
/// # Ok(()) }
/// ```
///
/// # Errors
/// `fit` and `evaluate` fail for shapes that do not fit.
///
/// Keras: `R2Score`. It also counts n of the adjustment in numbers, not in samples: twice as many
/// for two outputs.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct R2Score {
    class_aggregation: Option<ClassAggregation>,
    num_regressors: usize,
    #[serde(flatten)]
    base: Base,
}

impl R2Score {
    /// The mean of the outputs' scores.
    pub fn new() -> Self {
        Self {
            class_aggregation: Some(ClassAggregation::UniformAverage),
            num_regressors: 0,
            base: Base::new("r2_score"),
        }
    }

    /// How the outputs' scores become one; `None` gives a value for each, of which logs show the
    /// mean.
    pub fn class_aggregation(
        mut self,
        class_aggregation: impl Into<Option<ClassAggregation>>,
    ) -> Self {
        self.class_aggregation = class_aggregation.into();
        self
    }

    /// Adjusts the score R² for p independent variables and n targets:
    /// 1 - (1 - R²)·(n - 1)/(n - p - 1). There is no adjustment for a p of 0 or of n - 1 and more.
    pub fn num_regressors(mut self, num_regressors: usize) -> Self {
        self.num_regressors = num_regressors;
        self
    }

    metric_setters!();

    fn tally(&self) -> Scores {
        Scores {
            class_aggregation: self.class_aggregation,
            num_regressors: self.num_regressors,
            targets: 0,
            outputs: Vec::new(),
        }
    }
}

default_is_new!(R2Score);

impl Metric for R2Score {
    metric_access!("R2Score", Some(Direction::Up));

    fn counter(&self) -> Box<dyn Counter> {
        Box::new(TallyCounter::new(self.tally()))
    }

    fn check(&self, target_shape: &[usize], output_shape: &[usize]) -> Result<()> {
        if target_shape.is_empty() && output_shape == [1] {
            return Ok(());
        }
        shapes::matrix(target_shape, output_shape)
    }
}

/// Weighted sums of every output.
#[derive(Debug)]
struct Scores {
    class_aggregation: Option<ClassAggregation>,
    num_regressors: usize,
    /// How many targets there were.
    targets: usize,
    outputs: Vec<Sums>,
}

/// Targets are counted by their distance from the first.
#[derive(Debug, Clone, Copy, Default)]
struct Sums {
    first: Option<f64>,
    weights: f64,
    targets: f64,
    squared_targets: f64,
    squared_errors: f64,
}

impl Sums {
    fn add(&mut self, y: f64, p: f64, weight: f64) {
        let distance = y - *self.first.get_or_insert(y);
        self.weights += weight;
        self.targets += weight * distance;
        self.squared_targets += weight * distance * distance;
        self.squared_errors += weight * (y - p) * (y - p);
    }

    /// The targets' squared distances from their mean.
    fn variation(&self) -> f64 {
        self.squared_targets - self.targets * self.targets / self.weights
    }

    fn score(&self) -> f64 {
        let score = 1.0 - self.squared_errors / self.variation();
        if score.is_infinite() { 0.0 } else { score }
    }
}

impl Scores {
    fn adjusted(&self, score: f64) -> f64 {
        let (n, p) = (self.targets as f64, self.num_regressors as f64);
        if self.num_regressors == 0 || p >= n - 1.0 {
            return score;
        }
        1.0 - (1.0 - score) * (n - 1.0) / (n - p - 1.0)
    }
}

impl Tally for Scores {
    fn check(&self, target: &[usize], output: &[usize]) -> Result<()> {
        shapes::matrix(target, output)
    }

    fn add(&mut self, batch: &Batch<'_>) {
        let width = batch.width().max(1);
        self.outputs.resize(width, Sums::default());
        self.targets += batch.y_true.len();
        let pairs = batch.y_true.iter().zip(batch.y_pred);
        for (index, (y, p)) in pairs.enumerate() {
            let weight = batch.weight(index);
            self.outputs[index % width].add(f64::from(*y), f64::from(*p), weight);
        }
    }

    fn values(&self) -> Vec<f64> {
        let scores = self.outputs.iter().map(Sums::score);
        let scores: Vec<f64> = match self.class_aggregation {
            None => scores.collect(),
            Some(ClassAggregation::UniformAverage) => {
                vec![scores.sum::<f64>() / self.outputs.len() as f64]
            }
            Some(ClassAggregation::VarianceWeightedAverage) => {
                let variations = self.outputs.iter().map(Sums::variation);
                let total: f64 = variations.clone().sum();
                let weighted = scores.zip(variations).map(|(score, weight)| score * weight);
                vec![weighted.sum::<f64>() / total]
            }
        };
        scores
            .into_iter()
            .map(|score| self.adjusted(score))
            .collect()
    }

    fn sums(&self) -> Vec<f64> {
        let sums = self.outputs.iter().flat_map(|sums| {
            [
                f64::from(u8::from(sums.first.is_some())),
                sums.first.unwrap_or_default(),
                sums.weights,
                sums.targets,
                sums.squared_targets,
                sums.squared_errors,
            ]
        });
        [self.targets as f64].into_iter().chain(sums).collect()
    }

    fn restore(&mut self, sums: &[f64]) -> bool {
        let Some((count, sums)) = sums.split_first() else {
            return false;
        };
        let Some(targets) = super::whole(*count) else {
            return false;
        };
        let (outputs, rest) = sums.as_chunks();
        let outputs = outputs.iter().map(|sums| {
            let [
                has_first,
                first,
                weights,
                targets,
                squared_targets,
                squared_errors,
            ] = *sums;
            Sums {
                first: (has_first == 1.0).then_some(first),
                weights,
                targets,
                squared_targets,
                squared_errors,
            }
        });
        self.targets = targets;
        self.outputs = outputs.collect();
        rest.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::{Device, Tensor};

    #[test]
    fn targets_that_are_all_the_same_have_no_variance_whatever_they_are() {
        for (target, count) in [(0.1f32, 100), (1e6, 7), (-3.3, 1)] {
            let y_true = Tensor::full(target, (count, 1), &Device::Cpu).unwrap();
            let off = |by: f64| {
                let mut counter = R2Score::new().counter();
                let y_pred = (&y_true + by).unwrap();
                counter.update(&y_true, &y_pred, None).unwrap();
                counter.update(&y_true, &y_pred, None).unwrap();
                counter.result().unwrap()
            };
            // -infinity, which counts as 0, and 0/0, as in Keras.
            assert_eq!(off(0.5), 0.0, "{target}");
            assert!(off(0.0).is_nan(), "{target}");
        }
    }

    #[test]
    fn a_variance_far_from_zero_keeps_its_digits() {
        let y_true = Tensor::new(
            &[[16_000_001f32], [16_000_004.0], [16_000_003.0]],
            &Device::Cpu,
        );
        let y_pred = Tensor::new(
            &[[16_000_002f32], [16_000_004.0], [16_000_004.0]],
            &Device::Cpu,
        );
        let mut counter = R2Score::new().counter();
        counter
            .update(&y_true.unwrap(), &y_pred.unwrap(), None)
            .unwrap();
        assert!((counter.result().unwrap() - 4.0 / 7.0).abs() < 1e-12);
    }
}
