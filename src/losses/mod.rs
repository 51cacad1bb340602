//! Losses: how far outputs are from their targets, and the trait for losses of your own.

mod binary_crossentropy;
mod binary_focal_crossentropy;
mod categorical_crossentropy;
mod categorical_focal_crossentropy;
mod categorical_generalized_cross_entropy;
mod categorical_hinge;
mod circle;
mod cosine_similarity;
mod dice;
mod from_fn;
mod hinge;
mod huber;
mod kl_divergence;
mod log_cosh;
mod mean_absolute_error;
mod mean_absolute_percentage_error;
mod mean_squared_error;
mod mean_squared_logarithmic_error;
mod poisson;
mod sparse_categorical_crossentropy;
mod tversky;

pub use binary_crossentropy::BinaryCrossentropy;
pub use binary_focal_crossentropy::BinaryFocalCrossentropy;
pub use categorical_crossentropy::CategoricalCrossentropy;
pub use categorical_focal_crossentropy::{Alpha, CategoricalFocalCrossentropy};
pub use categorical_generalized_cross_entropy::CategoricalGeneralizedCrossEntropy;
pub use categorical_hinge::CategoricalHinge;
pub use circle::Circle;
pub use cosine_similarity::CosineSimilarity;
pub use dice::Dice;
pub use from_fn::{FromFn, from_fn};
pub use hinge::{Hinge, SquaredHinge};
pub use huber::Huber;
pub use kl_divergence::KLDivergence;
pub use log_cosh::LogCosh;
pub use mean_absolute_error::MeanAbsoluteError;
pub use mean_absolute_percentage_error::MeanAbsolutePercentageError;
pub use mean_squared_error::MeanSquaredError;
pub use mean_squared_logarithmic_error::MeanSquaredLogarithmicError;
pub use poisson::Poisson;
pub use sparse_categorical_crossentropy::SparseCategoricalCrossentropy;
pub use tversky::Tversky;

mod arguments;
mod formulas;
mod labels;
mod reduction;

pub use crate::shapes::aligned;
pub use reduction::Reduction;
pub(crate) use reduction::{Weighing, spread};

use crate::{
    Axes, Config, Data, Error, Result, activations::ActivationFunction, config::Entry,
    config::serde_of_part, config::table, error::of_samples, error::tuple, ops, shapes,
    shapes::Misfit,
};
use candle_core::{D, Tensor, Var};
use reduction::{Base, loss_access, loss_setters, plain_loss};
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
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no loss",
    note = "a loss is a type, such as `MeanSquaredError::new()`; a closure becomes one by `losses::from_fn(name, closure)`"
)]
pub trait Loss: Debug + Send + Sync {
    /// The name as in Keras: `mean_squared_error`.
    fn name(&self) -> &str;

    /// One loss for every sample, (batch) or (batch, ..), from targets and outputs of a batch: a
    /// mean over the last axis, not over samples. Training and evaluation give it what [`aligned`]
    /// has been over, so that (batch) comes as (batch, 1) for outputs of that shape.
    ///
    /// # Errors
    /// When candle's operations fail.
    fn call(&self, y_true: &Tensor, y_pred: &Tensor) -> Result<Tensor>;

    /// How the losses of a batch become one number.
    fn given_reduction(&self) -> Reduction {
        Reduction::default()
    }

    /// Which losses of a batch count, a 1 or 0 for each in their order; all where it is `None`.
    ///
    /// # Errors
    /// When candle's operations fail.
    fn mask(&self, y_true: &Tensor) -> Result<Option<Tensor>> {
        let _ = y_true;
        Ok(None)
    }

    /// Whether `call` gives one loss of the whole batch, a scalar, as an overlap does.
    fn of_whole_batch(&self) -> bool {
        false
    }

    /// The axes of the outputs over which `call` reduces, counted with the samples' as 0; the last
    /// by default. Where weights are given for single losses, they are spread over these. Losses
    /// without the samples' axis are those of a whole batch.
    fn axes(&self) -> Axes {
        Axes::One(-1)
    }

    /// Its class and arguments, if it can be written to a file.
    fn config(&self) -> Option<Config> {
        None
    }

