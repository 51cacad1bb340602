use super::{Counter, RunningMean, shapes};
use crate::{Result, losses::aligned, losses::spread};
use candle_core::Tensor;
use std::fmt::Debug;

/// Values of samples, of which a metric is the mean.
pub(super) trait Values: Debug + Send + Sync {
    /// An error unless targets of shape (None, `target`) fit outputs of shape (None, `output`).
    fn check(&self, target: &[usize], output: &[usize]) -> Result<()>;

    /// One value or several for every sample, from targets in the outputs' number type.
    fn values(&self, y_true: &Tensor, y_pred: &Tensor) -> Result<Tensor>;

    /// Which values count, 1 or 0 in their shape. Keras divides by those that do not as well,
    /// unless samples have weights.
    fn mask(&self, y_true: &Tensor) -> Result<Option<Tensor>> {
        let _ = y_true;
        Ok(None)
    }
}

/// Counts the mean of values.
#[derive(Debug)]
pub(super) struct MeanCounter<V> {
    values: V,
    mean: RunningMean,
}

impl<V: Values> MeanCounter<V> {
    pub(super) fn new(values: V) -> Self {
        Self {
            values,
            mean: RunningMean::default(),
        }
    }
}

impl<V: Values> Counter for MeanCounter<V> {
    fn update(
        &mut self,
        y_true: &Tensor,
        y_pred: &Tensor,
        sample_weight: Option<&Tensor>,
    ) -> Result<()> {
        let (y_true, y_pred) = &aligned(y_true, y_pred)?;
        let y_true = y_true.to_dtype(y_pred.dtype())?;
        let (target, output) = shapes::of_batch(&y_true, y_pred)?;
        self.values.check(target, output)?;
        if y_pred.elem_count() == 0 {
            return Ok(()); // candle has no maximum of nothing
        }
        let mut values = self.values.values(&y_true, y_pred)?;
        let mut weights = match sample_weight {
            Some(weights) => Some(spread(weights, &values)?),
            None => None,
        };
        if let Some(mask) = self.values.mask(&y_true)? {
            let mask = mask.to_dtype(values.dtype())?.reshape(values.shape())?;
            values = (values * &mask)?;
            weights = weights.map(|weights| weights * mask).transpose()?;
        }
        self.mean.add_weighted(&values, weights.as_ref())
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
