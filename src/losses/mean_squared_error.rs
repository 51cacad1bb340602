use super::{Loss, formulas, loss_access, plain_loss};
use crate::Result;
use candle_core::{D, Tensor};

plain_loss! {
    /// The mean of the squared error over the last axis: loss = mean (y_pred - y_true)².
    ///
    /// # Shapes
    /// `y_true` and `y_pred` (batch, .., outputs), or `y_true` (batch) for one output.
    ///
    /// ```
    /// use candle_keras::{losses::{Loss, MeanSquaredError}, prelude::*};
    /// # fn main() -> anyhow::Result<()> {
    /// let y_true = Tensor::new(&[[0f32, 1.0]], &Device::Cpu)?;
    /// let y_pred = Tensor::new(&[[1f32, 3.0]], &Device::Cpu)?;
    /// assert_eq!(MeanSquaredError::new().call(&y_true, &y_pred)?.to_vec1::<f32>()?, [2.5]);
    /// # Ok(()) }
    /// ```
    ///
    /// Keras: `MeanSquaredError`.
    pub struct MeanSquaredError;
}

impl Loss for MeanSquaredError {
    fn name(&self) -> &str {
        "mean_squared_error"
    }

    loss_access!("MeanSquaredError");

    fn call(&self, y_true: &Tensor, y_pred: &Tensor) -> Result<Tensor> {
        let error = formulas::error(y_true, y_pred)?;
        formulas::mean(&error.sqr()?)
    }

    fn losses_and_gradient(
        &self,
        y_true: &Tensor,
        y_pred: &Tensor,
    ) -> Result<Option<(Tensor, Tensor)>> {
        let error = formulas::error(y_true, y_pred)?;
        let width = error.dim(D::Minus1)? as f64;
        let losses = formulas::mean(&error.sqr()?)?;
        let gradient = formulas::in_shape_of(y_pred, error.affine(2.0 / width, 0.0)?)?;
        Ok(Some((losses, gradient)))
    }
}
