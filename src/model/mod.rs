//! A model: a chain of layers that is built, compiled, trained and asked.

mod build;
pub(crate) mod chain;
mod layers;
pub(crate) mod names;
mod predict;
pub(crate) mod snapshot;
mod summary;

use build::Unbuilt;
pub use layers::LayerInModel;
pub use predict::Predict;
pub use summary::Summary;

use crate::{
    Error, Result, error::known, losses::Loss, metrics::Metric, metrics::Metrics, ops::pace::Pace,
    optimizers::Optimization, optimizers::Optimizer, training::Counters, weights::Weight,
};
use candle_core::{DType, Tensor};
use chain::{Chain, Head};

/// Layers in a row, each taking what the one before gives.
///
/// A model is put together with [`add`](Self::add), made ready on a device with
/// [`build`](Self::build), given an optimizer, a loss and metrics with
/// [`compile`](Self::compile), trained with [`fit`](Self::fit), judged with
/// [`evaluate`](Self::evaluate) and asked with [`predict`](Self::predict).
///
/// ```
/// use candle_keras::prelude::*;
/// # fn main() -> anyhow::Result<()> {
/// let x = Tensor::new(&[[0f32, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]], &Device::Cpu)?;
/// let y = Tensor::new(&[[0f32], [1.0], [1.0], [1.0]], &Device::Cpu)?; // x₀ or x₁
///
/// let mut model = Sequential::new()
///     .add(Input::new(2))
///     .add(Dense::new(1).activation(Sigmoid))
///     .seed(1)
///     .build(&Device::Cpu)?;
/// model.compile(Sgd::new(1.0), BinaryCrossentropy::new(), [Accuracy])?;
/// let history = model.fit(&x, &y, Fit::new().epochs(100).verbose(0))?;
/// assert_eq!(history["accuracy"].last(), Some(&1.0));
/// # Ok(()) }
/// ```
///
/// Keras: `Sequential`.
#[derive(Debug, Default)]
pub struct Sequential {
    /// What `add` gave, until `build` moves it into the chain.
    pub(crate) layers: Vec<Unbuilt>,
    seed: Option<u64>,
    pub(crate) dtype: Option<DType>,
    pub(crate) chain: Option<Chain>,
    pub(crate) compiled: Option<Compiled>,
    pub(crate) trained: Trained,
}

/// What `compile` was given.
#[derive(Debug)]
pub(crate) struct Compiled {
    pub(crate) optimizer: Optimization,
    pub(crate) loss: Box<dyn Loss>,
    /// The loss from the inputs of the last layer's activation, where it can be had so.
    pub(crate) loss_of_logits: Option<Box<dyn Loss>>,
    pub(crate) metrics: Vec<Box<dyn Metric>>,
}

/// How far the model has been trained, and the counts of the running epoch.
#[derive(Debug, Default)]
pub(crate) struct Trained {
    /// Passes over the data that were begun.
    pub(crate) passes: u64,
    pub(crate) steps: u64,
    pub(crate) counters: Counters,
    pub(crate) pace: Pace,
    pub(crate) stop: bool,
    /// Whether `fit` runs, so that its callbacks must not start another or compile.
    pub(crate) in_fit: bool,
}

impl Compiled {
    /// The loss to train with and what the last layer gives it.
    pub(crate) fn head(&self) -> (&dyn Loss, Head) {
        match &self.loss_of_logits {
            Some(loss) => (&**loss, Head::Logits),
            None => (&*self.loss, Head::Whole),
        }
    }
}

impl Sequential {
    /// Makes the model ready to train: how weights change, what to make small, what to count.
    ///
    /// A softmax or sigmoid at the end is computed together with its cross-entropy. Metrics are
    /// `[Accuracy]`, `(Accuracy, Mine)` for several types, or `()` for none
    /// ([`Metrics`](crate::metrics::Metrics)).
    ///
    /// ```
    /// use candle_keras::prelude::*;
    /// # fn main() -> anyhow::Result<()> {
    /// # let mut model = Sequential::new().add(Input::new(4)).add(Dense::new(3).activation(Softmax)).build(&Device::Cpu)?;
    /// model.compile(Adam::new(0.001), SparseCategoricalCrossentropy::new(), [Accuracy])?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// When the model is not built, or an argument of the optimizer is out of range.
    pub fn compile(
        &mut self,
        optimizer: impl Into<Box<dyn Optimizer>>,
        loss: impl Into<Box<dyn Loss>>,
        metrics: impl Metrics,
    ) -> Result<()> {
        let chain = self
            .chain
            .as_ref()
            .ok_or(Error::NotBuilt { method: "compile" })?;
        self.outside_fit("compile")?;
        let loss = loss.into();
        let metrics = metrics.into_metrics();
        self.trained.counters = Counters::new(&metrics);
        self.compiled = Some(Compiled {
            optimizer: Optimization::new(optimizer.into(), chain.weights())?,
            loss_of_logits: loss.fused_with(chain.last_activation()),
            loss,
            metrics,
        });
        Ok(())
    }

