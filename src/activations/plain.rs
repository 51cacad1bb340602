//! Every activation in candle's operations, which its autograd differentiates: what serves devices
//! and f64, and what the fused operations are held against.
//!
//! Numbers are compared with tensors, as a number would be sent to the device. `where_cond` hands
//! the branch not taken a gradient of 0, so that no branch may have an infinite one.

use super::{
    ActivationFunction::{
        self, Celu, Elu, Exponential, Gelu, Glu, HardShrink, HardSigmoid, HardSilu, HardTanh,
        LeakyRelu, Linear, LogSigmoid, LogSoftmax, Mish, Relu, Relu6, ReluWith, Selu, Sigmoid,
        Silu, SoftShrink, Softmax, Softplus, Softsign, SparsePlus, SparseSigmoid, Sparsemax,
        Squareplus, Tanh, TanhShrink, Threshold,
    },
    SELU_ALPHA, SELU_SCALE,
};
use crate::Result;
use candle_core::{D, DType, Tensor};
use std::f64::consts::{FRAC_1_SQRT_2, FRAC_2_SQRT_PI, SQRT_2};

impl ActivationFunction {
    /// The activation of `x`, of the same shape but for [`Glu`]; candle's autograd differentiates
    /// it.
    ///
    /// # Errors
    /// When candle cannot allocate, a function along the last axis gets a tensor without axes, or
    /// `Glu` an odd width.
    pub fn call(&self, x: &Tensor) -> Result<Tensor> {
        Ok(match *self {
            Linear => x.clone(),
            Sigmoid => sigmoid(x)?,
            HardSigmoid => hard_sigmoid(x)?,
            LogSigmoid => softplus(&x.neg()?)?.neg()?,
            SparseSigmoid => ramp(&x.affine(0.5, 0.5)?, 1.0)?,
            Tanh => x.tanh()?,
            HardTanh => limited(x, -1.0, 1.0)?,
            TanhShrink => (x - x.tanh()?)?,
            Relu => relu(x)?,
            Relu6 => ramp(x, 6.0)?,
            ReluWith {
                negative_slope,
                max_value,
                threshold,
            } => relu_with(x, negative_slope, max_value, threshold)?,
            LeakyRelu { negative_slope } => leaky_relu(x, negative_slope)?,
            Elu { alpha } => elu(x, &x.gt(&x.zeros_like()?)?, 1.0, alpha, 1.0)?,
            Celu { alpha } => elu(x, &x.gt(&x.zeros_like()?)?, 1.0, alpha, 1.0 / alpha)?,
            // At 0 the gradient is that of the upper side, as in TensorFlow.
            Selu => {
                let above = x.ge(&x.zeros_like()?)?;
                elu(x, &above, SELU_SCALE, SELU_SCALE * SELU_ALPHA, 1.0)?
            }
            Gelu { approximate } => gelu(x, approximate)?,
            Silu => (x * sigmoid(x)?)?,
            HardSilu => (x * hard_sigmoid(x)?)?,
            Mish => mish(x)?,
            Glu => {
                let width = self.output_width(x.dim(D::Minus1)?)?;
                let gate = sigmoid(&x.narrow(D::Minus1, width, width)?.contiguous()?)?;
                (x.narrow(D::Minus1, 0, width)? * gate)?
            }
            Softplus => softplus(x)?,
            Softsign => softsign(x)?,
            SparsePlus => {
                // The square only of what lies in the bend.
                let bend = ramp(&x.affine(0.5, 0.5)?, 1.0)?.sqr()?;
                x.ge(&x.ones_like()?)?.where_cond(x, &bend)?
            }
            // Without a bend it is relu, whose gradient at 0 the root does not have.
            Squareplus { b: 0.0 } => relu(x)?,
            Squareplus { b } => {
                // (√(x² + b) + |x|) / 2, and for x < 0 its counterpart, of which it is b/4 apart.
                let far = ((x.sqr()? + b)?.sqrt()? + x.abs()?)?.affine(0.5, 0.0)?;
                let near = (far.recip()? * (b / 4.0))?;
                x.ge(&x.zeros_like()?)?.where_cond(&far, &near)?
            }
            SoftShrink { threshold } => {
                let zeros = x.zeros_like()?;
                let below = (x + threshold)?;
                let below = x.lt(&full(x, -threshold)?)?.where_cond(&below, &zeros)?;
                let above = (x - threshold)?;
                x.gt(&full(x, threshold)?)?.where_cond(&above, &below)?
            }
            HardShrink { threshold } => {
                let beyond = x.abs()?.gt(&full(x, threshold)?)?;
                beyond.where_cond(x, &x.zeros_like()?)?
            }
            Threshold {
                threshold,
                default_value,
            } => {
                let above = x.gt(&full(x, threshold)?)?;
                above.where_cond(x, &full(x, default_value)?)?
            }
            Exponential => x.exp()?,
            Softmax => candle_nn::ops::softmax(x, D::Minus1)?,
            LogSoftmax => candle_nn::ops::log_softmax(x, D::Minus1)?,
            Sparsemax => sparsemax(x)?,
        })
    }

