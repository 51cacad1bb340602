//! Losses: how far outputs are from their targets, and the trait for losses of your own.

mod binary_crossentropy;
mod categorical_crossentropy;
mod mean_squared_error;
mod sparse_categorical_crossentropy;

pub use binary_crossentropy::BinaryCrossentropy;
pub use categorical_crossentropy::CategoricalCrossentropy;
pub use mean_squared_error::MeanSquaredError;
pub use sparse_categorical_crossentropy::SparseCategoricalCrossentropy;

use crate::{
    Data, Error, Result, activations::ActivationFunction, error::of_samples, error::tuple, ops,
};
use candle_core::{D, Tensor, Var};
use std::fmt::Debug;

/// Keras's `epsilon()`: what keeps a logarithm's argument away from 0.
pub(crate) const EPSILON: f64 = 1e-7;

/// A loss: one number for every sample, which training makes smaller on average.
///
/// A loss of your own needs a name and `call` in candle's operations, which candle
/// differentiates.
///
/// ```
/// use candle_keras::prelude::*;
/// use candle_keras::losses::Loss;
///
/// /// The mean of the fourth power of the error.
/// #[derive(Debug)]
/// struct MeanFourthPower;
///
/// impl Loss for MeanFourthPower {
///     fn name(&self) -> &str {
///         "mean_fourth_power"
///     }
///     fn call(&self, y_true: &Tensor, y_pred: &Tensor) -> candle_keras::Result<Tensor> {
///         Ok((y_pred - y_true)?.powf(4.0)?.mean(1)?)
///     }
/// }
/// ```
///
/// `evaluate` and the validation call it on several threads at once, each with another batch.
pub trait Loss: Debug + Send + Sync {
    /// The name as in Keras: `mean_squared_error`.
    fn name(&self) -> &str;

    /// One loss for every sample, (batch) or (batch, ..), from targets and outputs of a batch: a
    /// mean over the last axis, not over samples. Training and evaluation give it targets that
    /// [`aligned`] has been over, so that (batch) comes as (batch, 1) for outputs of that shape.
    ///
    /// # Errors
    /// When candle's operations fail.
    fn call(&self, y_true: &Tensor, y_pred: &Tensor) -> Result<Tensor>;

    /// Whether targets can be compared with outputs of shape (None, `output_shape`). `fit` and
    /// `evaluate` ask once, with all targets.
    ///
    /// # Errors
    /// When they cannot; the message says which shape fits.
    fn check(&self, y_true: &Data, output_shape: &[usize]) -> Result<()> {
        check_same_shape(y_true, output_shape)
    }

    /// `call`'s losses, and the gradient of their sum with respect to `y_pred`; `None` leaves the
    /// gradient to candle.
    ///
    /// # Errors
    /// When candle's operations fail.
    fn losses_and_gradient(
        &self,
        y_true: &Tensor,
        y_pred: &Tensor,
    ) -> Result<Option<(Tensor, Tensor)>> {
        let _ = (y_true, y_pred);
        Ok(None)
    }

    /// The same loss computed from the inputs of `activation`, where it can be and is more exact:
    /// a cross-entropy from logits, finite where the probability is rounded to 0.
    fn fused_with(&self, activation: ActivationFunction) -> Option<Box<dyn Loss>> {
        let _ = activation;
        None
    }
}

impl<L: Loss + 'static> From<L> for Box<dyn Loss> {
    fn from(loss: L) -> Self {
        Box::new(loss)
    }
}

/// The losses of a batch and the gradient of their sum, by the loss's own formula or candle's
/// autograd.
pub(crate) fn differentiate(
    loss: &dyn Loss,
    y_true: &Tensor,
    y_pred: &Tensor,
) -> Result<(Tensor, Tensor)> {
    if let Some((losses, gradient)) = loss.losses_and_gradient(y_true, y_pred)? {
        check_losses(&losses, y_pred)?;
        if gradient.dims() != y_pred.dims() {
            return Err(Error::argument(
                "losses_and_gradient",
                format!("a gradient of the outputs' shape {}", tuple(y_pred.dims())),
                tuple(gradient.dims()),
                "give one number for each output",
            ));
        }
        return Ok((losses, gradient));
    }
    let variable = Var::from_tensor(y_pred)?;
    let losses = loss.call(y_true, variable.as_tensor())?;
    check_losses(&losses, y_pred)?;
    let gradient = losses.sum_all()?.backward()?.remove(&variable);
    match gradient {
        Some(gradient) => Ok((losses.detach(), gradient)),
        None => Err(Error::NoGradient {
            what: "the model's outputs".to_string(),
            place: "the loss's call",
            advice: "give the loss a losses_and_gradient of its own",
        }),
    }
}

