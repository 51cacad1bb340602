use super::{Counter, Metric, RunningMean};
use crate::{Result, losses::aligned, ops};
use candle_core::{D, DType, Tensor};

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
/// accuracy.update(&y_true, &y_pred)?;
/// assert_eq!(accuracy.result()?, 0.5);
/// # Ok(()) }
/// ```
///
/// Keras: `"accuracy"`.
#[derive(Debug, Clone, Copy)]
pub struct Accuracy;

impl Metric for Accuracy {
    fn name(&self) -> &str {
        "accuracy"
    }

    fn counter(&self) -> Box<dyn Counter> {
        Box::new(AccuracyCounter::default())
    }
}

#[derive(Debug, Default)]
struct AccuracyCounter(RunningMean);

/// What the shapes of targets and outputs ask for.
enum Rule {
    Binary,
    Sparse,
    Categorical,
}

impl Rule {
    fn of(y_true: &Tensor, y_pred: &Tensor) -> Result<Self> {
        Ok(if y_pred.dim(D::Minus1)? == 1 {
            Self::Binary
        } else if y_true.rank() < y_pred.rank() || y_true.dim(D::Minus1)? == 1 {
            Self::Sparse
        } else {
            Self::Categorical
        })
    }
}

impl Counter for AccuracyCounter {
    fn update(&mut self, y_true: &Tensor, y_pred: &Tensor) -> Result<()> {
        let y_true = &aligned(y_true, y_pred)?;
        let rule = Rule::of(y_true, y_pred)?;
        let width = y_pred.dim(D::Minus1)?;
        if ops::in_memory(&[y_true, y_pred]) {
            let (y_true, y_pred) = (ops::numbers(y_true)?, ops::numbers(y_pred)?);
            let right = count_right(&rule, &y_true, &y_pred, width);
            self.0.add_sum(right as f64, (y_pred.len() / width) as f64);
            return Ok(());
        }
        let right = match rule {
            Rule::Binary => y_pred.gt(0.5)?.to_dtype(y_true.dtype())?.eq(y_true)?,
            Rule::Sparse => {
                let greatest = y_pred.argmax(D::Minus1)?;
                y_true
                    .reshape(greatest.shape())?
                    .to_dtype(DType::U32)?
                    .eq(&greatest)?
            }
            Rule::Categorical => y_true.argmax(D::Minus1)?.eq(&y_pred.argmax(D::Minus1)?)?,
        };
        self.0.add(&right.to_dtype(DType::F32)?)
    }

    fn result(&mut self) -> Result<f64> {
        self.0.result()
    }
}

/// How many rows of `width` outputs are right.
fn count_right(rule: &Rule, targets: &[f32], outputs: &[f32], width: usize) -> usize {
    let rows = outputs.chunks_exact(width);
    match rule {
        Rule::Binary => {
            let sides = outputs.iter().map(|p| if *p > 0.5 { 1.0 } else { 0.0 });
            sides.zip(targets).filter(|(side, y)| side == *y).count()
        }
        Rule::Sparse => rows
            .zip(targets)
            .filter(|(row, y)| first_greatest(row) as f32 == **y)
            .count(),
        Rule::Categorical => rows
            .zip(targets.chunks_exact(width))
            .filter(|(row, y)| first_greatest(row) == first_greatest(y))
            .count(),
    }
}

/// The index of the greatest number; of equal ones the first.
fn first_greatest(row: &[f32]) -> usize {
    let mut best = (0, row.first().copied().unwrap_or_default());
    for (index, value) in row.iter().enumerate() {
        // Without a branch, which would be guessed wrong once or twice a row.
        best = if *value > best.1 {
            (index, *value)
        } else {
            best
        };
    }
    best.0
}
