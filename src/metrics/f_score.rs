use super::base::{Base, default_is_new, metric_access, metric_setters};
use super::tally::{Batch, Tally, TallyCounter};
use super::{Counter, Direction, Metric, shapes};
use crate::{Error, Result, losses::EPSILON};
use serde::{Deserialize, Serialize};

/// How the scores of all classes become one.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Average {
    /// The score of all classes' answers counted together.
    Micro,
    /// The mean of the classes' scores.
    Macro,
    /// The mean of the classes' scores, each by how many targets of yes it has.
    Weighted,
}

/// The harmonic mean of precision and recall: F₁ = 2·precision·recall / (precision + recall).
///
/// # Shapes
/// `y_true` and `y_pred` (batch, classes).
///
/// # Defaults
/// No average: a value for each class, of which logs show the mean. No threshold: the greatest
/// outputs of a row say yes.
///
/// ```
/// use candle_keras::{metrics::{Average, F1Score, Metric}, prelude::*};
/// # fn main() -> anyhow::Result<()> {
/// let mut score = F1Score::new().average(Average::Micro).threshold(0.5).counter();
/// let y_true = Tensor::new(&[[1f32, 1., 1.], [1., 0., 0.], [1., 1., 0.]], &Device::Cpu)?;
/// let y_pred = Tensor::new(&[[0.2f32, 0.6, 0.7], [0.2, 0.6, 0.6], [0.6, 0.8, 0.]], &Device::Cpu)?;
/// score.update(&y_true, &y_pred, None)?;
/// assert!((score.result()? - 2.0 / 3.0).abs() < 1e-6);
/// # Ok(()) }
/// ```
///
/// # Errors
/// `fit` and `evaluate` fail for a threshold outside 0 to 1 or of 0, and shapes that do not fit.
///
/// Keras: `F1Score`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct F1Score {
    average: Option<Average>,
    threshold: Option<f64>,
    #[serde(flatten)]
    base: Base,
}

/// The weighted harmonic mean of precision and recall, which counts recall β times as much:
/// F_β = (1 + β²)·precision·recall / (β²·precision + recall).
///
/// # Shapes
/// `y_true` and `y_pred` (batch, classes).
///
/// # Defaults
/// β is 1. No average: a value for each class, of which logs show the mean. No threshold: the
/// greatest outputs of a row say yes.
///
/// ```
/// use candle_keras::{metrics::{Average, FBetaScore, Metric}, prelude::*};
/// # fn main() -> anyhow::Result<()> {
/// let mut score = FBetaScore::new().beta(2.0).threshold(0.5).counter();
/// let y_true = Tensor::new(&[[1f32, 1., 1.], [1., 0., 0.], [1., 1., 0.]], &Device::Cpu)?;
/// let y_pred = Tensor::new(&[[0.2f32, 0.6, 0.7], [0.2, 0.6, 0.6], [0.6, 0.8, 0.]], &Device::Cpu)?;
/// score.update(&y_true, &y_pred, None)?;
/// assert!((score.values()?[1] - 0.9090908).abs() < 1e-6);
/// # Ok(()) }
/// ```
///
/// # Errors
/// `fit` and `evaluate` fail for a β that is not above 0, a threshold outside 0 to 1 or of 0, and
/// shapes that do not fit.
///
/// Keras: `FBetaScore`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct FBetaScore {
    average: Option<Average>,
    beta: f64,
    threshold: Option<f64>,
    #[serde(flatten)]
    base: Base,
}

/// The setters that both scores have.
macro_rules! score_setters {
    () => {
        /// Makes one number of the classes' scores.
        pub fn average(mut self, average: Average) -> Self {
            self.average = Some(average);
            self
        }

        /// What an output must exceed to say yes, above 0 and at most 1.
        pub fn threshold(mut self, threshold: f64) -> Self {
            self.threshold = Some(threshold);
            self
        }

        metric_setters!();
    };
}

impl F1Score {
    /// A score for each class.
    pub fn new() -> Self {
        Self {
            average: None,
            threshold: None,
            base: Base::new("f1_score"),
        }
    }

    score_setters!();

    fn tally(&self) -> Scores {
        Scores::new(self.average, 1.0, self.threshold)
    }
}

impl FBetaScore {
    /// A score for each class, with a β of 1.
    pub fn new() -> Self {
        Self {
            average: None,
            beta: 1.0,
            threshold: None,
            base: Base::new("fbeta_score"),
        }
    }

    /// How many times as much recall counts as precision.
    pub fn beta(mut self, beta: f64) -> Self {
        self.beta = beta;
        self
    }

    score_setters!();

    fn tally(&self) -> Scores {
        Scores::new(self.average, self.beta, self.threshold)
    }
}

default_is_new!(F1Score FBetaScore);

impl Metric for F1Score {
    metric_access!("F1Score", Some(Direction::Up));

    fn counter(&self) -> Box<dyn Counter> {
        Box::new(TallyCounter::new(self.tally()))
    }

