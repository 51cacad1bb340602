//! Steps of the losses' formulas, whose gradients at kinks are TensorFlow's.
//!
//! candle's own `abs`, `maximum` and `clamp` give other ones there: |x|' is 1 at 0, and at a bound
//! half of the gradient goes on. A bound is compared as a tensor, as a number would have to be sent to the device.

use super::{aligned, misfit};
use crate::Result;
use candle_core::{D, Tensor};

/// Targets and outputs, [`aligned`], in the outputs' number type.
///
/// # Errors
/// When there is not a target for every output.
pub(super) fn pair(y_true: &Tensor, y_pred: &Tensor) -> Result<(Tensor, Tensor)> {
    let (y, p) = aligned(y_true, y_pred)?;
    if y.dims() != p.dims() {
        let advice = "give a target for every output";
        return Err(misfit(y_true, y_pred.dims(), advice));
    }
    Ok((y.to_dtype(p.dtype())?, p))
}

/// Outputs less their targets.
pub(super) fn error(y_true: &Tensor, y_pred: &Tensor) -> Result<Tensor> {
    let (y, p) = pair(y_true, y_pred)?;
    Ok((p - y)?)
}

/// A gradient of aligned outputs in the shape that these had before.
pub(super) fn in_shape_of(y_pred: &Tensor, gradient: Tensor) -> Result<Tensor> {
    if gradient.rank() == y_pred.rank() {
        return Ok(gradient);
    }
    Ok(gradient.reshape(y_pred.shape())?)
}

/// The mean over the last axis.
pub(super) fn mean(each: &Tensor) -> Result<Tensor> {
    Ok(each.mean(D::Minus1)?)
}

/// |x|; its gradient at 0 is 0.
pub(super) fn absolute(x: &Tensor) -> Result<Tensor> {
    Ok((x * x.sign()?)?)
}

/// max(x, bound); its gradient at the bound is 1. Not a number stays one.
pub(super) fn at_least(x: &Tensor, bound: f64) -> Result<Tensor> {
    let bound = (x.zeros_like()? + bound)?;
    Ok(x.lt(&bound)?.where_cond(&bound, x)?)
}

/// min(x, bound); its gradient at the bound is 1. Not a number stays one.
pub(super) fn at_most(x: &Tensor, bound: f64) -> Result<Tensor> {
    let bound = (x.zeros_like()? + bound)?;
    Ok(x.gt(&bound)?.where_cond(&bound, x)?)
}

/// x kept within two bounds; its gradient is 1 at both, and 0 outside.
pub(super) fn clip(x: &Tensor, low: f64, high: f64) -> Result<Tensor> {
    at_most(&at_least(x, low)?, high)
}

/// The greatest number along the last axis; where several are, they share the gradient.
pub(super) fn greatest(x: &Tensor) -> Result<Tensor> {
    let values = x.detach();
    let greatest = values.max_keepdim(D::Minus1)?;
    let those = values.broadcast_eq(&greatest)?.to_dtype(x.dtype())?;
    let shares = those.broadcast_div(&those.sum_keepdim(D::Minus1)?)?;
    Ok((x * shares)?.sum(D::Minus1)?)
}

/// ln(1 + x) for x ≥ 0, with the digits that 1 + x loses: with u = 1 + x rounded, it is
/// ln u + (x - (u - 1)) / u.
pub(super) fn ln_1p(x: &Tensor) -> Result<Tensor> {
    let u = (x + 1.0)?;
    let lost = (x - (&u - 1.0)?)?;
    Ok((u.log()? + (lost / &u)?)?)
}

/// max(x, 0) and ln(1 + e^-|x|), whose sum is the softplus ln(1 + eˣ). Its gradient is the sigmoid
/// of x, at 0 as well.
pub(super) fn softplus_terms(x: &Tensor) -> Result<(Tensor, Tensor)> {
    let size = absolute(x)?;
    let above = ((x + &size)? * 0.5)?;
    Ok((above, ln_1p(&size.neg()?.exp()?)?))
}

/// ln(1 + eˣ), finite for ±1e4.
pub(super) fn softplus(x: &Tensor) -> Result<Tensor> {
    let (above, tail) = softplus_terms(x)?;
    Ok((above + tail)?)
}

/// Targets brought nearer to each other: (1 - smoothing)·y + smoothing·`level`.
pub(super) fn smoothed(y: Tensor, smoothing: f64, level: f64) -> Result<Tensor> {
    if smoothing == 0.0 {
        return Ok(y);
    }
    Ok(y.affine(1.0 - smoothing, smoothing * level)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::{Device, Var};

    /// A formula's gradients at numbers.
    fn gradients(at: &[f32], formula: impl Fn(&Tensor) -> Result<Tensor>) -> Vec<f32> {
        let x = Var::new(at, &Device::Cpu).unwrap();
        let y = formula(x.as_tensor()).unwrap();
        let gradients = y.backward().unwrap();
        gradients.get(&x).unwrap().to_vec1().unwrap()
    }

    #[test]
    fn gradients_at_kinks_are_those_of_tensorflow() {
        assert_eq!(gradients(&[-2.0, 0.0, 2.0], absolute), [-1.0, 0.0, 1.0]);
        let at_least_one = |x: &Tensor| at_least(x, 1.0);
        assert_eq!(gradients(&[0.5, 1.0, 2.0], at_least_one), [0.0, 1.0, 1.0]);
        let within = |x: &Tensor| clip(x, -1.0, 1.0);
        let at = [-2.0, -1.0, 0.0, 1.0, 2.0];
        assert_eq!(gradients(&at, within), [0.0, 1.0, 1.0, 1.0, 0.0]);
        assert_eq!(gradients(&[3.0, 1.0, 3.0], greatest), [0.5, 0.0, 0.5]);
        assert_eq!(gradients(&[0.0], softplus), [0.5]);
    }

    #[test]
    fn softplus_is_finite_and_keeps_small_digits() {
        let x = Tensor::new(&[-1e4f32, -20.0, 0.0, 20.0, 1e4], &Device::Cpu).unwrap();
        let y = softplus(&x).unwrap().to_vec1::<f32>().unwrap();
        let expected = [0.0, 2.061_153_6e-9, std::f32::consts::LN_2, 20.0, 1e4];
        for (got, expected) in y.iter().zip(expected) {
            assert!(
                (got - expected).abs() <= 1e-6 * expected,
                "{got} {expected}"
            );
        }
    }

    #[test]
    fn what_is_not_a_number_stays_so() {
        let x = Tensor::new(&[f32::NAN], &Device::Cpu).unwrap();
        for y in [
            absolute(&x),
            clip(&x, 0.0, 1.0),
            greatest(&x).and_then(|y| Ok(y.unsqueeze(0)?)),
        ] {
            assert!(y.unwrap().to_vec1::<f32>().unwrap()[0].is_nan());
        }
    }
}
