use super::{
    Base, EPSILON, Loss, arguments, formulas, fused, labels::check_classes, labels::class_axis,
    loss_access, loss_setters, no_axis,
};
use crate::{Axes, Data, Result, activations::ActivationFunction, ops, shapes};
use candle_core::{D, Tensor};
use serde::{Deserialize, Serialize};

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
/// Keras: `CategoricalCrossentropy`. The logits of a softmax are taken only where
/// [`axis`](Self::axis) is -1: Keras on TensorFlow takes them for any axis, though the softmax was
/// along the last.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct CategoricalCrossentropy {
    from_logits: bool,
    label_smoothing: f64,
    axis: i64,
    #[serde(flatten)]
    base: Base,
}

impl CategoricalCrossentropy {
    /// The loss of probabilities.
    pub fn new() -> Self {
        Self {
            from_logits: false,
            label_smoothing: 0.0,
            axis: -1,
            base: Base::default(),
        }
    }

    /// Takes `y_pred` as logits: the inputs of a softmax, not its outputs.
    pub fn from_logits(mut self) -> Self {
        self.from_logits = true;
        self
    }

    /// How much of the targets is spread over all classes, from 0 to 1: y becomes
    /// (1 - `label_smoothing`)·y + `label_smoothing` / classes. 0 by default.
    ///
    /// As in Keras, the classes are counted along the last axis, whatever [`axis`](Self::axis) is.
    pub fn label_smoothing(mut self, label_smoothing: f64) -> Self {
        self.label_smoothing = label_smoothing;
        self
    }

    /// The axis of the classes, counted with the samples' as 0; -1, the last, by default.
    pub fn axis(mut self, axis: i64) -> Self {
        self.axis = axis;
        self
    }

    loss_setters!();

    /// An error for arguments out of range, where outputs have the shape (None, `output_shape`).
    pub(crate) fn check_arguments(&self, output_shape: &[usize]) -> Result<()> {
        arguments::smoothing(self.label_smoothing)?;
        class_axis(self.axis, output_shape.len() + 1).map(drop)
    }

    /// Losses and gradient by one loop over logits in memory; faster than the losses alone in
    /// candle's operations.
    fn in_memory(&self, y_true: &Tensor, y_pred: &Tensor) -> Result<Option<(Tensor, Tensor)>> {
        let (y, z) = one_hot(y_true, y_pred, self.label_smoothing)?;
        let last = class_axis(self.axis, z.rank())? + 1 == z.rank();
        if !(self.from_logits && last && ops::in_memory(&[&y, &z])) {
            return Ok(None);
        }
        let (losses, gradient) = fused(&y, &z, ops::cross_entropy::categorical)?;
        Ok(Some((losses, formulas::in_shape_of(y_pred, gradient)?)))
    }
}

impl Default for CategoricalCrossentropy {
    fn default() -> Self {
        Self::new()
    }
}

impl Loss for CategoricalCrossentropy {
    fn name(&self) -> &str {
        "categorical_crossentropy"
    }

    loss_access!("CategoricalCrossentropy");

    fn axes(&self) -> Axes {
        self.axis.into()
    }

    fn check(&self, y_true: &Data, output_shape: &[usize]) -> Result<()> {
        check_one_hot(y_true, output_shape, self.axis)?;
        self.check_arguments(output_shape)
    }

    fn call(&self, y_true: &Tensor, y_pred: &Tensor) -> Result<Tensor> {
        let (y, p) = one_hot(y_true, y_pred, self.label_smoothing)?;
        let axis = class_axis(self.axis, p.rank())?;
        let logarithms = if self.from_logits {
            log_softmax(&p, axis)?
        } else {
            shares(&p, axis)?.log()?
        };
        Ok((y * logarithms)?.sum(axis)?.neg()?)
    }

    fn losses_and_gradient(
        &self,
        y_true: &Tensor,
        y_pred: &Tensor,
    ) -> Result<Option<(Tensor, Tensor)>> {
        let both = self.in_memory(y_true, y_pred)?;
        if both.is_some() || !self.from_logits {
            return Ok(both);
        }
        let (y, z) = one_hot(y_true, y_pred, self.label_smoothing)?;
        let axis = class_axis(self.axis, z.rank())?;
        let total = y.sum_keepdim(axis)?;
        let probabilities = candle_nn::ops::softmax(&z, axis)?;
        let gradient = (probabilities.broadcast_mul(&total)? - y)?;
        let gradient = formulas::in_shape_of(y_pred, gradient)?;
        Ok(Some((self.call(y_true, y_pred)?, gradient)))
    }

    fn values(&self, y_true: &Tensor, y_pred: &Tensor) -> Result<Tensor> {
        match self.in_memory(y_true, y_pred)? {
            Some((losses, _)) => Ok(losses),
            None => self.call(y_true, y_pred),
        }
    }

    fn fused_with(&self, activation: ActivationFunction) -> Option<Box<dyn Loss>> {
        let last = self.axis == -1;
        let fuses = activation == ActivationFunction::Softmax && last && !self.from_logits;
        fuses.then(|| Box::new(self.clone().from_logits()) as Box<dyn Loss>)
    }
}

/// One-hot targets and outputs as the formulas take them.
pub(super) fn one_hot(
    y_true: &Tensor,
    y_pred: &Tensor,
    label_smoothing: f64,
) -> Result<(Tensor, Tensor)> {
    let (y, p) = formulas::pair(y_true, y_pred)?;
    let classes = p.dim(D::Minus1)?;
    let y = formulas::smoothed(y, label_smoothing, 1.0 / classes as f64)?;
    Ok((y, p))
}

/// An error unless targets have a column for each of the outputs, of which `axis` has several.
pub(super) fn check_one_hot(y_true: &Data, output_shape: &[usize], axis: i64) -> Result<()> {
    if output_shape.is_empty() {
        return Err(no_axis());
    }
    check_classes(axis, output_shape)?;
    let instead = "SparseCategoricalCrossentropy";
    let fit = shapes::one_hot(y_true.sample_shape(), output_shape, instead);
    fit.map_err(|misfit| misfit.error(y_true.shape_text()))
}

/// ln of the softmax of logits z along an axis: z - ln Σ eᶻ, with the greatest z taken out first.
pub(super) fn log_softmax(logits: &Tensor, axis: usize) -> Result<Tensor> {
    let greatest = logits.detach().max_keepdim(axis)?;
    let shifted = logits.broadcast_sub(&greatest)?;
    let log_sum = shifted.exp()?.sum_keepdim(axis)?.log()?;
    Ok(shifted.broadcast_sub(&log_sum)?)
}

/// Probabilities divided by their sum along an axis, and kept away from 0 and 1.
pub(super) fn shares(probabilities: &Tensor, axis: usize) -> Result<Tensor> {
    let shares = probabilities.broadcast_div(&probabilities.sum_keepdim(axis)?)?;
    formulas::clip(&shares, EPSILON, 1.0 - EPSILON)
}
