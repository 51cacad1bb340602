use super::{Loss, Reduction};
use crate::{Data, Result};
use candle_core::Tensor;
use std::fmt::{Debug, Formatter};

/// A loss of your own from a closure on (y_true, y_pred), written in candle's operations, which
/// candle differentiates. `name` stands in messages.
///
/// It gives one loss for every sample, (batch) or (batch, ..): a mean over the last axis, not over
/// samples. Targets come in the outputs' shape where they are as many numbers, and of the model's
/// number type; which other shapes fit is the closure's to say, in its error.
///
/// A loss with a gradient of its own, or one that is to be written to a file, is a type with the
/// trait [`Loss`].
///
/// ```
/// use candle_keras::{losses, prelude::*};
/// # fn main() -> anyhow::Result<()> {
/// let mean_fourth_power = losses::from_fn("mean_fourth_power", |y_true, y_pred| {
///     Ok((y_pred - y_true)?.powf(4.0)?.mean(1)?)
/// });
/// let x = Tensor::new(&[[1f32], [2.0]], &Device::Cpu)?;
/// let y = Tensor::new(&[[0f32], [0.0]], &Device::Cpu)?;
/// let mut model = Sequential::new().add(Input::new(1)).add(Dense::new(1)).build(&Device::Cpu)?;
/// model.compile(Sgd::new(0.001), mean_fourth_power, ())?;
/// let history = model.fit(&x, &y, Fit::new().epochs(2))?;
/// assert!(history["loss"][1] <= history["loss"][0]);
/// # Ok(()) }
/// ```
///
/// Keras: a function as `loss`.
pub fn from_fn<F>(name: impl Into<String>, call: F) -> FromFn<F>
where
    F: Fn(&Tensor, &Tensor) -> Result<Tensor> + Send + Sync,
{
    FromFn {
        name: name.into(),
        call,
        reduction: Reduction::default(),
    }
}

/// A loss from a closure: what [`from_fn`] makes.
#[derive(Clone)]
pub struct FromFn<F> {
    name: String,
    call: F,
    reduction: Reduction,
}

impl<F> FromFn<F> {
    /// How the losses of a batch become one number; [`Reduction::SumOverBatchSize`] by default.
    pub fn reduction(mut self, reduction: Reduction) -> Self {
        self.reduction = reduction;
        self
    }
}

impl<F> Debug for FromFn<F> {
    fn fmt(&self, out: &mut Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("FromFn")
            .field("name", &self.name)
            .field("reduction", &self.reduction)
            .finish_non_exhaustive()
    }
}

impl<F> Loss for FromFn<F>
where
    F: Fn(&Tensor, &Tensor) -> Result<Tensor> + Send + Sync,
{
    fn name(&self) -> &str {
        &self.name
    }

    fn given_reduction(&self) -> Reduction {
        self.reduction
    }

    fn check(&self, _: &Data, _: &[usize]) -> Result<()> {
        Ok(())
    }

    fn call(&self, y_true: &Tensor, y_pred: &Tensor) -> Result<Tensor> {
        (self.call)(y_true, y_pred)
    }
}
