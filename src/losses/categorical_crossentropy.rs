use super::{EPSILON, Loss, check_same_shape, fused, target_error};
use crate::{Data, Result, activations::ActivationFunction, ops};
use candle_core::{D, Tensor};

/// How surprised probabilities are by one-hot targets: loss = -Σ y_true · ln y_pred over the last
/// axis.
///
/// After a softmax, or with [`from_logits`](Self::from_logits), it is computed from the logits z
/// as -Σ y·(z - ln Σ eᶻ), which is finite for logits of ±1e4. From probabilities alone they are
/// first divided by their sum and kept within 1e-7 and 1 - 1e-7, as Keras does.
///
/// # Shapes
/// `y_true` and `y_pred` (batch, .., classes). [`to_categorical`](crate::to_categorical) makes
/// such targets from labels.
///
/// ```
/// use candle_keras::{losses::{CategoricalCrossentropy, Loss}, prelude::*};
/// # fn main() -> anyhow::Result<()> {
/// let y_true = Tensor::new(&[[0f32, 1.0]], &Device::Cpu)?;
/// let y_pred = Tensor::new(&[[0.5f32, 0.5]], &Device::Cpu)?;
/// let loss = CategoricalCrossentropy::new().call(&y_true, &y_pred)?.to_vec1::<f32>()?;
/// assert!((loss[0] - std::f32::consts::LN_2).abs() < 1e-6);
/// # Ok(()) }
/// ```
///
/// Keras: `CategoricalCrossentropy`.
#[derive(Debug, Clone, Default)]
pub struct CategoricalCrossentropy {
    from_logits: bool,
}

impl CategoricalCrossentropy {
    /// The loss of probabilities.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes `y_pred` as logits: the inputs of a softmax, not its outputs.
    pub fn from_logits(mut self) -> Self {
        self.from_logits = true;
        self
    }
}

impl Loss for CategoricalCrossentropy {
    fn name(&self) -> &str {
        "categorical_crossentropy"
    }

    fn call(&self, y_true: &Tensor, y_pred: &Tensor) -> Result<Tensor> {
        let log_probabilities = log_probabilities(y_pred, self.from_logits)?;
        Ok((y_true * log_probabilities)?.sum(D::Minus1)?.neg()?)
    }

    fn check(&self, y_true: &Data, output_shape: &[usize]) -> Result<()> {
        if y_true.sample_shape() == output_shape || output_shape.is_empty() {
            return check_same_shape(y_true, output_shape);
        }
        let advice = match (y_true.sample_shape(), output_shape) {
            ([.., columns], [.., units]) if *columns > 1 && columns != units => format!(
                "targets have {columns} classes and the last layer {units} units: make them equal"
            ),
            _ => "targets are one-hot, with a column for each class: make them with to_categorical(&labels, classes), or use SparseCategoricalCrossentropy for labels".to_string(),
        };
        Err(target_error(y_true, output_shape, &advice))
    }

    fn losses_and_gradient(
        &self,
        y_true: &Tensor,
        y_pred: &Tensor,
    ) -> Result<Option<(Tensor, Tensor)>> {
        if !self.from_logits {
            return Ok(None);
        }
        if ops::in_memory(&[y_true, y_pred]) {
            return fused(y_true, y_pred, ops::cross_entropy::categorical);
        }
        let total = y_true.sum_keepdim(D::Minus1)?;
        let probabilities = candle_nn::ops::softmax(y_pred, D::Minus1)?;
        let gradient = (probabilities.broadcast_mul(&total)? - y_true)?;
        Ok(Some((self.call(y_true, y_pred)?, gradient)))
    }

    fn fused_with(&self, activation: ActivationFunction) -> Option<Box<dyn Loss>> {
        let fuses = activation == ActivationFunction::Softmax && !self.from_logits;
        fuses.then(|| Box::new(self.clone().from_logits()) as Box<dyn Loss>)
    }
}

/// ln of the probabilities along the last axis. From logits z it is z - ln Σ eᶻ, with the greatest z
/// taken out first; probabilities are divided by their sum and kept away from 0 and 1.
pub(super) fn log_probabilities(y_pred: &Tensor, from_logits: bool) -> Result<Tensor> {
    if !from_logits {
        let shares = y_pred.broadcast_div(&y_pred.sum_keepdim(D::Minus1)?)?;
        return Ok(shares.clamp(EPSILON, 1.0 - EPSILON)?.log()?);
    }
    let greatest = y_pred.detach().max_keepdim(D::Minus1)?;
    let shifted = y_pred.broadcast_sub(&greatest)?;
    let log_sum = shifted.exp()?.sum_keepdim(D::Minus1)?.log()?;
    Ok(shifted.broadcast_sub(&log_sum)?)
}
