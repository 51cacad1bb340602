use super::{
    Base, EPSILON, Loss, arguments, check_same_shape, dice::sum, formulas, loss_access,
    loss_setters,
};
use crate::{Axes, Data, Result};
use candle_core::Tensor;
use serde::{Deserialize, Serialize};

/// How little two regions overlap, where what is missed and what is too much count differently:
/// with the overlap t = Σ y_true·y_pred,
/// loss = 1 - t / (t + alpha·Σ y_true·(1 - y_pred) + beta·Σ (1 - y_true)·y_pred + 1e-7).
///
/// With alpha and beta of ½, the defaults, it is [`Dice`](super::Dice). Without an
/// [`axis`](Self::axis), the default, the sums are over the whole batch, which has one loss then;
/// over all axes but the samples', `[1, 2, 3]` for images, each sample has its own.
///
/// # Shapes
/// `y_true` and `y_pred` (batch, ..), from 0 to 1.
///
/// ```
/// use candle_keras::{losses::{Loss, Tversky}, prelude::*};
/// # fn main() -> anyhow::Result<()> {
/// let y_true = Tensor::new(&[[1f32, 1.0, 0.0, 0.0]], &Device::Cpu)?;
/// let y_pred = Tensor::new(&[[1f32, 0.0, 0.0, 0.0]], &Device::Cpu)?;
/// let missed = Tversky::new().alpha(1.0).beta(0.0).call(&y_true, &y_pred)?;
/// assert_eq!(missed.to_scalar::<f32>()?, 0.5);
/// # Ok(()) }
/// ```
///
/// Source: Salehi et al., *Tversky loss function for image segmentation using 3D fully convolutional
/// deep networks*, 2017. Keras: `Tversky`, whose documentation gives alpha to false positives; as in
/// its formula, alpha is that of what is missed.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Tversky {
    alpha: f64,
    beta: f64,
    axis: Option<Axes>,
    #[serde(flatten)]
    base: Base,
}

impl Tversky {
    /// The loss of a whole batch.
    pub fn new() -> Self {
        Self {
            alpha: 0.5,
            beta: 0.5,
            axis: None,
            base: Base::default(),
        }
    }

    /// How much what is missed counts, at least 0; 0.5 by default.
    pub fn alpha(mut self, alpha: f64) -> Self {
        self.alpha = alpha;
        self
    }

    /// How much what is too much counts, at least 0; 0.5 by default.
    pub fn beta(mut self, beta: f64) -> Self {
        self.beta = beta;
        self
    }

    /// The axes of the sums, counted with the samples' as 0; all by default.
    pub fn axis(mut self, axis: impl Into<Axes>) -> Self {
        self.axis = Some(axis.into());
        self
    }

    loss_setters!();
}

impl Default for Tversky {
    fn default() -> Self {
        Self::new()
    }
}

impl Loss for Tversky {
    fn name(&self) -> &str {
        "tversky"
    }

    loss_access!("Tversky");

    fn of_whole_batch(&self) -> bool {
        self.axis.is_none()
    }

    fn axes(&self) -> Axes {
        self.axis.clone().unwrap_or(Axes::One(-1))
    }

    fn check(&self, y_true: &Data, output_shape: &[usize]) -> Result<()> {
        arguments::not_negative("alpha", self.alpha, "Keras's default is 0.5")?;
        arguments::not_negative("beta", self.beta, "Keras's default is 0.5")?;
        let outputs = check_same_shape(y_true, output_shape)?;
        arguments::axes(&self.axes(), outputs)
    }

    fn call(&self, y_true: &Tensor, y_pred: &Tensor) -> Result<Tensor> {
        let (y, p) = formulas::pair(y_true, y_pred)?;
        let axes = self.axis.as_ref();
        let overlap = sum(&(&y * &p)?, axes)?;
        let missed = sum(&((1.0 - &p)? * &y)?, axes)?;
        let too_much = sum(&(p * (1.0 - &y)?)?, axes)?;
        let weighed = ((&overlap + (missed * self.alpha)?)? + (too_much * self.beta)?)?;
        Ok((1.0 - (overlap / (weighed + EPSILON)?)?)?)
    }
}
