use super::{Loss, formulas, loss_access, plain_loss};
use crate::Result;
use candle_core::{D, Tensor};

plain_loss! {
    /// How far the output of the true class is from leading all others by 1:
    /// loss = max(greatest of (1 - y_true) · y_pred - Σ y_true · y_pred + 1, 0) over the last axis.
    ///
    /// # Shapes
    /// `y_true` and `y_pred` (batch, .., classes); targets one-hot, of 0 and 1.
    ///
    /// ```
    /// use candle_keras::{losses::{CategoricalHinge, Loss}, prelude::*};
    /// # fn main() -> anyhow::Result<()> {
    /// let y_true = Tensor::new(&[[0f32, 1.0, 0.0]], &Device::Cpu)?;
    /// let y_pred = Tensor::new(&[[0.5f32, 0.75, 0.25]], &Device::Cpu)?;
    /// assert_eq!(CategoricalHinge::new().call(&y_true, &y_pred)?.to_vec1::<f32>()?, [0.75]);
    /// # Ok(()) }
    /// ```
    ///
    /// Keras: `CategoricalHinge`. As there, the greatest one is at least the true class's 0.
    pub struct CategoricalHinge;
}

impl Loss for CategoricalHinge {
    fn name(&self) -> &str {
        "categorical_hinge"
    }

    loss_access!("CategoricalHinge");

    fn call(&self, y_true: &Tensor, y_pred: &Tensor) -> Result<Tensor> {
        let (y, p) = formulas::pair(y_true, y_pred)?;
        let of_true = (&y * &p)?.sum(D::Minus1)?;
        let of_others = formulas::greatest(&((1.0 - y)? * p)?)?;
        formulas::at_least(&((of_others - of_true)? + 1.0)?, 0.0)
    }
}
