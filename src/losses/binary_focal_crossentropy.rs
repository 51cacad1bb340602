use super::{
    Base, Loss, arguments,
    binary_crossentropy::{of_logits, of_probabilities},
    check_same_shape, formulas, loss_access, loss_setters,
};
use crate::{Axes, Data, Result, activations::ActivationFunction};
use candle_core::Tensor;
use serde::{Deserialize, Serialize};

/// Binary cross-entropy in which answers that are nearly right count less: with pₜ the probability
/// that `y_pred` gives to the answer `y_true`, loss = mean (1 - pₜ)^gamma · binary cross-entropy over
/// the last axis.
///
/// After a sigmoid, or with [`from_logits`](Self::from_logits), the cross-entropy in it is computed
/// from the logits; from probabilities alone they are kept within 1e-7 and 1 - 1e-7 for it.
///
/// # Shapes
/// `y_true` and `y_pred` (batch, .., outputs), or `y_true` (batch) for one output.
///
/// ```
/// use candle_keras::{losses::{BinaryFocalCrossentropy, Loss}, prelude::*};
/// # fn main() -> anyhow::Result<()> {
/// let y_true = Tensor::new(&[[1f32]], &Device::Cpu)?;
/// let y_pred = Tensor::new(&[[0.5f32]], &Device::Cpu)?;
/// let loss = BinaryFocalCrossentropy::new().call(&y_true, &y_pred)?.to_vec1::<f32>()?;
/// assert!((loss[0] - 0.25 * std::f32::consts::LN_2).abs() < 1e-6);
/// # Ok(()) }
/// ```
///
/// Source: Lin et al., *Focal Loss for Dense Object Detection*, 2017. Keras:
/// `BinaryFocalCrossentropy`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct BinaryFocalCrossentropy {
    apply_class_balancing: bool,
    alpha: f64,
    gamma: f64,
    from_logits: bool,
    label_smoothing: f64,
    axis: i64,
    #[serde(flatten)]
    base: Base,
}

impl BinaryFocalCrossentropy {
    /// The loss of probabilities, with a gamma of 2.
    pub fn new() -> Self {
        Self {
            apply_class_balancing: false,
            alpha: 0.25,
            gamma: 2.0,
            from_logits: false,
            label_smoothing: 0.0,
            axis: -1,
            base: Base::default(),
        }
    }

    /// Whether answers of 1 are weighed by [`alpha`](Self::alpha), and those of 0 by 1 - alpha; false
    /// by default.
    pub fn apply_class_balancing(mut self, apply_class_balancing: bool) -> Self {
        self.apply_class_balancing = apply_class_balancing;
        self
    }

    /// The weight of answers of 1, from 0 to 1, where
    /// [`apply_class_balancing`](Self::apply_class_balancing) asks for it; 0.25 by default.
    pub fn alpha(mut self, alpha: f64) -> Self {
        self.alpha = alpha;
        self
    }

    /// How much less nearly right answers count, at least 0, which is binary cross-entropy; 2 by
    /// default.
    pub fn gamma(mut self, gamma: f64) -> Self {
        self.gamma = gamma;
        self
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
}

impl Default for BinaryFocalCrossentropy {
    fn default() -> Self {
        Self::new()
    }
}

impl Loss for BinaryFocalCrossentropy {
    fn name(&self) -> &str {
        "binary_focal_crossentropy"
    }

    loss_access!("BinaryFocalCrossentropy");

    fn axes(&self) -> Axes {
        self.axis.into()
    }

    fn check(&self, y_true: &Data, output_shape: &[usize]) -> Result<()> {
        arguments::within("alpha", self.alpha, 0.0..=1.0, "Keras's default is 0.25")?;
        arguments::not_negative("gamma", self.gamma, "Keras's default is 2")?;
        arguments::smoothing(self.label_smoothing)?;
        let outputs = check_same_shape(y_true, output_shape)?;
        arguments::axes(&self.axes(), outputs)
    }

    fn call(&self, y_true: &Tensor, y_pred: &Tensor) -> Result<Tensor> {
        let (y, z) = formulas::pair(y_true, y_pred)?;
        let y = formulas::smoothed(y, self.label_smoothing, 0.5)?;
        let p = if self.from_logits {
            ActivationFunction::Sigmoid.call(&z)?
        } else {
            z.clone()
        };
        let not_y = (1.0 - &y)?;
        let of_answer = ((&y * &p)? + (&not_y * (1.0 - &p)?)?)?;
        let surprise = if self.from_logits {
            of_logits(&y, &z)?
        } else {
            of_probabilities(&y, &p)?
        };
        let mut each = (focal_factor(&(1.0 - of_answer)?, self.gamma)? * surprise)?;
        if self.apply_class_balancing {
            let weight = ((y * self.alpha)? + (not_y * (1.0 - self.alpha))?)?;
            each = (weight * each)?;
        }
        let axis = self.axes().resolve(z.rank())?[0];
        Ok(each.mean(axis)?)
    }

    fn fused_with(&self, activation: ActivationFunction) -> Option<Box<dyn Loss>> {
        let fuses = activation == ActivationFunction::Sigmoid && !self.from_logits;
        fuses.then(|| Box::new(self.clone().from_logits()) as Box<dyn Loss>)
    }
}

/// `missing`^gamma, where `missing` is how much of a probability is missing; for a gamma of 0 it is
/// 1, and so is its gradient 0 where nothing is missing.
pub(super) fn focal_factor(missing: &Tensor, gamma: f64) -> Result<Tensor> {
    if gamma == 0.0 {
        return Ok(missing.ones_like()?);
    }
    Ok(missing.powf(gamma)?)
}