    fn check(&self, target_shape: &[usize], output_shape: &[usize]) -> Result<()> {
        self.tally().check_arguments()?;
        self.tally().check(target_shape, output_shape)
    }
}

impl Metric for FBetaScore {
    metric_access!("FBetaScore", Some(Direction::Up));

    fn counter(&self) -> Box<dyn Counter> {
        Box::new(TallyCounter::new(self.tally()))
    }

    fn check(&self, target_shape: &[usize], output_shape: &[usize]) -> Result<()> {
        self.tally().check_arguments()?;
        self.tally().check(target_shape, output_shape)
    }
}

/// Answers of yes and no of every class.
#[derive(Debug)]
struct Scores {
    average: Option<Average>,
    beta: f64,
    threshold: Option<f64>,
    classes: Vec<Answers>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Answers {
    true_positives: f64,
    false_positives: f64,
    false_negatives: f64,
    /// The targets' sum.
    targets: f64,
}

impl Scores {
    fn new(average: Option<Average>, beta: f64, threshold: Option<f64>) -> Self {
        Self {
            average,
            beta,
            threshold,
            classes: Vec::new(),
        }
    }

    fn check_arguments(&self) -> Result<()> {
        if !(self.beta > 0.0 && self.beta.is_finite()) {
            let advice = "1 counts precision and recall the same, 2 recall more";
            return Err(Error::argument(
                "beta",
                "a number above 0",
                self.beta,
                advice,
            ));
        }
        match self.threshold {
            Some(threshold) if !(threshold > 0.0 && threshold <= 1.0) => {
                let advice = "leave it out for the greatest output of each row";
                let expected = "a number above 0, at most 1";
                Err(Error::argument("threshold", expected, threshold, advice))
            }
            _ => Ok(()),
        }
    }

    /// Adds one row's answers.
    fn add_row(&mut self, targets: &[f32], outputs: &[f32], weight: f64) {
        let greatest = outputs.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        for ((answers, y), p) in self.classes.iter_mut().zip(targets).zip(outputs) {
            let says_yes = match self.threshold {
                Some(threshold) => *p > threshold as f32,
                // An output of 0 never says yes, even as the greatest: Keras's 1e-9.
                None => *p >= greatest && p.abs() > 1e-9,
            };
            let y = f64::from(*y);
            if says_yes {
                answers.true_positives += weight * y;
                answers.false_positives += weight * (1.0 - y);
            } else {
                answers.false_negatives += weight * y;
            }
            answers.targets += weight * y;
        }
    }

    /// Keras keeps the denominators from 0 by its epsilon.
    fn score(&self, answers: &Answers) -> f64 {
        let found = answers.true_positives;
        let precision = found / (found + answers.false_positives + EPSILON);
        let recall = found / (found + answers.false_negatives + EPSILON);
        let square = self.beta * self.beta;
        (1.0 + square) * precision * recall / (square * precision + recall + EPSILON)
    }
}

impl Tally for Scores {
    fn check(&self, target: &[usize], output: &[usize]) -> Result<()> {
        shapes::matrix(target, output)
    }

    fn add(&mut self, batch: &Batch<'_>) {
        let width = batch.width();
        self.classes.resize(width, Answers::default());
        let rows = batch
            .y_true
            .chunks(width.max(1))
            .zip(batch.y_pred.chunks(width.max(1)));
        for (row, (targets, outputs)) in rows.enumerate() {
            self.add_row(targets, outputs, batch.weight(row * width));
        }
    }

    fn values(&self) -> Vec<f64> {
        let scores = self.classes.iter().map(|answers| self.score(answers));
        match self.average {
            None => scores.collect(),
            Some(Average::Micro) => {
                let mut all = Answers::default();
                for class in &self.classes {
                    all.true_positives += class.true_positives;
                    all.false_positives += class.false_positives;
                    all.false_negatives += class.false_negatives;
                }
                vec![self.score(&all)]
            }
            Some(Average::Macro) => vec![scores.sum::<f64>() / self.classes.len().max(1) as f64],
            Some(Average::Weighted) => {
                let total: f64 = self.classes.iter().map(|class| class.targets).sum();
                let shares = self
                    .classes
                    .iter()
                    .map(|class| class.targets / (total + EPSILON));
                vec![scores.zip(shares).map(|(score, share)| score * share).sum()]
            }
        }
    }

    fn sums(&self) -> Vec<f64> {
        let sums = self.classes.iter().flat_map(|class| {
            [
                class.true_positives,
                class.false_positives,
                class.false_negatives,
                class.targets,
            ]
        });
        sums.collect()
    }

    fn restore(&mut self, sums: &[f64]) -> bool {
        let (classes, rest) = sums.as_chunks();
        let classes = classes.iter().map(|sums| {
            let [true_positives, false_positives, false_negatives, targets] = *sums;
            Answers {
                true_positives,
                false_positives,
                false_negatives,
                targets,
            }
        });
        self.classes = classes.collect();
        rest.is_empty()
    }
}
