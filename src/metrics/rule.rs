use super::{Counter, RunningMean, shapes};
use crate::{Result, losses::aligned, ops};
use candle_core::{D, DType, Tensor};

/// What makes an output, or a row of outputs, right.
#[derive(Debug, Clone, Copy)]
pub(super) enum Rule {
    /// The output is the target.
    Equal,
    /// The output lies on its target's side of the threshold, 0 or 1.
    Binary(f32),
    /// The row's greatest output is where its greatest target is.
    Categorical,
    /// The row's greatest output is its label's.
    Sparse,
    /// Fewer than k outputs are greater than the one where the greatest target is.
    TopK(usize),
    /// Fewer than k outputs are greater than the label's.
    SparseTopK(usize),
    /// The label is among the row's first k outputs, which are labels as well.
    SortedLabels(usize),
}

impl Rule {
    /// What the shapes of one sample's targets and outputs ask for.
    pub(super) fn of(target: &[usize], output: &[usize]) -> Self {
        match (target, output) {
            (_, [] | [.., 1]) => Self::Binary(0.5),
            ([.., 1], _) => Self::Sparse,
            _ if target.len() < output.len() => Self::Sparse,
            _ => Self::Categorical,
        }
    }

    /// An error unless targets of shape (None, `target`) fit outputs of shape (None, `output`).
    pub(super) fn check(self, target: &[usize], output: &[usize]) -> Result<()> {
        match self {
            Self::Equal | Self::Binary(_) => shapes::same(target, output),
            Self::Categorical | Self::TopK(_) => shapes::one_hot(target, output),
            Self::Sparse | Self::SparseTopK(_) | Self::SortedLabels(_) => {
                shapes::labels(target, output)
            }
        }
    }

    /// Whether each output is judged, not each row of them.
    fn judges_outputs(self) -> bool {
        matches!(self, Self::Equal | Self::Binary(_))
    }

    /// 1 for what is right and 0 for the rest, in candle's operations.
    fn right(self, y_true: &Tensor, y_pred: &Tensor) -> Result<Tensor> {
        let right = match self {
            Self::Equal => y_true.eq(y_pred)?,
            Self::Binary(threshold) => {
                let yes = y_pred.gt(f64::from(threshold))?;
                yes.to_dtype(y_true.dtype())?.eq(y_true)?
            }
            Self::Categorical => y_true.argmax(D::Minus1)?.eq(&y_pred.argmax(D::Minus1)?)?,
            Self::Sparse => {
                let greatest = y_pred.argmax(D::Minus1)?;
                let labels = y_true.reshape(greatest.shape())?;
                greatest.to_dtype(labels.dtype())?.eq(&labels)?
            }
            Self::TopK(k) => in_top_k(&y_true.argmax_keepdim(D::Minus1)?, y_pred, k)?,
            Self::SparseTopK(k) => in_top_k(&column(y_true, y_pred)?, y_pred, k)?,
            Self::SortedLabels(k) => {
                let first = y_pred.narrow(D::Minus1, 0, k.min(y_pred.dim(D::Minus1)?))?;
                let found = column(y_true, y_pred)?.broadcast_eq(&first)?;
                found.to_dtype(DType::F32)?.sum(D::Minus1)?.gt(0.0)?
            }
        };
        Ok(right.to_dtype(DType::F32)?)
    }

    /// The same of numbers in memory, in rows of `width` outputs: `see` is told of each in order.
    fn judge(self, targets: &[f32], outputs: &[f32], width: usize, see: impl FnMut(bool)) {
        let rows = outputs.chunks_exact(width);
        match self {
            Self::Equal => outputs
                .iter()
                .zip(targets)
                .map(|(p, y)| p == y)
                .for_each(see),
            Self::Binary(threshold) => {
                let sides = outputs
                    .iter()
                    .map(|p| if *p > threshold { 1.0 } else { 0.0 });
                sides.zip(targets).map(|(side, y)| side == *y).for_each(see);
            }
            Self::Categorical => rows
                .zip(targets.chunks_exact(width))
                .map(|(row, y)| first_greatest(row) == first_greatest(y))
                .for_each(see),
            Self::Sparse => rows
                .zip(targets)
                .map(|(row, y)| first_greatest(row) as f32 == *y)
                .for_each(see),
            Self::TopK(k) => rows
                .zip(targets.chunks_exact(width))
                .map(|(row, y)| row_has_in_top_k(row, first_greatest(y) as f32, k))
                .for_each(see),
            Self::SparseTopK(k) => rows
                .zip(targets)
                .map(|(row, y)| row_has_in_top_k(row, *y, k))
                .for_each(see),
            Self::SortedLabels(k) => rows
                .zip(targets)
                .map(|(row, y)| row.iter().take(k).any(|p| p == y))
                .for_each(see),
        }
    }
}

/// Counts the share of what is right by a rule.
#[derive(Debug)]
pub(super) struct RuleCounter {
    /// The shapes decide where there is none.
    rule: Option<Rule>,
    mean: RunningMean,
}

