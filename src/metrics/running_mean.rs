use crate::{Result, ops};
use candle_core::{DType, Device, Tensor};

/// A mean over samples that come in batches.
///
/// A device's numbers stay on it until the mean is asked for, so that counting never waits.
///
/// ```
/// use candle_keras::{metrics::RunningMean, prelude::*};
/// # fn main() -> anyhow::Result<()> {
/// let mut mean = RunningMean::default();
/// mean.add(&Tensor::new(&[1f32, 2.0], &Device::Cpu)?)?;
/// mean.add(&Tensor::new(&[6f32], &Device::Cpu)?)?;
/// assert_eq!(mean.result()?, 3.0);
/// # Ok(()) }
/// ```
#[derive(Debug, Default)]
pub struct RunningMean {
    total: f64,
    count: f64,
    /// Sums of batches that are still on a device.
    pending: Vec<Tensor>,
    /// The same of their weights, where they have some.
    pending_counts: Vec<Tensor>,
    batches: usize,
    first_not_finite: Option<usize>,
}

impl RunningMean {
    /// Counts the numbers of a tensor of any shape.
    ///
    /// # Errors
    /// When candle's operations fail.
    pub fn add(&mut self, values: &Tensor) -> Result<()> {
        let count = values.elem_count() as f64;
        if ops::in_memory(&[values]) {
            let values = ops::numbers(values)?;
            self.add_sum(values.iter().map(|x| f64::from(*x)).sum(), count);
            return Ok(());
        }
        self.pending.push(values.detach().sum_all()?);
        self.count += count;
        if values.device().is_cpu() {
            self.settle()?;
        }
        Ok(())
    }

    /// Counts numbers, each as often as its weight says, of the same shape or one to which it can
    /// be broadcast; all once where there are none.
    ///
    /// # Errors
    /// When the shapes do not fit, or candle's operations fail.
    pub fn add_weighted(&mut self, values: &Tensor, weights: Option<&Tensor>) -> Result<()> {
        let Some(weights) = weights else {
            return self.add(values);
        };
        let weights = crate::losses::spread(weights, values)?;
        let sums = [(values * &weights)?.sum_all()?, weights.sum_all()?];
        if values.device().is_cpu() {
            let number = |sum: &Tensor| sum.to_dtype(DType::F64)?.to_scalar::<f64>();
            self.add_sum(number(&sums[0])?, number(&sums[1])?);
            return Ok(());
        }
        let [sum, count] = sums;
        self.pending.push(sum.detach());
        self.pending_counts.push(count.detach());
        Ok(())
    }

    /// Counts `count` numbers of which the mean is the sum of all terms, each (numbers to sum up,
    /// factor). Gives the numbers' sum where that is known without waiting for a device.
    pub(crate) fn add_terms<'a>(
        &mut self,
        terms: impl Iterator<Item = &'a (Tensor, f64)>,
        count: f64,
    ) -> Result<Option<f64>> {
        let mut sum = 0.0;
        let mut on_device: Option<Tensor> = None;
        for (numbers, factor) in terms {
            let factor = factor * count;
            if ops::in_memory(&[numbers]) {
                let numbers = ops::numbers(numbers)?;
                sum += factor * numbers.iter().map(|x| f64::from(*x)).sum::<f64>();
                continue;
            }
            let term = (numbers.detach().sum_all()? * factor)?;
            if numbers.device().is_cpu() {
                sum += term.to_dtype(DType::F64)?.to_scalar::<f64>()?;
                continue;
            }
            on_device = Some(match on_device {
                Some(others) => (others + term)?,
                None => term,
            });
        }
        self.count += count;
        if let Some(term) = on_device {
            self.pending.push((term + sum)?);
            return Ok(None);
        }
        self.settle_sum(sum);
        Ok(Some(sum))
    }

    /// Counts `count` numbers of which the sum is `sum`.
    pub fn add_sum(&mut self, sum: f64, count: f64) {
        self.count += count;
        self.settle_sum(sum);
    }

    /// The mean so far; 0 before the first number and where all weights are 0, as in Keras.
    ///
    /// # Errors
    /// When candle's operations fail.
    pub fn result(&mut self) -> Result<f64> {
        self.settle()?;
        if self.count == 0.0 {
            return Ok(0.0);
        }
        Ok(self.total / self.count)
    }

    /// The same of numbers that there must be: NaN before the first one.
    pub(crate) fn result_of_some(&mut self) -> Result<f64> {
        let mean = self.result()?;
        Ok(if self.count == 0.0 { f64::NAN } else { mean })
    }

    /// The index of the first batch whose sum is not finite, among those read from the device.
    pub(crate) fn first_not_finite(&self) -> Option<usize> {
        self.first_not_finite
    }

    /// What was counted so far, for [`Counter::state`](super::Counter::state). Waits for the device.
    ///
    /// # Errors
    /// When candle's operations fail.
    pub fn state(&mut self) -> Result<Option<Vec<f64>>> {
        self.settle()?;
        Ok(Some(vec![self.total, self.count, self.batches as f64]))
    }

    /// Goes on from what [`state`](Self::state) gave; whether it is such a state.
    pub fn restore(&mut self, state: &[f64]) -> bool {
        let [total, count, batches] = *state else {
            return false;
        };
        let Some(batches) = super::whole(batches) else {
            return false;
        };
        *self = Self {
            total,
            count,
            batches,
            ..Self::default()
        };
        true
    }

    /// Reads what is still on the device, in one go.
    fn settle(&mut self) -> Result<()> {
        let read = |pending: &mut Vec<Tensor>| -> Result<Vec<f64>> {
            if pending.is_empty() {
                return Ok(Vec::new());
            }
            let sums = Tensor::stack(pending, 0)?.to_device(&Device::Cpu)?;
            pending.clear();
            Ok(sums.to_dtype(DType::F64)?.to_vec1()?)
        };
        let sums = read(&mut self.pending)?;
        sums.into_iter().for_each(|sum| self.settle_sum(sum));
        self.count += read(&mut self.pending_counts)?.iter().sum::<f64>();
        Ok(())
    }

    fn settle_sum(&mut self, sum: f64) {
        if !sum.is_finite() && self.first_not_finite.is_none() {
            self.first_not_finite = Some(self.batches);
        }
        self.batches += 1;
        self.total += sum;
    }
}
