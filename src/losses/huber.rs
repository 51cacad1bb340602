use super::{Base, Loss, arguments, check_same_shape, formulas, loss_access, loss_setters};
use crate::{Data, Result};
use candle_core::{D, Tensor};
use serde::{Deserialize, Serialize};

/// Squared error for small errors, and the error's size for large ones, so that outliers count less:
/// with the error e = y_pred - y_true, loss = mean of e²/2 where |e| ≤ delta, and of
/// delta·|e| - delta²/2 elsewhere, over the last axis.
///
/// # Shapes
/// `y_true` and `y_pred` (batch, .., outputs), or `y_true` (batch) for one output.
///
/// ```
/// use candle_keras::{losses::{Huber, Loss}, prelude::*};
/// # fn main() -> anyhow::Result<()> {
/// let y_true = Tensor::new(&[[0f32], [0.0]], &Device::Cpu)?;
/// let y_pred = Tensor::new(&[[1f32], [3.0]], &Device::Cpu)?;
/// assert_eq!(Huber::new().call(&y_true, &y_pred)?.to_vec1::<f32>()?, [0.5, 2.5]);
/// # Ok(()) }
/// ```
///
/// Source: Huber, *Robust Estimation of a Location Parameter*, 1964. Keras: `Huber`. Its
/// configuration leaves `delta` out, and a saved model loses it; here it is written.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Huber {
    delta: f64,
    #[serde(flatten)]
    base: Base,
}

impl Huber {
    /// The loss with a delta of 1.
    pub fn new() -> Self {
        Self {
            delta: 1.0,
            base: Base::default(),
        }
    }

    /// The error above which the loss grows linearly, above 0; 1 by default.
    pub fn delta(mut self, delta: f64) -> Self {
        self.delta = delta;
        self
    }

    loss_setters!();
}

impl Default for Huber {
    fn default() -> Self {
        Self::new()
    }
}

impl Loss for Huber {
    fn name(&self) -> &str {
        "huber_loss"
    }

    loss_access!("Huber");

    fn check(&self, y_true: &Data, output_shape: &[usize]) -> Result<()> {
        arguments::positive("delta", self.delta, "Keras's default is 1")?;
        check_same_shape(y_true, output_shape).map(drop)
    }

    fn call(&self, y_true: &Tensor, y_pred: &Tensor) -> Result<Tensor> {
        let delta = self.delta;
        let error = formulas::error(y_true, y_pred)?;
        let size = formulas::absolute(&error)?;
        let small = size.le(&(size.zeros_like()? + delta)?)?;
        let linear = size.affine(delta, -0.5 * delta * delta)?;
        formulas::mean(&small.where_cond(&(error.sqr()? * 0.5)?, &linear)?)
    }

    fn losses_and_gradient(
        &self,
        y_true: &Tensor,
        y_pred: &Tensor,
    ) -> Result<Option<(Tensor, Tensor)>> {
        let error = formulas::error(y_true, y_pred)?;
        let width = error.dim(D::Minus1)? as f64;
        // e where |e| ≤ delta, and delta of its sign elsewhere.
        let slope = formulas::clip(&error, -self.delta, self.delta)?;
        let gradient = formulas::in_shape_of(y_pred, slope.affine(1.0 / width, 0.0)?)?;
        Ok(Some((self.call(y_true, y_pred)?, gradient)))
    }
}
