use super::{EPSILON, Loss, formulas, loss_access, plain_loss};
use crate::Result;
use candle_core::Tensor;

plain_loss! {
    /// The mean over the last axis of the squared difference of logarithms:
    /// loss = mean (ln(y_pred + 1) - ln(y_true + 1))², for counts and prices, where a factor matters
    /// rather than a difference.
    ///
    /// Numbers below 1e-7 count as that, and outputs there get no gradient.
    ///
    /// # Shapes
    /// `y_true` and `y_pred` (batch, .., outputs), or `y_true` (batch) for one output.
    ///
    /// ```
    /// use candle_keras::{losses::{Loss, MeanSquaredLogarithmicError}, prelude::*};
    /// # fn main() -> anyhow::Result<()> {
    /// let y_true = Tensor::new(&[[1f32]], &Device::Cpu)?;
    /// let y_pred = Tensor::new(&[[3f32]], &Device::Cpu)?;
    /// let loss = MeanSquaredLogarithmicError::new().call(&y_true, &y_pred)?.to_vec1::<f32>()?;
    /// assert!((loss[0] - std::f32::consts::LN_2.powi(2)).abs() < 1e-6);
    /// # Ok(()) }
    /// ```
    ///
    /// Keras: `MeanSquaredLogarithmicError`.
    pub struct MeanSquaredLogarithmicError;
}

impl Loss for MeanSquaredLogarithmicError {
    fn name(&self) -> &str {
        "mean_squared_logarithmic_error"
    }

    loss_access!("MeanSquaredLogarithmicError");

    fn call(&self, y_true: &Tensor, y_pred: &Tensor) -> Result<Tensor> {
        let logarithm = |numbers: &Tensor| -> Result<Tensor> {
            Ok((formulas::at_least(numbers, EPSILON)? + 1.0)?.log()?)
        };
        let (y, p) = formulas::pair(y_true, y_pred)?;
        formulas::mean(&(logarithm(&p)? - logarithm(&y)?)?.sqr()?)
    }
}