    /// The gradient of the activations of every day from their outputs alone, which saves their
    /// inputs and a graph.
    pub(super) fn plain_from_output(&self, output: &Tensor, gradient: &Tensor) -> Result<Tensor> {
        let zeros = output.zeros_like()?;
        let above = output.gt(&zeros)?;
        Ok(match *self {
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
            // The others are differentiated from their inputs.
            _ => gradient.clone(),
        })
    }
}

fn full(like: &Tensor, value: f64) -> Result<Tensor> {
    Ok(like.zeros_like()?.affine(0.0, value)?)
}

fn sigmoid(x: &Tensor) -> Result<Tensor> {
    // e^-|x| never overflows, so that neither value nor gradient meets ∞·0.
    let e = x.abs()?.neg()?.exp()?;
    let above = x.ge(&x.zeros_like()?)?.where_cond(&e.ones_like()?, &e)?;
    Ok((above / (e + 1.0)?)?)
}

/// Not candle's relu, whose gradient at 0 is 1. "Not ≤ 0" lets a NaN through, to be seen in the
/// loss.
fn relu(x: &Tensor) -> Result<Tensor> {
    let zeros = x.zeros_like()?;
    Ok(x.le(&zeros)?.where_cond(&zeros, x)?)
}

/// x / (1 + |x|), with the gradient 1 / (1 + |x|)²: that of the quotient is a difference, which has
/// no digits left far from 0.
fn softsign(x: &Tensor) -> Result<Tensor> {
    let above = x.ge(&x.zeros_like()?)?.to_dtype(x.dtype())?;
    let side = above.affine(2.0, -1.0)?; // 1 from 0 on, else -1
    let inverse = ((x * &side)? + 1.0)?.recip()?;
    let sloped = (side * &inverse)?.neg()?;
    Ok(((x * inverse)?.detach() + (&sloped - sloped.detach())?)?)
}

fn leaky_relu(x: &Tensor, slope: f64) -> Result<Tensor> {
    let below = x.affine(slope, 0.0)?;
    Ok(x.gt(&x.zeros_like()?)?.where_cond(x, &below)?)
}

/// `x` from 0 to `greatest`, with gradient 0 at both.
fn ramp(x: &Tensor, greatest: f64) -> Result<Tensor> {
    let greatest = full(x, greatest)?;
    Ok(x.ge(&greatest)?.where_cond(&greatest, &relu(x)?)?)
}

/// `x` from `least` to `greatest`, with gradient 1 at both.
fn limited(x: &Tensor, least: f64, greatest: f64) -> Result<Tensor> {
    let (least, greatest) = (full(x, least)?, full(x, greatest)?);
    let above = x.lt(&least)?.where_cond(&least, x)?;
    Ok(x.gt(&greatest)?.where_cond(&greatest, &above)?)
}

fn hard_sigmoid(x: &Tensor) -> Result<Tensor> {
    Ok((ramp(&(x + 3.0)?, 6.0)? / 6.0)?)
}

/// Piece by piece as Keras on TensorFlow has it, which decides the gradients at the ends.
fn relu_with(
    x: &Tensor,
    negative_slope: f64,
    max_value: Option<f64>,
    threshold: f64,
) -> Result<Tensor> {
    if max_value.is_none() && threshold == 0.0 {
        return leaky_relu(x, negative_slope);
    }
    let limit = full(x, threshold)?;
    let above = x.le(&limit)?.where_cond(&x.zeros_like()?, x)?;
    let above = match max_value {
        Some(6.0) if threshold == 0.0 => ramp(&above, 6.0)?,
        Some(greatest) => limited(&above, 0.0, greatest)?,
        None => above,
    };
    if negative_slope == 0.0 {
        return Ok(above);
    }
    let below = relu(&(limit - x)?)?;
    Ok((above - (below * negative_slope)?)?)
}

