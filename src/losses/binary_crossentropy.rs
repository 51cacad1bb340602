use super::{
    Base, EPSILON, Loss, arguments, check_same_shape, formulas, fused, loss_access, loss_setters,
};
use crate::{Axes, Data, Result, activations::ActivationFunction, ops};
use candle_core::Tensor;
use serde::{Deserialize, Serialize};

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
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct BinaryCrossentropy {
    from_logits: bool,
    label_smoothing: f64,
    axis: i64,
    #[serde(flatten)]
    base: Base,
}

impl BinaryCrossentropy {
    /// The loss of probabilities.
    pub fn new() -> Self {
        Self {
            from_logits: false,
            label_smoothing: 0.0,
            axis: -1,
            base: Base::default(),
        }
    }

    /// Takes `y_pred` as logits: the inputs of a sigmoid, not its outputs.
    pub fn from_logits(mut self) -> Self {
        self.from_logits = true;
        self
    }

    /// How far targets are moved towards ½, from 0 to 1: y becomes
    /// (1 - `label_smoothing`)·y + ½·`label_smoothing`. 0 by default.
    pub fn label_smoothing(mut self, label_smoothing: f64) -> Self {
        self.label_smoothing = label_smoothing;
        self
    }

    /// The axis of the mean, counted with the samples' as 0; -1, the last, by default.
    pub fn axis(mut self, axis: i64) -> Self {
        self.axis = axis;
        self
    }

    loss_setters!();

    /// An error for arguments out of range, where outputs have the shape (None, `output_shape`).
    pub(crate) fn check_arguments(&self, output_shape: &[usize]) -> Result<()> {
        arguments::smoothing(self.label_smoothing)?;
        arguments::axes(&self.axes(), output_shape)
    }

    /// Targets and outputs as the formula takes them.
    fn pair(&self, y_true: &Tensor, y_pred: &Tensor) -> Result<(Tensor, Tensor)> {
        let (y, p) = formulas::pair(y_true, y_pred)?;
        Ok((formulas::smoothed(y, self.label_smoothing, 0.5)?, p))
    }

    /// Losses and gradient by one loop over logits in memory; faster than the losses alone in
    /// candle's operations.
    fn in_memory(&self, y_true: &Tensor, y_pred: &Tensor) -> Result<Option<(Tensor, Tensor)>> {
        let (y, z) = self.pair(y_true, y_pred)?;
        let last = self.mean_axis(&z)? + 1 == z.rank();
        if !(self.from_logits && last && ops::in_memory(&[&y, &z])) {
            return Ok(None);
        }
        let (losses, gradient) = fused(&y, &z, ops::cross_entropy::binary)?;
        Ok(Some((losses, formulas::in_shape_of(y_pred, gradient)?)))
    }

    fn mean_axis(&self, y_pred: &Tensor) -> Result<usize> {
        Ok(self.axes().resolve(y_pred.rank())?[0])
    }
}

impl Default for BinaryCrossentropy {
    fn default() -> Self {
        Self::new()
    }
}

impl Loss for BinaryCrossentropy {
    fn name(&self) -> &str {
        "binary_crossentropy"
    }

    loss_access!("BinaryCrossentropy");

    fn axes(&self) -> Axes {
        self.axis.into()
    }

    fn check(&self, y_true: &Data, output_shape: &[usize]) -> Result<()> {
        self.check_arguments(check_same_shape(y_true, output_shape)?)
    }

    fn call(&self, y_true: &Tensor, y_pred: &Tensor) -> Result<Tensor> {
        let (y, p) = self.pair(y_true, y_pred)?;
        let each = if self.from_logits {
            of_logits(&y, &p)?
        } else {
            of_probabilities(&y, &p)?
        };
        Ok(each.mean(self.mean_axis(&p)?)?)
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
        let (y, z) = self.pair(y_true, y_pred)?;
        let width = z.dim(self.mean_axis(&z)?)?;
        let probabilities = ActivationFunction::Sigmoid.call(&z)?;
        let gradient = formulas::in_shape_of(y_pred, ((probabilities - y)? / width as f64)?)?;
        Ok(Some((self.call(y_true, y_pred)?, gradient)))
    }

    fn values(&self, y_true: &Tensor, y_pred: &Tensor) -> Result<Tensor> {
        match self.in_memory(y_true, y_pred)? {
            Some((losses, _)) => Ok(losses),
            None => self.call(y_true, y_pred),
        }
    }

    fn fused_with(&self, activation: ActivationFunction) -> Option<Box<dyn Loss>> {
        let fuses = activation == ActivationFunction::Sigmoid && !self.from_logits;
        fuses.then(|| Box::new(self.clone().from_logits()) as Box<dyn Loss>)
    }
}

/// max(z, 0) - z·y + ln(1 + e^-|z|) of each logit z.
pub(super) fn of_logits(y: &Tensor, z: &Tensor) -> Result<Tensor> {
    let (above, tail) = formulas::softplus_terms(z)?;
    Ok(((above - (z * y)?)? + tail)?)
}

/// -(y · ln p + (1 - y) · ln(1 - p)) of each probability p, kept away from 0 and 1.
pub(super) fn of_probabilities(y: &Tensor, p: &Tensor) -> Result<Tensor> {
    let p = formulas::clip(p, EPSILON, 1.0 - EPSILON)?;
    let yes = (y * p.log()?)?;
    let no = ((1.0 - y)? * (1.0 - p)?.log()?)?;
    Ok((yes + no)?.neg()?)
}
