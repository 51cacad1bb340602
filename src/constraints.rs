//! Constraints: what a weight is brought back to after every step.

use crate::{
    Axes, Config, Error, Result, config::Entry, config::serde_of_part, config::table, error::tuple,
};
use candle_core::Tensor;
use serde::{Deserialize, Serialize};
use std::fmt::Debug;

/// Keras's `epsilon()`: what keeps a division by a length away from 0.
const EPSILON: f64 = 1e-7;

/// Brings a weight back into a set after every update.
///
/// ```
/// use candle_keras::{constraints::Constraint, prelude::*};
///
/// /// Numbers from -1 to 1.
/// #[derive(Debug)]
/// struct Bounded;
///
/// impl Constraint for Bounded {
///     fn call(&self, weight: &Tensor) -> candle_keras::Result<Tensor> {
///         Ok(weight.clamp(-1.0, 1.0)?)
///     }
/// }
/// Dense::new(4).kernel_constraint(Bounded);
/// ```
pub trait Constraint: Debug + Send + Sync {
    /// The weight that it becomes, of the same shape.
    ///
    /// # Errors
    /// When candle's operations fail.
    fn call(&self, weight: &Tensor) -> Result<Tensor>;

    /// Whether its arguments are in range and fit a weight of `shape`; `build` asks.
    ///
    /// # Errors
    /// When one is not.
    fn check(&self, shape: &[usize]) -> Result<()> {
        let _ = shape;
        Ok(())
    }

    /// Its class and arguments, if it can be written to a file.
    fn config(&self) -> Option<Config> {
        None
    }
}

impl<C: Constraint + 'static> From<C> for Box<dyn Constraint> {
    fn from(constraint: C) -> Self {
        Box::new(constraint)
    }
}

serde_of_part!(Constraint, "constraint", "keras.constraints", CONSTRAINTS);

/// Every constraint of the crate.
pub(crate) const CONSTRAINTS: &[Entry<dyn Constraint>] = table![dyn Constraint:
    MaxNorm = MaxNorm::default(), "max_norm";
    MinMaxNorm = MinMaxNorm::default(), "min_max_norm";
    NonNeg = NonNeg, "non_neg";
    UnitNorm = UnitNorm::default(), "unit_norm";
];

/// Lengths of at most `max_value`: longer vectors are shortened. With axis 0, the default, a vector
/// is what goes into one unit. Keras: `MaxNorm`, whose greatest length is 2.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MaxNorm {
    max_value: f64,
    axis: Axes,
}

/// Lengths from `min_value` to `max_value`: others are brought nearer by `rate` of the way. Keras:
/// `MinMaxNorm`, 0 to 1, all the way.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MinMaxNorm {
    min_value: f64,
    max_value: f64,
    rate: f64,
    axis: Axes,
}

/// Numbers of at least 0: those below become 0. Keras: `NonNeg`.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct NonNeg;

/// A length of 1 for every vector along an axis. Keras: `UnitNorm`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct UnitNorm {
    axis: Axes,
}

impl MaxNorm {
    /// Lengths of at most `max_value`.
    pub fn new(max_value: f64) -> Self {
        Self {
            max_value,
            axis: Axes::One(0),
        }
    }

    /// The axes along which a vector lies; 0 by default.
    pub fn axis(mut self, axis: impl Into<Axes>) -> Self {
        self.axis = axis.into();
        self
    }
}

impl MinMaxNorm {
    /// Lengths from `min_value` to `max_value`.
    pub fn new(min_value: f64, max_value: f64) -> Self {
        Self {
            min_value,
            max_value,
            rate: 1.0,
            axis: Axes::One(0),
        }
    }

    /// How much of the way a length is brought at each step, from 0 to 1.
    pub fn rate(mut self, rate: f64) -> Self {
        self.rate = rate;
        self
    }

    /// The axes along which a vector lies; 0 by default.
    pub fn axis(mut self, axis: impl Into<Axes>) -> Self {
        self.axis = axis.into();
        self
    }
}

impl UnitNorm {
    /// A length of 1.
    pub fn new() -> Self {
        Self { axis: Axes::One(0) }
    }

