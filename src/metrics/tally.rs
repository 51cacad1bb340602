use super::{Counter, shapes};
use crate::{Result, losses::aligned, losses::spread, ops};
use candle_core::{DType, Device, Tensor};
use std::fmt::Debug;

/// How many numbers of a device are held before they are counted: 64 MiB.
const MOST_HELD: usize = 1 << 24;

/// The numbers of a batch, in memory.
pub(super) struct Batch<'a> {
    pub(super) y_true: &'a [f32],
    pub(super) y_pred: &'a [f32],
    /// One for each output.
    pub(super) weights: Option<&'a [f32]>,
    /// Of the targets, with the batch's axis.
    pub(super) target_shape: &'a [usize],
    /// Of the outputs, with the batch's axis.
    pub(super) output_shape: &'a [usize],
}

impl Batch<'_> {
    /// The weight of the output at `index`.
    pub(super) fn weight(&self, index: usize) -> f64 {
        match self.weights {
            Some(weights) => weights.get(index).copied().map_or(0.0, f64::from),
            None => 1.0,
        }
    }

    /// The length of the outputs' last axis; 1 where there is none but the batch's.
    pub(super) fn width(&self) -> usize {
        match self.output_shape {
            [_, .., width] => *width,
            _ => 1,
        }
    }
}

/// Sums over samples, counted in memory, from which a metric is computed.
pub(super) trait Tally: Debug + Send + Sync {
    /// An error unless targets of shape (None, `target`) fit outputs of shape (None, `output`).
    fn check(&self, target: &[usize], output: &[usize]) -> Result<()>;

    /// Counts a batch whose shapes fit.
    fn add(&mut self, batch: &Batch<'_>);

    /// The metric's numbers so far.
    fn values(&self) -> Vec<f64>;

    /// The sums so far.
    fn sums(&self) -> Vec<f64>;

    /// Goes on from sums; whether they are those of such a tally.
    fn restore(&mut self, sums: &[f64]) -> bool;
}

/// Counts a tally.
///
/// A device's batches stay on it until the numbers are asked for, or there are many, so that
/// counting seldom waits. Numbers are taken as f32, as Keras does.
#[derive(Debug)]
pub(super) struct TallyCounter<T> {
    tally: T,
    held: Vec<Held>,
    numbers_held: usize,
}

#[derive(Debug)]
struct Held {
    y_true: Tensor,
    y_pred: Tensor,
    weights: Option<Tensor>,
}

impl<T: Tally> TallyCounter<T> {
    pub(super) fn new(tally: T) -> Self {
        Self {
            tally,
            held: Vec::new(),
            numbers_held: 0,
        }
    }

    /// Keeps copies of a device's batch: a step may write to the same memory again.
    fn hold(&mut self, y_true: &Tensor, y_pred: &Tensor, weights: Option<&Tensor>) -> Result<()> {
        self.numbers_held += y_true.elem_count() + y_pred.elem_count();
        self.held.push(Held {
            y_true: y_true.detach().copy()?,
            y_pred: y_pred.detach().copy()?,
            weights: weights.map(|weights| weights.detach().copy()).transpose()?,
        });
        if self.numbers_held > MOST_HELD {
            self.settle()?;
        }
        Ok(())
    }

    /// Counts what is still on the device.
    fn settle(&mut self) -> Result<()> {
        self.numbers_held = 0;
        for Held {
            y_true,
            y_pred,
            weights,
        } in std::mem::take(&mut self.held)
        {
            self.count(&y_true, &y_pred, weights.as_ref())?;
        }
        Ok(())
    }

    fn count(&mut self, y_true: &Tensor, y_pred: &Tensor, weights: Option<&Tensor>) -> Result<()> {
        let (y_true, y_pred) = (in_memory(y_true)?, in_memory(y_pred)?);
        let weights = weights.map(in_memory).transpose()?;
        let weights = weights.as_ref().map(ops::numbers).transpose()?;
        self.tally.add(&Batch {
            y_true: &ops::numbers(&y_true)?,
            y_pred: &ops::numbers(&y_pred)?,
            weights: weights.as_deref(),
            target_shape: y_true.dims(),
            output_shape: y_pred.dims(),
        });
        Ok(())
    }
}

impl<T: Tally> Counter for TallyCounter<T> {
    fn update(
        &mut self,
        y_true: &Tensor,
        y_pred: &Tensor,
        sample_weight: Option<&Tensor>,
    ) -> Result<()> {
        let (y_true, y_pred) = &aligned(y_true, y_pred)?;
        let (target, output) = shapes::of_batch(y_true, y_pred)?;
        self.tally.check(target, output)?;
        let weights = sample_weight.map(|weights| spread(weights, y_pred));
        let weights = weights.transpose()?;
        if y_pred.device().is_cpu() {
            self.count(y_true, y_pred, weights.as_ref())
        } else {
            self.hold(y_true, y_pred, weights.as_ref())
        }
    }

    fn result(&mut self) -> Result<f64> {
        let values = self.values()?;
        Ok(values.iter().sum::<f64>() / values.len().max(1) as f64)
    }

    fn values(&mut self) -> Result<Vec<f64>> {
        self.settle()?;
        Ok(self.tally.values())
    }

    fn state(&mut self) -> Result<Option<Vec<f64>>> {
        self.settle()?;
        Ok(Some(self.tally.sums()))
    }

    fn restore(&mut self, state: &[f64]) -> bool {
        self.tally.restore(state)
    }
}

/// A tensor whose numbers can be reached.
fn in_memory(tensor: &Tensor) -> Result<Tensor> {
    let tensor = tensor.to_device(&Device::Cpu)?.to_dtype(DType::F32)?;
    Ok(tensor.contiguous()?)
}
