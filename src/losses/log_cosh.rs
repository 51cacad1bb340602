use super::{Loss, formulas, loss_access, plain_loss};
use crate::Result;
use candle_core::Tensor;

plain_loss! {
    /// The mean over the last axis of ln cosh of the error e = y_pred - y_true: about e²/2 for small
    /// errors and |e| - ln 2 for large ones.
    ///
    /// It is computed as e + ln(1 + e^-2e) - ln 2, which is finite for errors of ±1e4.
    ///
    /// # Shapes
    /// `y_true` and `y_pred` (batch, .., outputs), or `y_true` (batch) for one output.
    ///
    /// ```
    /// use candle_keras::{losses::{LogCosh, Loss}, prelude::*};
    /// # fn main() -> anyhow::Result<()> {
    /// let y_true = Tensor::new(&[[0f32]], &Device::Cpu)?;
    /// let y_pred = Tensor::new(&[[2f32]], &Device::Cpu)?;
    /// let loss = LogCosh::new().call(&y_true, &y_pred)?.to_vec1::<f32>()?;
    /// assert!((loss[0] - 2f32.cosh().ln()).abs() < 1e-6);
    /// # Ok(()) }
    /// ```
    ///
    /// Keras: `LogCosh`.
    pub struct LogCosh;
}

impl Loss for LogCosh {
    fn name(&self) -> &str {
        "log_cosh"
    }

    loss_access!("LogCosh");

    fn call(&self, y_true: &Tensor, y_pred: &Tensor) -> Result<Tensor> {
        let error = formulas::error(y_true, y_pred)?;
        let softplus = formulas::softplus(&(&error * -2.0)?)?;
        formulas::mean(&((error + softplus)? - std::f64::consts::LN_2)?)
    }
}
