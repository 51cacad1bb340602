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

    /// Counts `count` numbers of which the sum is `sum`.
    pub fn add_sum(&mut self, sum: f64, count: f64) {
        self.count += count;
        self.settle_sum(sum);
    }

    /// The mean so far; NaN before the first number.
    ///
    /// # Errors
    /// When candle's operations fail.
    pub fn result(&mut self) -> Result<f64> {
        self.settle()?;
        Ok(self.total / self.count)
    }

    /// The index of the first batch whose sum is not finite, among those read from the device.
    pub(crate) fn first_not_finite(&self) -> Option<usize> {
        self.first_not_finite
    }

    /// Reads what is still on the device, in one go.
    fn settle(&mut self) -> Result<()> {
        if !self.pending.is_empty() {
            let sums = Tensor::stack(&self.pending, 0)?.to_device(&Device::Cpu)?;
            let sums = sums.to_dtype(DType::F64)?.to_vec1::<f64>()?;
            self.pending.clear();
            sums.into_iter().for_each(|sum| self.settle_sum(sum));
        }
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
