use super::{EPSILON, Loss, formulas, loss_access, plain_loss};
use crate::Result;
use candle_core::Tensor;

plain_loss! {
    /// The mean over the last axis of the error's size in percent of the target:
    /// loss = 100 · mean |y_true - y_pred| / max(|y_true|, 1e-7).
    ///
    /// A target of 0 makes the loss huge, as any error is many times as large as it.
    ///
    /// # Shapes
    /// `y_true` and `y_pred` (batch, .., outputs), or `y_true` (batch) for one output.
    ///
    /// ```
    /// use candle_keras::{losses::{Loss, MeanAbsolutePercentageError}, prelude::*};
    /// # fn main() -> anyhow::Result<()> {
    /// let y_true = Tensor::new(&[[2f32, 4.0]], &Device::Cpu)?;
    /// let y_pred = Tensor::new(&[[3f32, 4.0]], &Device::Cpu)?;
    /// let loss = MeanAbsolutePercentageError::new().call(&y_true, &y_pred)?;
    /// assert_eq!(loss.to_vec1::<f32>()?, [25.0]);
    /// # Ok(()) }
    /// ```
    ///
    /// Keras: `MeanAbsolutePercentageError`.
    pub struct MeanAbsolutePercentageError;
}

impl Loss for MeanAbsolutePercentageError {
    fn name(&self) -> &str {
        "mean_absolute_percentage_error"
    }

    loss_access!("MeanAbsolutePercentageError");

    fn call(&self, y_true: &Tensor, y_pred: &Tensor) -> Result<Tensor> {
        let (y, p) = formulas::pair(y_true, y_pred)?;
        let size = formulas::at_least(&y.abs()?, EPSILON)?;
        let share = ((y - p)? / size)?;
        Ok((formulas::mean(&formulas::absolute(&share)?)? * 100.0)?)
    }
}
