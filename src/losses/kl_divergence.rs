use super::{EPSILON, Loss, formulas, loss_access, plain_loss};
use crate::Result;
use candle_core::{D, Tensor};

plain_loss! {
    /// How much a distribution `y_pred` differs from `y_true`, the Kullback-Leibler divergence:
    /// loss = Σ y_true · ln(y_true / y_pred) over the last axis.
    ///
    /// Both are kept within 1e-7 and 1.
    ///
    /// # Shapes
    /// `y_true` and `y_pred` (batch, .., classes), probabilities.
    ///
    /// ```
    /// use candle_keras::{losses::{KLDivergence, Loss}, prelude::*};
    /// # fn main() -> anyhow::Result<()> {
    /// let y_true = Tensor::new(&[[0.5f32, 0.5], [1.0, 0.0]], &Device::Cpu)?;
    /// let y_pred = Tensor::new(&[[0.5f32, 0.5], [0.5, 0.5]], &Device::Cpu)?;
    /// let loss = KLDivergence::new().call(&y_true, &y_pred)?.to_vec1::<f32>()?;
    /// assert_eq!(loss[0], 0.0);
    /// assert!((loss[1] - std::f32::consts::LN_2).abs() < 1e-5);
    /// # Ok(()) }
    /// ```
    ///
    /// Keras: `KLDivergence`.
    pub struct KLDivergence;
}

impl Loss for KLDivergence {
    fn name(&self) -> &str {
        "kl_divergence"
    }

    loss_access!("KLDivergence");

    fn call(&self, y_true: &Tensor, y_pred: &Tensor) -> Result<Tensor> {
        let (y, p) = formulas::pair(y_true, y_pred)?;
        let y = formulas::clip(&y, EPSILON, 1.0)?;
        let p = formulas::clip(&p, EPSILON, 1.0)?;
        let ratio = (&y / p)?;
        Ok((y * ratio.log()?)?.sum(D::Minus1)?)
    }
}
