//! Regularizers: what a weight, or a layer's outputs, add to the loss.

use crate::{
    Config, Error, Result, config::Entry, config::serde_of_part, config::table, error::tuple,
};
use candle_core::{D, Tensor, Var};
use serde::{Deserialize, Serialize};
use std::fmt::Debug;

/// Adds a penalty to the loss, which training makes smaller with it.
///
/// One of your own needs `penalty` in candle's operations, which candle differentiates.
///
/// ```
/// use candle_keras::{prelude::*, regularizers::Regularizer};
///
/// /// A penalty on a sum that is not 0.
/// #[derive(Debug)]
/// struct ZeroSum;
///
/// impl Regularizer for ZeroSum {
///     fn penalty(&self, weight: &Tensor) -> candle_keras::Result<Tensor> {
///         Ok(weight.sum_all()?.sqr()?)
///     }
/// }
/// Dense::new(4).kernel_regularizer(ZeroSum);
/// ```
pub trait Regularizer: Debug + Send + Sync {
    /// The penalty, a scalar.
    ///
    /// # Errors
    /// When candle's operations fail.
    fn penalty(&self, weight: &Tensor) -> Result<Tensor>;

    /// Whether the arguments are in range; `build` asks.
    ///
    /// # Errors
    /// When one is not.
    fn check(&self) -> Result<()> {
        Ok(())
    }

    /// The penalty's gradient with respect to the weight; by candle's autograd unless it is given.
    ///
    /// # Errors
    /// When candle's operations fail.
    fn gradient(&self, weight: &Tensor) -> Result<Tensor> {
        let variable = Var::from_tensor(weight)?;
        let mut store = self.penalty(variable.as_tensor())?.backward()?;
        match store.remove(&variable) {
            Some(gradient) => Ok(gradient),
            None => Ok(weight.zeros_like()?),
        }
    }

    /// Its class and arguments, if it can be written to a file.
    fn config(&self) -> Option<Config> {
        None
    }
}

impl<R: Regularizer + 'static> From<R> for Box<dyn Regularizer> {
    fn from(regularizer: R) -> Self {
        Box::new(regularizer)
    }
}

serde_of_part!(
    Regularizer,
    "regularizer",
    "keras.regularizers",
    REGULARIZERS
);

/// Every regularizer of the crate.
pub(crate) const REGULARIZERS: &[Entry<dyn Regularizer>] = table![dyn Regularizer:
    L1 = L1::default(), "l1";
    L2 = L2::default(), "l2";
    L1L2 = L1L2::default(), "l1_l2";
    OrthogonalRegularizer = OrthogonalRegularizer::default(), "orthogonal_regularizer";
];

/// `l1`·Σ |w|: pulls weights to 0 at the same speed, so that many arrive. Keras: `L1`, whose factor
/// is 0.01.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct L1 {
    l1: f64,
}

/// `l2`·Σ w²: pulls large weights to 0 the most. There is no half. Keras: `L2`, whose factor is 0.01.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct L2 {
    l2: f64,
}

/// `l1`·Σ |w| + `l2`·Σ w². Keras: `L1L2`, whose factors are 0.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct L1L2 {
    l1: f64,
    l2: f64,
}

/// Makes the rows, or columns, of a matrix point in different directions: `factor` times the mean
/// size of the products of any two of them, each divided by its length.
///
/// Keras: `OrthogonalRegularizer`, whose factor is 0.01, on rows.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct OrthogonalRegularizer {
    factor: f64,
    mode: Mode,
}

/// What of a matrix [`OrthogonalRegularizer`] turns apart.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// Its rows.
    Rows,
    /// Its columns.
    Columns,
}

impl L1 {
    /// With the factor `l1`.
    pub fn new(l1: f64) -> Self {
        Self { l1 }
    }
}

impl L2 {
    /// With the factor `l2`.
    pub fn new(l2: f64) -> Self {
        Self { l2 }
    }
}

impl L1L2 {
    /// With the factors `l1` and `l2`.
    pub fn new(l1: f64, l2: f64) -> Self {
        Self { l1, l2 }
    }
}

impl OrthogonalRegularizer {
    /// Turns the rows apart, with this factor.
    pub fn new(factor: f64) -> Self {
        Self {
            factor,
            mode: Mode::Rows,
        }
    }