impl RuleCounter {
    pub(super) fn new(rule: Option<Rule>) -> Self {
        Self {
            rule,
            mean: RunningMean::default(),
        }
    }

    fn count(
        &mut self,
        rule: Rule,
        (y_true, y_pred): (&Tensor, &Tensor),
        weights: Option<&Tensor>,
    ) -> Result<()> {
        let width = y_pred.dims().get(1..).and_then(<[usize]>::last).copied();
        let width = width.unwrap_or(1).max(1);
        let (targets, outputs) = (ops::numbers(y_true)?, ops::numbers(y_pred)?);
        if weights.is_some() {
            let mut right = Vec::new();
            let see = |is_right| right.push(if is_right { 1f32 } else { 0.0 });
            rule.judge(&targets, &outputs, width, see);
            let judged = if rule.judges_outputs() { 0 } else { 1 };
            let shape = &y_pred.dims()[..y_pred.rank() - judged];
            let right = Tensor::from_vec(right, shape, y_pred.device())?;
            return self.mean.add_weighted(&right, weights);
        }
        let (mut right, mut all) = (0usize, 0usize);
        rule.judge(&targets, &outputs, width, |is_right| {
            right += usize::from(is_right);
            all += 1;
        });
        self.mean.add_sum(right as f64, all as f64);
        Ok(())
    }
}

impl Counter for RuleCounter {
    fn update(
        &mut self,
        y_true: &Tensor,
        y_pred: &Tensor,
        sample_weight: Option<&Tensor>,
    ) -> Result<()> {
        // The outputs stay as they are: their last axis says what is to be compared.
        let y_true = &in_shape_of(y_pred, y_true)?.to_dtype(y_pred.dtype())?;
        let (target, output) = shapes::of_batch(y_true, y_pred)?;
        let rule = self.rule.unwrap_or_else(|| Rule::of(target, output));
        rule.check(target, output)?;
        if ops::in_memory(&[y_true, y_pred]) {
            return self.count(rule, (y_true, y_pred), sample_weight);
        }
        let right = rule.right(y_true, y_pred)?;
        self.mean.add_weighted(&right, sample_weight)
    }

    fn result(&mut self) -> Result<f64> {
        self.mean.result()
    }

    fn state(&mut self) -> Result<Option<Vec<f64>>> {
        self.mean.state()
    }

    fn restore(&mut self, state: &[f64]) -> bool {
        self.mean.restore(state)
    }
}

/// Targets in the shape of the outputs, where they are as many but for a last axis of length 1.
fn in_shape_of(y_pred: &Tensor, y_true: &Tensor) -> Result<Tensor> {
    let (targets, outputs) = aligned(y_true, y_pred)?;
    if targets.dims() == outputs.dims() && targets.rank() < y_pred.rank() {
        return Ok(targets.unsqueeze(targets.rank())?);
    }
    Ok(targets)
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

/// Whether fewer than `k` numbers of a row are greater than the label's. As in TensorFlow, a row
/// with a number that is not finite, and a label outside the row, are wrong.
fn row_has_in_top_k(row: &[f32], label: f32, k: usize) -> bool {
    if label < 0.0 || label.fract() != 0.0 {
        return false;
    }
    let Some(own) = row.get(label as usize) else {
        return false;
    };
    row.iter().all(|p| p.is_finite()) && row.iter().filter(|p| *p > own).count() < k
}

/// The same of labels (batch, .., 1), in candle's operations.
fn in_top_k(labels: &Tensor, y_pred: &Tensor, k: usize) -> Result<Tensor> {
    let sum = |mask: Tensor| mask.to_dtype(DType::F32)?.sum(D::Minus1);
    let classes = y_pred.dim(D::Minus1)? as u32;
    let classes = Tensor::arange(0u32, classes, y_pred.device())?.to_dtype(y_pred.dtype())?;
    let is_own = labels.to_dtype(y_pred.dtype())?.broadcast_eq(&classes)?;
    let own = is_own.where_cond(y_pred, &y_pred.zeros_like()?)?;
    let own = own.sum_keepdim(D::Minus1)?; // (batch, .., 1)
    let greater = sum(y_pred.broadcast_gt(&own)?)?;
    // x·0 is 0 for every finite x and NaN for every other, which equals nothing.
    let zeros = (y_pred * 0.0)?;
    let finite = sum(zeros.eq(&zeros)?)?.eq(classes.elem_count() as f64)?;
    let known = sum(is_own)?.eq(1.0)?;
    Ok(((greater.lt(k as f64)? * finite)? * known)?)
}

/// Labels as (batch, .., 1).
fn column(labels: &Tensor, y_pred: &Tensor) -> Result<Tensor> {
    if labels.rank() < y_pred.rank() {
        return Ok(labels.unsqueeze(labels.rank())?);
    }
    Ok(labels.clone())
}