    /// The axes along which a vector lies; 0 by default.
    pub fn axis(mut self, axis: impl Into<Axes>) -> Self {
        self.axis = axis.into();
        self
    }
}

impl Default for MaxNorm {
    fn default() -> Self {
        Self::new(2.0)
    }
}

impl Default for MinMaxNorm {
    fn default() -> Self {
        Self::new(0.0, 1.0)
    }
}

impl Default for UnitNorm {
    fn default() -> Self {
        Self::new()
    }
}

impl Constraint for MaxNorm {
    fn check(&self, shape: &[usize]) -> Result<()> {
        check_length("max_value", self.max_value)?;
        check_axis(&self.axis, shape)
    }

    fn call(&self, weight: &Tensor) -> Result<Tensor> {
        let lengths = lengths(weight, &self.axis)?;
        let desired = lengths.clamp(0.0, self.max_value)?;
        scaled(weight, &desired, &lengths)
    }

    fn config(&self) -> Option<Config> {
        Config::of_keras("MaxNorm", self)
    }
}

impl Constraint for MinMaxNorm {
    fn check(&self, shape: &[usize]) -> Result<()> {
        check_length("min_value", self.min_value)?;
        check_length("max_value", self.max_value)?;
        if self.min_value > self.max_value {
            let expected = format!("at most max_value, {}", self.max_value);
            let advice = "no length is between the two";
            return Err(Error::argument(
                "min_value",
                expected,
                self.min_value,
                advice,
            ));
        }
        if !(0.0..=1.0).contains(&self.rate) {
            let advice = "1 brings every length between the two at once";
            return Err(Error::argument(
                "rate",
                "a number from 0 to 1",
                self.rate,
                advice,
            ));
        }
        check_axis(&self.axis, shape)
    }

    fn call(&self, weight: &Tensor) -> Result<Tensor> {
        let lengths = lengths(weight, &self.axis)?;
        let within = (lengths.clamp(self.min_value, self.max_value)? * self.rate)?;
        let desired = (within + (&lengths * (1.0 - self.rate))?)?;
        scaled(weight, &desired, &lengths)
    }

    fn config(&self) -> Option<Config> {
        Config::of_keras("MinMaxNorm", self)
    }
}

impl Constraint for NonNeg {
    fn call(&self, weight: &Tensor) -> Result<Tensor> {
        Ok(weight.maximum(0.0)?)
    }

    fn config(&self) -> Option<Config> {
        Config::of_keras("NonNeg", self)
    }
}

impl Constraint for UnitNorm {
    fn check(&self, shape: &[usize]) -> Result<()> {
        check_axis(&self.axis, shape)
    }

    fn call(&self, weight: &Tensor) -> Result<Tensor> {
        let lengths = lengths(weight, &self.axis)?;
        Ok(weight.broadcast_div(&(lengths + EPSILON)?)?)
    }

    fn config(&self) -> Option<Config> {
        Config::of_keras("UnitNorm", self)
    }
}

/// An error unless a length is a finite number of at least 0.
fn check_length(argument: &str, length: f64) -> Result<()> {
    if length.is_finite() && length >= 0.0 {
        return Ok(());
    }
    let expected = "a finite number of at least 0";
    Err(Error::argument(
        argument,
        expected,
        length,
        "it is the length of a vector",
    ))
}

/// An error unless a weight of `shape` has these axes.
fn check_axis(axis: &Axes, shape: &[usize]) -> Result<()> {
    if axis.resolve(shape.len()).is_ok() {
        return Ok(());
    }
    let expected = format!("different axes of a weight of shape {}", tuple(shape));
    let advice = "0 is its first, -1 its last";
    Err(Error::argument("axis", expected, axis, advice))
}

/// The lengths of vectors along the axes, which stay with length 1.
fn lengths(weight: &Tensor, axis: &Axes) -> Result<Tensor> {
    let axes = axis.resolve(weight.rank())?;
    Ok(weight.sqr()?.sum_keepdim(axes)?.sqrt()?)
}

/// Vectors of `lengths` brought to `desired` ones.
fn scaled(weight: &Tensor, desired: &Tensor, lengths: &Tensor) -> Result<Tensor> {
    Ok(weight.broadcast_mul(&(desired / (lengths + EPSILON)?)?)?)
}