    /// Whether targets can be compared with outputs of shape (None, `output_shape`). `fit` and
    /// `evaluate` ask once, with all targets.
    ///
    /// # Errors
    /// When they cannot; the message says which shape fits.
    fn check(&self, y_true: &Data, output_shape: &[usize]) -> Result<()> {
        check_same_shape(y_true, output_shape).map(drop)
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

    /// `call`'s losses where no gradient is needed, as in an evaluation; for a loss that has a faster
    /// way to them.
    ///
    /// # Errors
    /// When candle's operations fail.
    fn values(&self, y_true: &Tensor, y_pred: &Tensor) -> Result<Tensor> {
        self.call(y_true, y_pred)
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

serde_of_part!(Loss, "loss", "keras.losses", LOSSES);

/// Every loss of the crate.
pub(crate) const LOSSES: &[Entry<dyn Loss>] = table![dyn Loss:
    BinaryCrossentropy = BinaryCrossentropy::new(), "binary_crossentropy", "bce", "BCE";
    BinaryFocalCrossentropy = BinaryFocalCrossentropy::new(), "binary_focal_crossentropy";
    CategoricalCrossentropy = CategoricalCrossentropy::new(), "categorical_crossentropy";
    CategoricalFocalCrossentropy = CategoricalFocalCrossentropy::new(),
        "categorical_focal_crossentropy";
    CategoricalGeneralizedCrossEntropy = CategoricalGeneralizedCrossEntropy::new(),
        "categorical_generalized_cross_entropy";
    CategoricalHinge = CategoricalHinge::new(), "categorical_hinge";
    Circle = Circle::new(), "circle";
    CosineSimilarity = CosineSimilarity::new(), "cosine_similarity";
    Dice = Dice::new(), "dice";
    Hinge = Hinge::new(), "hinge";
    Huber = Huber::new(), "huber", "huber_loss";
    KLDivergence = KLDivergence::new(), "kl_divergence", "kld", "KLD";
    LogCosh = LogCosh::new(), "log_cosh", "logcosh";
    MeanAbsoluteError = MeanAbsoluteError::new(), "mean_absolute_error", "mae", "MAE";
    MeanAbsolutePercentageError = MeanAbsolutePercentageError::new(),
        "mean_absolute_percentage_error", "mape", "MAPE";
    MeanSquaredError = MeanSquaredError::new(), "mean_squared_error", "mse", "MSE";
    MeanSquaredLogarithmicError = MeanSquaredLogarithmicError::new(),
        "mean_squared_logarithmic_error", "msle", "MSLE";
    Poisson = Poisson::new(), "poisson";
    SparseCategoricalCrossentropy = SparseCategoricalCrossentropy::new(),
        "sparse_categorical_crossentropy";
    SquaredHinge = SquaredHinge::new(), "squared_hinge";
    Tversky = Tversky::new(), "tversky";
];

/// The losses of a batch and the gradient of their sum, by the loss's own formula or candle's
/// autograd.
pub(crate) fn differentiate(
    loss: &dyn Loss,
    y_true: &Tensor,
    y_pred: &Tensor,
) -> Result<(Tensor, Tensor)> {
    if let Some((losses, gradient)) = loss.losses_and_gradient(y_true, y_pred)? {
        check_losses(loss, &losses, y_pred)?;
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
    check_losses(loss, &losses, y_pred)?;
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
    let losses = loss.values(y_true, y_pred)?;
    check_losses(loss, &losses, y_pred)?;
    Ok(losses)
}

/// An error unless there is a loss for every sample: an epoch's loss is the mean over samples, and
/// a batch's mean in their place would count a smaller last batch as much as the others.
fn check_losses(loss: &dyn Loss, losses: &Tensor, y_pred: &Tensor) -> Result<()> {
    let whole = loss.of_whole_batch() && losses.rank() == 0;
    if whole || over_samples(loss, y_pred)? || losses.dims().first() == y_pred.dims().first() {
        return Ok(());
    }
    Err(Error::argument(
        "call",
        format!("a loss for each of {} samples", y_pred.dims()[0]),
        format!("shape {}", tuple(losses.dims())),
        "leave the mean over samples to the training: take it over the last axis only",
    ))
}

/// Whether the loss reduces over the samples' axis, as it does with an axis of 0.
fn over_samples(loss: &dyn Loss, y_pred: &Tensor) -> Result<bool> {
    Ok(y_pred.rank() > 1 && loss.axes().resolve(y_pred.rank())?.contains(&0))
}

/// Losses and gradient by a fused operation on (targets, logits, width), from targets of the
/// logits' shape.
fn fused(
    y_true: &Tensor,
    logits: &Tensor,
    operation: impl FnOnce(&[f32], &[f32], usize) -> (Vec<f32>, Vec<f32>),
) -> Result<(Tensor, Tensor)> {
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
) -> Result<(Tensor, Tensor)> {
    let width = logits.dim(D::Minus1)?;
    let (losses, gradient) = operation(&ops::numbers(y_true)?, &ops::numbers(logits)?, width);
    let shape = &logits.dims()[..logits.rank() - 1];
    let losses = Tensor::from_vec(losses, shape, logits.device())?;
    let gradient = Tensor::from_vec(gradient, logits.shape(), logits.device())?;
    Ok((losses, gradient))
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

/// The outputs' shape as the loss sees it, or an error unless targets have it, but for a last axis of
/// length 1.
fn check_same_shape<'a>(y_true: &Data, output_shape: &'a [usize]) -> Result<&'a [usize]> {
    if output_shape.is_empty() {
        return Err(no_axis());
    }
    let fit = shapes::same(y_true.sample_shape(), output_shape);
    fit.map_err(|misfit| misfit.error(y_true.shape_text()))?;
    Ok(shapes::compared(y_true.sample_shape(), output_shape))
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
    Misfit::new(expected, advice).error(y_true.shape_text())
}
