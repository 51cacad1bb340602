use super::{
    Base, Loss, arguments,
    binary_focal_crossentropy::focal_factor,
    categorical_crossentropy::{check_one_hot, one_hot, shares},
    labels::class_axis,
    loss_access, loss_setters,
};
use crate::{Axes, Data, Error, Result};
use candle_core::Tensor;
use serde::{Deserialize, Serialize};

/// Categorical cross-entropy in which classes that are nearly right count less:
/// loss = -Σ alpha · (1 - y_pred)^gamma · y_true · ln y_pred over the last axis.
///
/// Probabilities are first divided by their sum and kept within 1e-7 and 1 - 1e-7.
///
/// # Shapes
/// `y_true` and `y_pred` (batch, .., classes); targets one-hot.
///
/// ```
/// use candle_keras::{losses::{CategoricalFocalCrossentropy, Loss}, prelude::*};
/// # fn main() -> anyhow::Result<()> {
/// let y_true = Tensor::new(&[[0f32, 1.0]], &Device::Cpu)?;
/// let y_pred = Tensor::new(&[[0.5f32, 0.5]], &Device::Cpu)?;
/// let loss = CategoricalFocalCrossentropy::new().call(&y_true, &y_pred)?.to_vec1::<f32>()?;
/// assert!((loss[0] - 0.25 * 0.25 * std::f32::consts::LN_2).abs() < 1e-6);
/// # Ok(()) }
/// ```
///
/// Source: Lin et al., *Focal Loss for Dense Object Detection*, 2017. Keras:
/// `CategoricalFocalCrossentropy`. As there, it works on probabilities also where it is given logits, so
/// that a class that is surely missed has no gradient.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct CategoricalFocalCrossentropy {
    alpha: Alpha,
    gamma: f64,
    from_logits: bool,
    label_smoothing: f64,
    axis: i64,
    #[serde(flatten)]
    base: Base,
}

/// How much classes count in [`CategoricalFocalCrossentropy`]: `0.25` and `[0.2, 0.8]` become one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Alpha {
    /// All as much.
    Every(f64),
    /// Each by a factor of its own, in the order of the classes.
    PerClass(Vec<f64>),
}

impl From<f64> for Alpha {
    fn from(factor: f64) -> Self {
        Self::Every(factor)
    }
}

impl<const N: usize> From<[f64; N]> for Alpha {
    fn from(factors: [f64; N]) -> Self {
        Self::PerClass(factors.to_vec())
    }
}

impl From<Vec<f64>> for Alpha {
    fn from(factors: Vec<f64>) -> Self {
        Self::PerClass(factors)
    }
}

impl CategoricalFocalCrossentropy {
    /// The loss of probabilities, with a gamma of 2.
    pub fn new() -> Self {
        Self {
            alpha: Alpha::Every(0.25),
            gamma: 2.0,
            from_logits: false,
            label_smoothing: 0.0,
            axis: -1,
            base: Base::default(),
        }
    }

    /// The factor of all classes, or one for each, at least 0; 0.25 by default.
    pub fn alpha(mut self, alpha: impl Into<Alpha>) -> Self {
        self.alpha = alpha.into();
        self
    }

    /// How much less nearly right classes count, at least 0, which is cross-entropy times alpha; 2
    /// by default.
    pub fn gamma(mut self, gamma: f64) -> Self {
        self.gamma = gamma;
        self
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
}

impl Default for CategoricalFocalCrossentropy {
    fn default() -> Self {
        Self::new()
    }
}

impl Alpha {
    /// An error unless it has a factor of at least 0 for each of `classes`.
    fn check(&self, classes: usize) -> Result<()> {
        let factors = match self {
            Self::Every(factor) => std::slice::from_ref(factor),
            Self::PerClass(factors) if factors.len() == classes => factors,
            Self::PerClass(factors) => {
                let got = format!("{} factors", factors.len());
                let expected = format!("one factor, or one for each of {classes} classes");
                let advice = "give them in the order of the classes";
                return Err(Error::argument("alpha", expected, got, advice));
            }
        };
        factors.iter().try_for_each(|factor| {
            arguments::not_negative("alpha", *factor, "Keras's default is 0.25")
        })
    }

    /// Numbers times the factors of the classes along an axis.
    fn times(&self, numbers: &Tensor, axis: usize) -> Result<Tensor> {
        match self {
            Self::Every(factor) => Ok((numbers * *factor)?),
            Self::PerClass(factors) => {
                let mut shape = vec![1; numbers.rank()];
                shape[axis] = factors.len();
                let factors = Tensor::new(&factors[..], numbers.device())?;
                let factors = factors.to_dtype(numbers.dtype())?.reshape(shape)?;
                Ok(numbers.broadcast_mul(&factors)?)
            }
        }
    }
}

impl Loss for CategoricalFocalCrossentropy {
    fn name(&self) -> &str {
        "categorical_focal_crossentropy"
    }

    loss_access!("CategoricalFocalCrossentropy");

    fn axes(&self) -> Axes {
        self.axis.into()
    }

    fn check(&self, y_true: &Data, output_shape: &[usize]) -> Result<()> {
        arguments::not_negative("gamma", self.gamma, "Keras's default is 2")?;
        arguments::smoothing(self.label_smoothing)?;
        check_one_hot(y_true, output_shape, self.axis)?;
        let axis = class_axis(self.axis, output_shape.len() + 1)?;
        self.alpha.check(output_shape[axis - 1])
    }

    fn call(&self, y_true: &Tensor, y_pred: &Tensor) -> Result<Tensor> {
        let (y, z) = one_hot(y_true, y_pred, self.label_smoothing)?;
        let axis = class_axis(self.axis, z.rank())?;
        let p = if self.from_logits {
            shares(&candle_nn::ops::softmax(&z, axis)?, axis)?
        } else {
            shares(&z, axis)?
        };
        let surprise = (y * p.log()?)?.neg()?;
        let factor = self
            .alpha
            .times(&focal_factor(&(1.0 - p)?, self.gamma)?, axis)?;
        Ok((factor * surprise)?.sum(axis)?)
    }
}
