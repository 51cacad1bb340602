use super::{EPSILON, Loss, aligned, fused};
use crate::{Result, activations::ActivationFunction, ops};
use candle_core::{D, Tensor};

/// How surprised the probabilities of yes are by answers of 0 and 1:
/// loss = -mean (y_true · ln y_pred + (1 - y_true) · ln (1 - y_pred)) over the last axis.
///
/// After a sigmoid, or with [`from_logits`](Self::from_logits), it is computed from the logits z
/// as max(z, 0) - z·y + ln(1 + e^-|z|), which is finite for logits of ±1e4. From probabilities
/// alone they are kept within 1e-7 and 1 - 1e-7, as Keras does.
///
/// # Shapes
/// `y_true` and `y_pred` (batch, .., outputs), or `y_true` (batch) for one output.
///
/// ```
/// use candle_keras::{losses::{BinaryCrossentropy, Loss}, prelude::*};
/// # fn main() -> anyhow::Result<()> {
/// let y_true = Tensor::new(&[[1f32]], &Device::Cpu)?;
/// let y_pred = Tensor::new(&[[0.5f32]], &Device::Cpu)?;
/// let loss = BinaryCrossentropy::new().call(&y_true, &y_pred)?.to_vec1::<f32>()?;
/// assert!((loss[0] - std::f32::consts::LN_2).abs() < 1e-6);
/// # Ok(()) }
/// ```
///
/// Keras: `BinaryCrossentropy`.
#[derive(Debug, Clone, Default)]
pub struct BinaryCrossentropy {
    from_logits: bool,
}

impl BinaryCrossentropy {
    /// The loss of probabilities.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes `y_pred` as logits: the inputs of a sigmoid, not its outputs.
    pub fn from_logits(mut self) -> Self {
        self.from_logits = true;
        self
    }
}

impl Loss for BinaryCrossentropy {
    fn name(&self) -> &str {
        "binary_crossentropy"
    }

    fn call(&self, y_true: &Tensor, y_pred: &Tensor) -> Result<Tensor> {
        let y = aligned(y_true, y_pred)?;
        let each = if self.from_logits {
            let tail = (y_pred.abs()?.neg()?.exp()? + 1.0)?.log()?;
            ((y_pred.relu()? - (y_pred * y)?)? + tail)?
        } else {
            let p = y_pred.clamp(EPSILON, 1.0 - EPSILON)?;
            let yes = (&y * p.log()?)?;
            let no = ((1.0 - y)? * (1.0 - p)?.log()?)?;
            (yes + no)?.neg()?
        };
        Ok(each.mean(D::Minus1)?)
    }

    fn losses_and_gradient(
        &self,
        y_true: &Tensor,
        y_pred: &Tensor,
    ) -> Result<Option<(Tensor, Tensor)>> {
        if !self.from_logits {
            return Ok(None);
        }
        let y = aligned(y_true, y_pred)?;
        let width = y_pred.dim(D::Minus1)?;
        if ops::in_memory(&[&y, y_pred]) {
            return fused(&y, y_pred, ops::cross_entropy::binary);
        }
        let probabilities = ActivationFunction::Sigmoid.call(y_pred)?;
        let gradient = ((probabilities - y)? / width as f64)?;
        Ok(Some((self.call(y_true, y_pred)?, gradient)))
    }

    fn fused_with(&self, activation: ActivationFunction) -> Option<Box<dyn Loss>> {
        let fuses = activation == ActivationFunction::Sigmoid && !self.from_logits;
        fuses.then(|| Box::new(self.clone().from_logits()) as Box<dyn Loss>)
    }
}
