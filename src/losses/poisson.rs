use super::{EPSILON, Loss, formulas, loss_access, plain_loss};
use crate::Result;
use candle_core::Tensor;

plain_loss! {
    /// How surprising counts are for a Poisson distribution of mean `y_pred`, but for a term that
    /// `y_pred` has no part in: loss = mean (y_pred - y_true · ln(y_pred + 1e-7)) over the last
    /// axis.
    ///
    /// Outputs must not be below 0: end the model with an exponential or softplus.
    ///
    /// # Shapes
    /// `y_true` and `y_pred` (batch, .., outputs), or `y_true` (batch) for one output.
    ///
    /// ```
    /// use candle_keras::{losses::{Loss, Poisson}, prelude::*};
    /// # fn main() -> anyhow::Result<()> {
    /// let y_true = Tensor::new(&[[2f32]], &Device::Cpu)?;
    /// let y_pred = Tensor::new(&[[3f32]], &Device::Cpu)?;
    /// let loss = Poisson::new().call(&y_true, &y_pred)?.to_vec1::<f32>()?;
    /// assert!((loss[0] - (3.0 - 2.0 * 3f32.ln())).abs() < 1e-6);
    /// # Ok(()) }
    /// ```
    ///
    /// Keras: `Poisson`.
    pub struct Poisson;
}

impl Loss for Poisson {
    fn name(&self) -> &str {
        "poisson"
    }

    loss_access!("Poisson");

    fn call(&self, y_true: &Tensor, y_pred: &Tensor) -> Result<Tensor> {
        let (y, p) = formulas::pair(y_true, y_pred)?;
        let expected = (y * (&p + EPSILON)?.log()?)?;
        formulas::mean(&(p - expected)?)
    }
}