    /// Whether rows or columns are turned apart.
    pub fn mode(mut self, mode: Mode) -> Self {
        self.mode = mode;
        self
    }
}

impl Default for L1 {
    fn default() -> Self {
        Self::new(0.01)
    }
}

impl Default for L2 {
    fn default() -> Self {
        Self::new(0.01)
    }
}

impl Default for OrthogonalRegularizer {
    fn default() -> Self {
        Self::new(0.01)
    }
}

impl Regularizer for L1 {
    fn check(&self) -> Result<()> {
        check_factor("l1", self.l1)
    }

    fn penalty(&self, weight: &Tensor) -> Result<Tensor> {
        L1L2::new(self.l1, 0.0).penalty(weight)
    }

    fn gradient(&self, weight: &Tensor) -> Result<Tensor> {
        L1L2::new(self.l1, 0.0).gradient(weight)
    }

    fn config(&self) -> Option<Config> {
        Config::of_keras("L1", self)
    }
}

impl Regularizer for L2 {
    fn check(&self) -> Result<()> {
        check_factor("l2", self.l2)
    }

    fn penalty(&self, weight: &Tensor) -> Result<Tensor> {
        L1L2::new(0.0, self.l2).penalty(weight)
    }

    fn gradient(&self, weight: &Tensor) -> Result<Tensor> {
        L1L2::new(0.0, self.l2).gradient(weight)
    }

    fn config(&self) -> Option<Config> {
        Config::of_keras("L2", self)
    }
}

impl Regularizer for L1L2 {
    fn check(&self) -> Result<()> {
        check_factor("l1", self.l1)?;
        check_factor("l2", self.l2)
    }

    fn penalty(&self, weight: &Tensor) -> Result<Tensor> {
        let absolute = (absolute(weight)?.sum_all()? * self.l1)?;
        let squared = (weight.sqr()?.sum_all()? * self.l2)?;
        Ok((absolute + squared)?)
    }

    fn gradient(&self, weight: &Tensor) -> Result<Tensor> {
        let of_squared = (weight * (2.0 * self.l2))?;
        if self.l1 == 0.0 {
            return Ok(of_squared);
        }
        Ok(((weight.sign()? * self.l1)? + of_squared)?)
    }

    fn config(&self) -> Option<Config> {
        Config::of_keras("L1L2", self)
    }
}

impl Regularizer for OrthogonalRegularizer {
    fn check(&self) -> Result<()> {
        check_factor("factor", self.factor)
    }

    fn penalty(&self, weight: &Tensor) -> Result<Tensor> {
        if weight.rank() != 2 {
            let advice = "OrthogonalRegularizer is for matrices";
            return Err(Error::shape(
                "(rows, columns)",
                tuple(weight.dims()),
                advice,
            ));
        }
        let rows = match self.mode {
            Mode::Rows => weight.clone(),
            Mode::Columns => weight.t()?.contiguous()?,
        };
        let count = rows.dim(0)?;
        // Keras's: √max(Σ x², ε²) with ε = 1e-7.
        let length = rows.sqr()?.sum_keepdim(D::Minus1)?.maximum(1e-14)?.sqrt()?;
        let rows = rows.broadcast_div(&length)?;
        let products = rows.matmul(&rows.t()?)?;
        let others = (1.0 - Tensor::eye(count, weight.dtype(), weight.device())?)?;
        let pairs = (count * count.saturating_sub(1)) as f64 / 2.0;
        let sum = absolute(&(products * others)?)?.sum_all()?;
        Ok((sum * (self.factor * 0.5 / pairs.max(1.0)))?)
    }

    fn config(&self) -> Option<Config> {
        Config::of_keras("OrthogonalRegularizer", self)
    }
}

/// |x| with the gradient 0 at 0, as in Keras; that of candle's `abs` is 1 there.
fn absolute(x: &Tensor) -> Result<Tensor> {
    Ok((x * x.sign()?)?) // candle gives the sign no gradient
}

/// An error unless a factor is a finite number of at least 0: below 0 it would reward what it is to
/// keep small.
fn check_factor(argument: &str, factor: f64) -> Result<()> {
    if factor.is_finite() && factor >= 0.0 {
        return Ok(());
    }
    let advice = "Keras's default is 0.01; 0 adds nothing";
    let expected = "a finite number of at least 0";
    Err(Error::argument(argument, expected, factor, advice))
}