/// A batch's losses, without a gradient.
pub(crate) fn values(loss: &dyn Loss, y_true: &Tensor, y_pred: &Tensor) -> Result<Tensor> {
    let losses = match loss.losses_and_gradient(y_true, y_pred)? {
        Some((losses, _)) => losses,
        None => loss.call(y_true, y_pred)?,
    };
    check_losses(&losses, y_pred)?;
    Ok(losses)
}

/// An error unless there is a loss for every sample: an epoch's loss is the mean over samples, and
/// a batch's mean in their place would count a smaller last batch as much as the others.
fn check_losses(losses: &Tensor, y_pred: &Tensor) -> Result<()> {
    if losses.dims().first() == y_pred.dims().first() {
        return Ok(());
    }
    Err(Error::argument(
        "call",
        format!("a loss for each of {} samples", y_pred.dims()[0]),
        format!("shape {}", tuple(losses.dims())),
        "leave the mean over samples to the training: take it over the last axis only",
    ))
}

/// Losses and gradient by a fused operation on (targets, logits, width), from targets of the
/// logits' shape.
fn fused(
    y_true: &Tensor,
    logits: &Tensor,
    operation: impl FnOnce(&[f32], &[f32], usize) -> (Vec<f32>, Vec<f32>),
) -> Result<Option<(Tensor, Tensor)>> {
    if y_true.dims() != logits.dims() {
        let advice = "give a target for every output";
        return Err(misfit(y_true, logits.dims(), advice));
    }
    fused_rows(y_true, logits, operation)
}

/// The same from targets whose shape the caller has checked.
fn fused_rows(
    y_true: &Tensor,
    logits: &Tensor,
    operation: impl FnOnce(&[f32], &[f32], usize) -> (Vec<f32>, Vec<f32>),
) -> Result<Option<(Tensor, Tensor)>> {
    let width = logits.dim(D::Minus1)?;
    let (losses, gradient) = operation(&ops::numbers(y_true)?, &ops::numbers(logits)?, width);
    let shape = &logits.dims()[..logits.rank() - 1];
    let losses = Tensor::from_vec(losses, shape, logits.device())?;
    let gradient = Tensor::from_vec(gradient, logits.shape(), logits.device())?;
    Ok(Some((losses, gradient)))
}

/// Targets of a batch that do not fit its outputs.
fn misfit(y_true: &Tensor, expected: &[usize], advice: &str) -> Error {
    Error::Samples {
        argument: "y_true",
        expected: tuple(expected),
        got: tuple(y_true.dims()),
        advice: advice.to_string(),
    }
}

/// Targets in the shape of the outputs: (batch) becomes (batch, 1) and the other way round.
/// Targets of other ranks stay as they are.
///
/// # Errors
/// When candle cannot reshape.
pub fn aligned(y_true: &Tensor, y_pred: &Tensor) -> Result<Tensor> {
    let (true_rank, pred_rank) = (y_true.rank(), y_pred.rank());
    Ok(
        if true_rank + 1 == pred_rank && y_pred.dim(D::Minus1)? == 1 {
            y_true.unsqueeze(true_rank)?
        } else if true_rank == pred_rank + 1 && y_true.dim(D::Minus1)? == 1 {
            y_true.squeeze(true_rank - 1)?
        } else {
            y_true.clone()
        },
    )
}

/// An error unless targets have the outputs' shape, but for a last axis of length 1.
pub(crate) fn check_same_shape(y_true: &Data, output_shape: &[usize]) -> Result<()> {
    let bare = |shape: &[usize]| match shape {
        [rest @ .., 1] => rest.to_vec(),
        all => all.to_vec(),
    };
    if output_shape.is_empty() {
        return Err(no_axis());
    }
    if bare(y_true.sample_shape()) == bare(output_shape) {
        return Ok(());
    }
    Err(target_error(
        y_true,
        output_shape,
        "give a target for every output, or the last layer as many units as a target has numbers",
    ))
}

/// Outputs that are one bare number a sample.
fn no_axis() -> Error {
    Error::argument(
        "outputs",
        "an axis after that of the samples",
        of_samples(&[]),
        "end the model with a layer whose outputs have one, such as Dense",
    )
}

fn target_error(y_true: &Data, expected: &[usize], advice: &str) -> Error {
    Error::Samples {
        argument: "y",
        expected: of_samples(expected),
        got: y_true.shape_text(),
        advice: advice.to_string(),
    }
}
