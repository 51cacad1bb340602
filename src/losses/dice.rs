use super::{
    Base, EPSILON, Loss, arguments, check_same_shape, formulas, loss_access, loss_setters,
};
use crate::{Axes, Data, Result};
use candle_core::Tensor;
use serde::{Deserialize, Serialize};

/// How little two regions overlap, such as the pixels of a thing and those that a model takes for it:
/// loss = 1 - 2·Σ y_true·y_pred / (Σ y_true + Σ y_pred + 1e-7).
///
/// Without an [`axis`](Self::axis), the default, the sums are over the whole batch, which has one
/// loss then; over all axes but the samples', `[1, 2, 3]` for images, each sample has its own.
///
/// # Shapes
/// `y_true` and `y_pred` (batch, ..), from 0 to 1.
///
/// ```
/// use candle_keras::{losses::{Dice, Loss}, prelude::*};
/// # fn main() -> anyhow::Result<()> {
/// let y_true = Tensor::new(&[[1f32, 1.0, 0.0, 0.0]], &Device::Cpu)?;
/// let y_pred = Tensor::new(&[[0f32, 1.0, 0.0, 1.0]], &Device::Cpu)?;
/// assert_eq!(Dice::new().call(&y_true, &y_pred)?.to_scalar::<f32>()?, 0.5);
/// assert_eq!(Dice::new().axis(1).call(&y_true, &y_pred)?.to_vec1::<f32>()?, [0.5]);
/// # Ok(()) }
/// ```
///
/// Keras: `Dice`.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Dice {
    axis: Option<Axes>,
    #[serde(flatten)]
    base: Base,
}

impl Dice {
    /// The loss of a whole batch.
    pub fn new() -> Self {
        Self::default()
    }

    /// The axes of the sums, counted with the samples' as 0; all by default.
    pub fn axis(mut self, axis: impl Into<Axes>) -> Self {
        self.axis = Some(axis.into());
        self
    }

    loss_setters!();
}

impl Loss for Dice {
    fn name(&self) -> &str {
        "dice"
    }

    loss_access!("Dice");

    fn of_whole_batch(&self) -> bool {
        self.axis.is_none()
    }

    fn axes(&self) -> Axes {
        self.axis.clone().unwrap_or(Axes::One(-1))
    }

    fn check(&self, y_true: &Data, output_shape: &[usize]) -> Result<()> {
        let outputs = check_same_shape(y_true, output_shape)?;
        arguments::axes(&self.axes(), outputs)
    }

    fn call(&self, y_true: &Tensor, y_pred: &Tensor) -> Result<Tensor> {
        let (y, p) = formulas::pair(y_true, y_pred)?;
        let overlap = sum(&(&y * &p)?, self.axis.as_ref())?;
        let both = (sum(&y, self.axis.as_ref())? + sum(&p, self.axis.as_ref())?)?;
        Ok((1.0 - ((overlap * 2.0)? / (both + EPSILON)?)?)?)
    }
}

/// The sum over some axes, or all.
pub(super) fn sum(numbers: &Tensor, axes: Option<&Axes>) -> Result<Tensor> {
    match axes {
        Some(axes) => Ok(numbers.sum(axes.resolve(numbers.rank())?)?),
        None => Ok(numbers.sum_all()?),
    }
}
