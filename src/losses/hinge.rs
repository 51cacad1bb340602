use super::{Loss, formulas, loss_access, plain_loss};
use crate::Result;
use candle_core::Tensor;

plain_loss! {
    /// How far outputs are from the right side of a margin: loss = mean max(1 - y_true · y_pred, 0)
    /// over the last axis.
    ///
    /// Targets are -1 and 1. Where all targets of a batch are 0 or 1, 0 stands for -1.
    ///
    /// # Shapes
    /// `y_true` and `y_pred` (batch, .., outputs), or `y_true` (batch) for one output.
    ///
    /// ```
    /// use candle_keras::{losses::{Hinge, Loss}, prelude::*};
    /// # fn main() -> anyhow::Result<()> {
    /// let y_true = Tensor::new(&[[1f32], [-1.0]], &Device::Cpu)?;
    /// let y_pred = Tensor::new(&[[0.5f32], [0.5]], &Device::Cpu)?;
    /// assert_eq!(Hinge::new().call(&y_true, &y_pred)?.to_vec1::<f32>()?, [0.5, 1.5]);
    /// # Ok(()) }
    /// ```
    ///
    /// Keras: `Hinge`.
    pub struct Hinge;
}

plain_loss! {
    /// The squared distance to the right side of a margin: loss = mean max(1 - y_true · y_pred, 0)²
    /// over the last axis.
    ///
    /// Targets are -1 and 1. Where all targets of a batch are 0 or 1, 0 stands for -1.
    ///
    /// # Shapes
    /// `y_true` and `y_pred` (batch, .., outputs), or `y_true` (batch) for one output.
    ///
    /// ```
    /// use candle_keras::{losses::{Loss, SquaredHinge}, prelude::*};
    /// # fn main() -> anyhow::Result<()> {
    /// let y_true = Tensor::new(&[[1f32], [-1.0]], &Device::Cpu)?;
    /// let y_pred = Tensor::new(&[[0.5f32], [0.5]], &Device::Cpu)?;
    /// assert_eq!(SquaredHinge::new().call(&y_true, &y_pred)?.to_vec1::<f32>()?, [0.25, 2.25]);
    /// # Ok(()) }
    /// ```
    ///
    /// Keras: `SquaredHinge`.
    pub struct SquaredHinge;
}

impl Loss for Hinge {
    fn name(&self) -> &str {
        "hinge"
    }

    loss_access!("Hinge");

    fn call(&self, y_true: &Tensor, y_pred: &Tensor) -> Result<Tensor> {
        formulas::mean(&beyond_margin(y_true, y_pred)?)
    }
}

impl Loss for SquaredHinge {
    fn name(&self) -> &str {
        "squared_hinge"
    }

    loss_access!("SquaredHinge");

    fn call(&self, y_true: &Tensor, y_pred: &Tensor) -> Result<Tensor> {
        formulas::mean(&beyond_margin(y_true, y_pred)?.sqr()?)
    }
}

/// max(1 - y_true · y_pred, 0), each.
fn beyond_margin(y_true: &Tensor, y_pred: &Tensor) -> Result<Tensor> {
    let (y, p) = formulas::pair(y_true, y_pred)?;
    formulas::at_least(&(1.0 - (signs(&y)? * p)?)?, 0.0)
}

/// Targets of -1 and 1: 2·y - 1 where every one is 0 or 1, else as they are. Told without reading
/// them back from a device.
fn signs(y: &Tensor) -> Result<Tensor> {
    let squared_less = (y.sqr()? - y)?; // 0 for 0 and 1 alone
    let others = squared_less.ne(&squared_less.zeros_like()?)?;
    let others = others.to_dtype(y.dtype())?.sum_all()?;
    let binary = others.eq(&others.zeros_like()?)?.broadcast_as(y.shape())?;
    Ok(binary.where_cond(&y.affine(2.0, -1.0)?, y)?)
}