/// `scale`·x where it is `above`, else `alpha`·(e^(`rate`·x) - 1).
fn elu(x: &Tensor, above: &Tensor, scale: f64, alpha: f64, rate: f64) -> Result<Tensor> {
    // eˣ - 1 = 2t / (1 - t) with t = tanh(x/2), which keeps its digits near 0.
    let zeros = x.zeros_like()?;
    let t = (above.where_cond(&zeros, x)? * (rate / 2.0))?.tanh()?;
    let below = ((&t * (2.0 * alpha))? / (1.0 - &t)?)?;
    Ok(above.where_cond(&(x * scale)?, &below)?)
}

fn gelu(x: &Tensor, approximate: bool) -> Result<Tensor> {
    if approximate {
        // (1 + tanh u) / 2 = sigmoid(2u), with u = √(2/π)·(x + 0.044715·x³)
        let rate = SQRT_2 * FRAC_2_SQRT_PI;
        let inner = (x * x.sqr()?.affine(0.044_715 * rate, rate)?)?;
        return Ok((x * sigmoid(&inner)?)?);
    }
    let normal = (x * FRAC_1_SQRT_2)?.erf()?.affine(0.5, 0.5)?;
    Ok((x * normal)?)
}

fn mish(x: &Tensor) -> Result<Tensor> {
    // tanh(ln(1 + eˣ)) with e = e^-|x|: n / (n + 2) with n = e·(e + 2) for x < 0, else
    // 1 - 2e² / (1 + 2e + 2e²), whose gradient does not cancel either.
    let e = x.abs()?.neg()?.exp()?;
    let square = (e.sqr()? * 2.0)?;
    let above = (1.0 - (&square / ((&square + (&e * 2.0)?)? + 1.0)?)?)?;
    let n = (&e * (&e + 2.0)?)?;
    let below = (&n / (&n + 2.0)?)?;
    let t = x.ge(&x.zeros_like()?)?.where_cond(&above, &below)?;
    Ok((x * t)?)
}

fn softplus(x: &Tensor) -> Result<Tensor> {
    // max(x, 0) + ln(1 + e^-|x|), with one side's gradients at 0 in both.
    let zeros = x.zeros_like()?;
    let above = x.gt(&zeros)?;
    let e = above.where_cond(&x.neg()?, x)?.exp()?;
    Ok((above.where_cond(x, &zeros)? + (e + 1.0)?.log()?)?)
}

fn sparsemax(x: &Tensor) -> Result<Tensor> {
    // Which numbers stay is found outside the graph; sizes that differ by the greatest have the
    // same τ, and more digits.
    let still = x.detach();
    let greatest = still.max_keepdim(D::Minus1)?;
    let still = still.broadcast_sub(&greatest)?.contiguous()?;
    let (sorted, _) = still.sort_last_dim(false)?;
    let width = x.dim(D::Minus1)?;
    let ranks = Tensor::arange(1u32, width as u32 + 1, x.device())?
        .to_dtype(DType::F32)?
        .to_dtype(x.dtype())?;
    // z₁ ≥ z₂ ≥ .. stay as long as 1 + k·z_k > Σ z_j for j up to k.
    let stays = (sorted.broadcast_mul(&ranks)? + 1.0)?.gt(&sorted.cumsum(D::Minus1)?)?;
    let stays = stays.to_dtype(x.dtype())?;
    let count = stays.sum_keepdim(D::Minus1)?;
    let least = (((sorted * stays)?.sum_keepdim(D::Minus1)? - 1.0)? / &count)?;
    let support = still.broadcast_gt(&least)?.to_dtype(x.dtype())?;
    // x - τ where it stays, with τ = (Σ x - 1) / count of those.
    let x = x.broadcast_sub(&greatest)?;
    let kept = (&x * &support)?;
    let count = support.sum_keepdim(D::Minus1)?;
    let threshold = ((kept.sum_keepdim(D::Minus1)? - 1.0)? / count)?;
    Ok((x.broadcast_sub(&threshold)? * support)?)
}
