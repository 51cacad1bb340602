//! Activation functions: what a layer does to each of its outputs.
//!
//! They are given to a layer by name, `Dense::new(128).activation(Relu)`, or stand as a layer of
//! their own, [`layers::Activation`](crate::layers::Activation).

use crate::{Error, Result, ops};
use candle_core::{D, Tensor};

pub use ActivationFunction::{Elu, LeakyRelu, Linear, Relu, Sigmoid, Softmax, Tanh};

/// An activation function. Each works on every number by itself, but for softmax, which works
/// along the last axis. All are finite for inputs of ±1e4, and so are their gradients.
///
/// ```
/// use candle_keras::prelude::*;
/// # fn main() -> anyhow::Result<()> {
/// let x = Tensor::new(&[-2f32, 0.0, 2.0], &Device::Cpu)?;
/// assert_eq!(Relu.call(&x)?.to_vec1::<f32>()?, [0.0, 0.0, 2.0]);
/// assert_eq!(LeakyRelu { negative_slope: 0.5 }.call(&x)?.to_vec1::<f32>()?, [-1.0, 0.0, 2.0]);
/// # Ok(()) }
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Default)]
#[non_exhaustive]
pub enum ActivationFunction {
    /// f(x) = x. Keras: `linear`, the default of every layer.
    #[default]
    Linear,
    /// f(x) = 1 / (1 + e⁻ˣ), from 0 to 1. Keras: `sigmoid`.
    Sigmoid,
    /// f(x) = max(x, 0); its gradient at 0 is 0. Keras: `relu`.
    Relu,
    /// f(x) = tanh x, from -1 to 1. Keras: `tanh`.
    Tanh,
    /// f(x) = x for x > 0, else `negative_slope`·x. Keras: `leaky_relu`, whose slope is 0.2 as a
    /// function and 0.3 as a layer.
    LeakyRelu {
        /// The slope below 0.
        negative_slope: f64,
    },
    /// f(x) = x for x > 0, else `alpha`·(eˣ - 1). Keras: `elu`, whose alpha is 1.
    Elu {
        /// How far the output goes below 0.
        alpha: f64,
    },
    /// f(x)ᵢ = e^xᵢ / Σⱼ e^xⱼ along the last axis: positive numbers with sum 1. Keras: `softmax`.
    Softmax,
}

impl ActivationFunction {
    /// Keras's name: `relu`, `leaky_relu`.
    pub fn name(&self) -> &'static str {
        match self {
            Linear => "linear",
            Sigmoid => "sigmoid",
            Relu => "relu",
            Tanh => "tanh",
            LeakyRelu { .. } => "leaky_relu",
            Elu { .. } => "elu",
            Softmax => "softmax",
        }
    }

    /// The activation of `x`, of the same shape; candle's autograd differentiates it.
    ///
    /// # Errors
    /// When candle cannot allocate, or softmax gets a tensor without axes.
    pub fn call(&self, x: &Tensor) -> Result<Tensor> {
        Ok(match *self {
            Linear => x.clone(),
            Sigmoid => {
                // e^-|x| never overflows, so that neither value nor gradient meets ∞·0.
                let e = x.abs()?.neg()?.exp()?;
                let above = x.ge(&x.zeros_like()?)?.where_cond(&e.ones_like()?, &e)?;
                (above / (e + 1.0)?)?
            }
            // Not candle's relu, whose gradient at 0 is 1. "Not ≤ 0" lets a NaN through, to be
            // seen in the loss. Compared with a tensor, as a number would be sent to the device.
            Relu => {
                let zeros = x.zeros_like()?;
                x.le(&zeros)?.where_cond(&zeros, x)?
            }
            Tanh => x.tanh()?,
            LeakyRelu { negative_slope } => {
                let below = x.affine(negative_slope, 0.0)?;
                x.gt(&x.zeros_like()?)?.where_cond(x, &below)?
            }
            Elu { alpha } => {
                // eˣ - 1 = 2t / (1 - t) with t = tanh(x/2), which keeps its digits near 0.
                let zeros = x.zeros_like()?;
                let above = x.gt(&zeros)?;
                let t = (above.where_cond(&zeros, x)? / 2.0)?.tanh()?;
                let below = ((&t * (2.0 * alpha))? / (1.0 - &t)?)?;
                above.where_cond(x, &below)?
            }
            Softmax => candle_nn::ops::softmax(x, D::Minus1)?,
        })
    }

    /// The activation of `x`, in `x`'s own memory where it can: `x` must be nobody else's.
    pub(crate) fn call_owned(&self, x: Tensor) -> Result<Tensor> {
        if !ops::in_memory(&[&x]) {
            return self.call(&x);
        }
        let width = x.dim(D::Minus1)?;
        ops::write(&x, |numbers| {
            ops::vectorized(
                #[inline(always)]
                || ops::activation::apply(*self, numbers, width),
            );
            Ok(())
        })?;
        Ok(x)
    }

    /// The loss's gradient before the activation, from its gradient after it, `gradient`, and the
    /// activation's `output`. `input` is read where `needs_input` says so.
    pub(crate) fn backward(
        &self,
        input: Option<&Tensor>,
        output: &Tensor,
        gradient: &Tensor,
    ) -> Result<Tensor> {
        if *self == Linear {
            return Ok(gradient.clone());
        }
        let input = input.filter(|_| self.needs_input());
        if input.is_none() && ops::in_memory(&[output]) {
            let before = gradient.force_contiguous()?;
            let width = output.dim(D::Minus1)?;
            let output = ops::numbers(output)?;
            ops::write(&before, |gradient| {
                ops::vectorized(
                    #[inline(always)]
                    || {
                        ops::activation::apply_gradient(*self, &output, gradient, width);
                    },
                );
                Ok(())
            })?;
            return Ok(before);
        }
        let decides = input.unwrap_or(output);
        let zeros = decides.zeros_like()?;
        let above = decides.gt(&zeros)?;
        Ok(match *self {
            Linear => gradient.clone(),
            Sigmoid => (gradient * (output * (1.0 - output)?)?)?,
            Relu => above.where_cond(gradient, &zeros)?,
            Tanh => (gradient * (1.0 - output.sqr()?)?)?,
            LeakyRelu { negative_slope } => {
                above.where_cond(gradient, &gradient.affine(negative_slope, 0.0)?)?
            }
            Elu { alpha } => {
                let below = (gradient * (output + alpha)?)?;
                above.where_cond(gradient, &below)?
            }
            Softmax => {
                let along = (output * gradient)?.sum_keepdim(D::Minus1)?;
                (output * gradient.broadcast_sub(&along)?)?
            }
        })
    }

    /// Whether the gradient cannot be told from the output alone: with a negative slope, positive
    /// outputs come from both sides of 0.
    pub(crate) fn needs_input(&self) -> bool {
        match self {
            LeakyRelu { negative_slope } => *negative_slope < 0.0,
            Elu { alpha } => *alpha < 0.0,
            _ => false,
        }
    }

    /// An error when a parameter is not finite.
    pub(crate) fn check(&self) -> Result<()> {
        let (argument, value, default) = match self {
            LeakyRelu { negative_slope } => ("negative_slope", *negative_slope, 0.2),
            Elu { alpha } => ("alpha", *alpha, 1.0),
            _ => return Ok(()),
        };
        if value.is_finite() {
            return Ok(());
        }
        let advice = format!("Keras's default is {default}");
        Err(Error::argument(argument, "a finite number", value, advice))
    }
}
