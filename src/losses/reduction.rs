use super::Loss;
use crate::{Axes, Error, Result, error::tuple};
use candle_core::Tensor;
use serde::{Deserialize, Serialize};

/// How the losses of a batch become one number. Keras: a loss's `reduction`.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reduction {
    /// Their sum, each times its sample's weight, divided by how many there are: Keras's default.
    #[default]
    SumOverBatchSize,
    /// The same.
    Mean,
    /// Their sum, each times its sample's weight.
    Sum,
    /// Their sum, each times its sample's weight, divided by the sum of the weights.
    MeanWithSampleWeight,
}

/// What every loss of the crate takes besides its own arguments.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
pub(super) struct Base {
    pub(super) reduction: Reduction,
}

/// The setter of [`Base`] on a loss with a field `base`.
macro_rules! loss_setters {
    () => {
        /// How the losses of a batch become one number; [`Reduction::SumOverBatchSize`] by
        /// default.
        ///
        /// [`Reduction::SumOverBatchSize`]: crate::losses::Reduction::SumOverBatchSize
        pub fn reduction(mut self, reduction: crate::losses::Reduction) -> Self {
            self.base.reduction = reduction;
            self
        }
    };
}
pub(super) use loss_setters;

/// The methods of [`Loss`] for a field `base`, and its configuration.
macro_rules! loss_access {
    ($class_name:literal) => {
        fn given_reduction(&self) -> crate::losses::Reduction {
            self.base.reduction
        }

        fn config(&self) -> Option<crate::Config> {
            crate::Config::of_keras($class_name, self)
        }
    };
}
pub(super) use loss_access;