    /// The table of layers, shapes and parameters, as Keras prints it.
    pub fn summary(&self) -> Summary {
        Summary::new(self)
    }

    /// All weights, in the order of the layers: Keras's order, which files follow.
    ///
    /// ```
    /// use candle_keras::prelude::*;
    /// # fn main() -> anyhow::Result<()> {
    /// # let network = || Sequential::new().add(Input::new(2)).add(Dense::new(1));
    /// let (first, mut second) = (network().build(&Device::Cpu)?, network().build(&Device::Cpu)?);
    /// for weight in first.weights() {
    ///     second.set_weight(weight.path(), &weight.copy()?)?; // now they predict the same
    /// }
    /// # Ok(()) }
    /// ```
    pub fn weights(&self) -> impl Iterator<Item = &Weight> {
        self.chain.iter().flat_map(|chain| chain.weights())
    }

    /// A copy of the weight named `path`: `dense/kernel`.
    ///
    /// # Errors
    /// When the model is not built or has none of this name.
    pub fn weight(&self, path: &str) -> Result<Tensor> {
        self.built("weight")?;
        self.find_weight(path)?.copy()
    }

    /// Gives the weight named `path` new numbers: a copy of `values`, on the model's device and in
    /// its type.
    ///
    /// # Errors
    /// When the model is not built or has none of this name, its shape is another, or a
    /// number is not finite.
    pub fn set_weight(&mut self, path: &str, values: &Tensor) -> Result<()> {
        self.built("set_weight")?;
        self.find_weight(path)?.set(values)
    }

    fn find_weight(&self, path: &str) -> Result<&Weight> {
        let found = self.weights().find(|weight| weight.path() == path);
        found.ok_or_else(|| Error::Unknown {
            kind: "weight",
            name: path.to_string(),
            known: known(self.weights().map(Weight::path)),
        })
    }

    /// The shape of one sample that goes in; empty before `build`.
    pub fn input_shape(&self) -> &[usize] {
        self.chain.as_ref().map_or(&[], |chain| &chain.input_shape)
    }

    /// The shape of one output; empty before `build`.
    pub fn output_shape(&self) -> &[usize] {
        self.chain.as_ref().map_or(&[], Chain::output_shape)
    }

    /// The seed that decides all that is random: the one given, or the one that `build` took;
    /// `None` before that.
    pub fn current_seed(&self) -> Option<u64> {
        self.chain.as_ref().map(|chain| chain.seed).or(self.seed)
    }

    /// The optimizer's learning rate; of a schedule, that of the next step.
    ///
    /// # Errors
    /// When the model is not compiled.
    pub fn learning_rate(&self) -> Result<f64> {
        let compiled = self.compiled("learning_rate")?;
        let Optimization { rule, steps, .. } = &compiled.optimizer;
        Ok(rule.settings().learning_rate(*steps))
    }

    /// Changes the optimizer's learning rate, from the next step on.
    ///
    /// # Errors
    /// When the model is not compiled, a schedule decides the rate, or it is below 0 or not finite.
    pub fn set_learning_rate(&mut self, learning_rate: f64) -> Result<()> {
        crate::optimizers::check_learning_rate(learning_rate)?;
        let method = "set_learning_rate";
        let compiled = self
            .compiled
            .as_mut()
            .ok_or(Error::NotCompiled { method })?;
        let settings = compiled.optimizer.rule.settings_mut();
        settings.set_learning_rate(learning_rate)
    }

    /// How many numbers the optimizer keeps, and their bytes; none before its first step, as in
    /// Keras, which counts the step and the learning rate among them, four bytes each.
    fn optimizer_size(&self) -> (usize, usize) {
        let Some(compiled) = &self.compiled else {
            return (0, 0);
        };
        if compiled.optimizer.steps == 0 {
            return (0, 0);
        }
        let slots = compiled.optimizer.variables();
        slots.fold((2, 8), |(count, bytes), slot| {
            let numbers = slot.elem_count();
            (
                count + numbers,
                bytes + numbers * slot.dtype().size_in_bytes(),
            )
        })
    }

    /// An error where a callback calls what would pull the ground from under the running `fit`.
    pub(crate) fn outside_fit(&self, method: &'static str) -> Result<()> {
        if self.trained.in_fit {
            return Err(Error::InFit { method });
        }
        Ok(())
    }

    pub(crate) fn built(&self, method: &'static str) -> Result<&Chain> {
        self.chain.as_ref().ok_or(Error::NotBuilt { method })
    }

    pub(crate) fn compiled(&self, method: &'static str) -> Result<&Compiled> {
        self.built(method)?;
        self.compiled.as_ref().ok_or(Error::NotCompiled { method })
    }
}