/// A loss without arguments of its own: its struct, `new` and the setters of [`Base`].
macro_rules! plain_loss {
    ($(#[$documentation:meta])* pub struct $class:ident;) => {
        $(#[$documentation])*
        #[derive(Debug, Clone, Default, serde::Serialize, serde::Deserialize)]
        pub struct $class {
            #[serde(flatten)]
            base: crate::losses::reduction::Base,
        }

        impl $class {
            /// The loss.
            pub fn new() -> Self {
                Self::default()
            }

            crate::losses::reduction::loss_setters!();
        }
    };
}
pub(super) use plain_loss;

/// How much each loss of a batch counts: the batch's loss is the sum of `factors`·losses, times
/// `scale`.
pub(crate) struct Weighing {
    /// In the losses' shape; all 1 where there are none.
    factors: Option<Tensor>,
    scale: f64,
    /// The axes of the outputs that the losses lack.
    axes: Axes,
}

impl Weighing {
    /// By the loss's reduction, its mask and that of the outputs, and the samples' weights, (batch)
    /// or in the losses' shape.
    pub(crate) fn new(
        loss: &dyn Loss,
        losses: &Tensor,
        y_true: &Tensor,
        sample_weight: Option<&Tensor>,
        mask: Option<&Tensor>,
    ) -> Result<Self> {
        let reduction = loss.given_reduction();
        let axes = loss.axes();
        let scale = match reduction {
            Reduction::Sum => 1.0,
            _ => 1.0 / losses.elem_count().max(1) as f64,
        };
        if losses.rank() == 0 {
            return Ok(Self {
                factors: of_whole_batch(reduction, sample_weight, mask)?
                    .map(|factor| factor.to_dtype(losses.dtype()))
                    .transpose()?,
                scale: 1.0,
                axes,
            });
        }
        let own = loss.mask(y_true)?;
        let own = own.map(|mask| in_shape_of(&mask, losses)).transpose()?;
        let mask = mask.map(|mask| spread_mask(mask, losses)).transpose()?;
        let mask = match (own, mask) {
            (Some(own), Some(mask)) => Some((own * mask)?),
            (own, mask) => own.or(mask),
        };
        let weights = sample_weight.map(|weights| spread(weights, losses));
        let factors = match (mask, weights.transpose()?) {
            (None, weights) => weights,
            (Some(mask), weights) => Some(masked(&mask, weights, reduction)?),
        };
        let (factors, scale) = match factors {
            Some(factors) if reduction == Reduction::MeanWithSampleWeight => {
                (Some(shares(&factors)?), 1.0)
            }
            factors => (factors, scale),
        };
        Ok(Self {
            factors,
            scale,
            axes,
        })
    }

    /// What sums up to the batch's loss, but for the factor that comes with it.
    pub(crate) fn terms(&self, losses: &Tensor) -> Result<(Tensor, f64)> {
        let terms = match &self.factors {
            Some(factors) => (losses * factors)?,
            None => losses.clone(),
        };
        Ok((terms, self.scale))
    }

    /// The gradient of the batch's loss, from that of the sum of its losses.
    pub(crate) fn gradient(&self, gradient: &Tensor) -> Result<Tensor> {
        let Some(factors) = &self.factors else {
            return Ok((gradient * self.scale)?);
        };
        let mut shape = factors.dims().to_vec();
        let axes = self.axes.resolve(gradient.rank())?;
        if shape.len() + axes.len() == gradient.rank() {
            for axis in axes {
                shape.insert(axis, 1); // (batch, 1, ..)
            }
        } else {
            shape.resize(gradient.rank(), 1); // (batch, .., 1)
        }
        let factors = (factors * self.scale)?.reshape(shape)?;
        Ok(gradient.broadcast_mul(&factors)?)
    }
}

/// One loss of all samples counts as much as their weights do, as Keras has it: their sum, their
/// mean, or once unless they sum to 0. Steps that are masked have no weight, and no part in the mean.
fn of_whole_batch(
    reduction: Reduction,
    weights: Option<&Tensor>,
    mask: Option<&Tensor>,
) -> Result<Option<Tensor>> {
    let weights = match (weights, mask) {
        (None, None) => return Ok(None),
        (Some(weights), None) => weights.clone(),
        (weights, Some(mask)) => {
            let weights = weights.map(|weights| spread(weights, mask)).transpose()?;
            masked(mask, weights, reduction)?
        }
    };
    let sum = weights.sum_all()?;
    Ok(Some(match reduction {
        Reduction::Sum => sum,
        Reduction::SumOverBatchSize | Reduction::Mean => weights.mean_all()?,
        Reduction::MeanWithSampleWeight => sum.ne(&sum.zeros_like()?)?.to_dtype(sum.dtype())?,
    }))
}

/// A mask of the outputs' steps in the shape of the losses, or of a metric's values.
pub(crate) fn spread_mask(mask: &Tensor, losses: &Tensor) -> Result<Tensor> {
    fitted(mask, losses)?.ok_or_else(|| {
        Error::argument(
            "mask",
            format!("a mask for losses of shape {}", tuple(losses.dims())),
            tuple(mask.dims()),
            "a masked step needs a loss of its own: give targets the outputs' axes, (n, steps, 1) \
             for outputs of that shape, and reduce over the last axis alone",
        )
    })
}

/// A mask in the losses' shape and number type.
fn in_shape_of(mask: &Tensor, losses: &Tensor) -> Result<Tensor> {
    if mask.elem_count() != losses.elem_count() {
        let advice = "give a 1 or a 0 for each loss";
        let expected = format!(
            "as many numbers as losses of shape {}",
            tuple(losses.dims())
        );
        return Err(Error::argument(
            "mask",
            expected,
            tuple(mask.dims()),
            advice,
        ));
    }
    Ok(mask.to_dtype(losses.dtype())?.reshape(losses.shape())?)
}

/// Weights of samples, (batch) or (batch, 1), or of all losses, in the losses' shape.
pub(crate) fn spread(weights: &Tensor, losses: &Tensor) -> Result<Tensor> {
    fitted(weights, losses)?.ok_or_else(|| {
        Error::argument(
            "sample_weight",
            format!("weights for losses of shape {}", tuple(losses.dims())),
            tuple(weights.dims()),
            "give one weight for each sample, or for each of its losses",
        )
    })
}

/// Numbers of samples, or of all losses, in the losses' shape; `None` where they do not fit.
fn fitted(numbers: &Tensor, losses: &Tensor) -> Result<Option<Tensor>> {
    let (given, shape) = (numbers.dims(), losses.dims());
    let rank = given.iter().rposition(|length| *length != 1);
    let bare = &given[..rank.map_or(1.min(given.len()), |last| last + 1)];
    if bare.is_empty() || !shape.starts_with(bare) {
        return Ok(None);
    }
    let mut padded = bare.to_vec();
    padded.resize(shape.len(), 1);
    let numbers = numbers.to_dtype(losses.dtype())?.reshape(padded)?;
    Ok(Some(numbers.broadcast_as(shape)?.contiguous()?))
}

/// Weights that leave masked losses out: of a mean they are left out of the count as well.
fn masked(mask: &Tensor, weights: Option<Tensor>, reduction: Reduction) -> Result<Tensor> {
    let averages = matches!(reduction, Reduction::SumOverBatchSize | Reduction::Mean);
    let mask = if averages {
        (shares(mask)? * mask.elem_count() as f64)?
    } else {
        mask.clone()
    };
    match weights {
        Some(weights) => Ok((weights * mask)?),
        None => Ok(mask),
    }
}

/// Each number divided by the sum of all; all 0 where the sum is.
fn shares(numbers: &Tensor) -> Result<Tensor> {
    let sum = numbers.sum_all()?;
    let nothing = sum.eq(&sum.zeros_like()?)?;
    let sum = nothing.where_cond(&sum.ones_like()?, &sum)?;
    Ok(numbers.broadcast_div(&sum)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::losses::{BinaryCrossentropy, Dice, differentiate};
    use candle_core::{DType, Device, Var};

    fn numbers(shape: &[usize]) -> Tensor {
        let count: usize = shape.iter().product();
        let numbers: Vec<f64> = (0..count).map(|i| (i as f64 * 0.618).fract()).collect();
        Tensor::from_vec(numbers, shape, &Device::Cpu).unwrap()
    }

    #[test]
    fn weights_of_single_losses_meet_the_outputs_that_these_come_from() {
        let (y_true, y_pred) = (numbers(&[2, 3, 4]), (numbers(&[2, 3, 4]) * 3.0).unwrap());
        for (axis, shape) in [(1, [2, 4]), (-1, [2, 3])] {
            let loss = BinaryCrossentropy::new().from_logits().axis(axis);
            let weights = numbers(&shape);
            let (losses, gradient) = differentiate(&loss, &y_true, &y_pred).unwrap();
            let weighing = Weighing::new(&loss, &losses, &y_true, Some(&weights), None).unwrap();
            let gradient = weighing.gradient(&gradient).unwrap();

            let variable = Var::from_tensor(&y_pred).unwrap();
            let losses = loss.call(&y_true, &variable).unwrap();
            let mean = (losses * weights).unwrap().mean_all().unwrap();
            let gradients = mean.backward().unwrap();
            let expected = gradients.get(&variable).unwrap();
            let difference = (gradient - expected).unwrap().abs().unwrap();
            let difference = difference.max_all().unwrap().to_scalar::<f64>().unwrap();
            assert!(difference < 1e-12, "axis {axis}: {difference}");
        }
    }

    #[test]
    fn a_whole_batch_of_double_numbers_takes_a_mask_of_single_ones() {
        let (y_true, y_pred) = (numbers(&[2, 3, 1]), numbers(&[2, 3, 1]));
        let mask = Tensor::new(&[[1f32, 1.0, 0.0], [1.0, 0.0, 0.0]], &Device::Cpu).unwrap();
        let loss = Dice::new().reduction(Reduction::Sum);
        let (losses, gradient) = differentiate(&loss, &y_true, &y_pred).unwrap();
        let weighing = Weighing::new(&loss, &losses, &y_true, None, Some(&mask)).unwrap();
        let (terms, scale) = weighing.terms(&losses).unwrap();
        let sum = terms.to_scalar::<f64>().unwrap() * scale;
        assert_eq!(sum, 3.0 * losses.to_scalar::<f64>().unwrap());
        let all = weighing.gradient(&gradient).unwrap();
        let difference = (all - (gradient * 3.0).unwrap()).unwrap().abs().unwrap();
        assert_eq!(
            difference.sum_all().unwrap().to_scalar::<f64>().unwrap(),
            0.0
        );
    }

    #[test]
    fn a_mask_of_another_count_is_an_error() {
        #[derive(Debug)]
        struct Masked;
        impl Loss for Masked {
            fn name(&self) -> &str {
                "masked"
            }
            fn call(&self, _: &Tensor, y_pred: &Tensor) -> Result<Tensor> {
                Ok(y_pred.mean(1)?)
            }
            fn mask(&self, _: &Tensor) -> Result<Option<Tensor>> {
                Ok(Some(Tensor::ones(3, DType::F64, &Device::Cpu)?))
            }
        }
        let losses = numbers(&[2]);
        let error = Weighing::new(&Masked, &losses, &losses, None, None)
            .err()
            .unwrap();
        assert_eq!(
            error.to_string(),
            "`mask`: expected as many numbers as losses of shape (2,), got (3,): give a 1 or a 0 for each loss"
        );
    }
}
