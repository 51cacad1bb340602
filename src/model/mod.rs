//! A model: a chain of layers that is built, compiled, trained and asked.

pub(crate) mod chain;
mod names;
pub(crate) mod snapshot;
mod summary;

pub use summary::Summary;

use crate::{
    Data, Error, Result, data::Rows, error::of_samples, error::tuple, layers::Input, layers::Layer,
    layers::known, losses::Loss, metrics::Metric, metrics::Metrics, optimizers::Optimizer,
    optimizers::OptimizerState, seed, training::Counters, training::Logs,
    training::progress::Progress, weights::Weight, weights::WeightBuilder,
};
use candle_core::{DType, Device, Tensor};
use chain::{Chain, Head, Node, blame};

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
    pub(crate) layers: Vec<Box<dyn Layer>>,
    seed: Option<u64>,
    dtype: Option<DType>,
    pub(crate) chain: Option<Chain>,
    pub(crate) compiled: Option<Compiled>,
    pub(crate) progress: Trained,
}

/// What `compile` was given.
#[derive(Debug)]
pub(crate) struct Compiled {
    pub(crate) optimizer: OptimizerState,
    pub(crate) loss: Box<dyn Loss>,
    /// The loss from the inputs of the last layer's activation, where it can be had so.
    pub(crate) loss_of_logits: Option<Box<dyn Loss>>,
    pub(crate) metrics: Vec<Box<dyn Metric>>,
}

/// How far the model has been trained, and the counts of the running epoch.
#[derive(Debug, Default)]
pub(crate) struct Trained {
    pub(crate) epochs: u64,
    pub(crate) steps: u64,
    pub(crate) counters: Counters,
    pub(crate) stop: bool,
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
    /// A model without layers. The first to add is an [`Input`](crate::layers::Input).
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a layer at the end. A model that was built is taken apart, with its weights lost:
    /// build and compile it again.
    #[expect(clippy::should_implement_trait, reason = "Keras's name")]
    pub fn add(mut self, layer: impl Into<Box<dyn Layer>>) -> Self {
        self.take_apart();
        self.layers.push(layer.into());
        self
    }

    /// Takes the layers out of the chain again, as if the model had never been built.
    fn take_apart(&mut self) {
        if let Some(chain) = self.chain.take() {
            self.compiled = None;
            self.progress = Trained::default();
            self.layers.push(Box::new(Input::new(chain.input_shape)));
            let layers = chain.nodes.into_iter().map(|node| node.layer);
            self.layers.extend(layers);
        }
    }

    /// The seed of all that is random: initial weights, shuffling, dropout. Without one, or with
    /// `None`, `build` takes a fresh one, which [`current_seed`](Self::current_seed) tells.
    pub fn seed(mut self, seed: impl Into<Option<u64>>) -> Self {
        self.seed = seed.into();
        self
    }

    /// The type of the model's numbers: `DType::F32`, the default, or `DType::F64`, which is slow
    /// and for checking gradients.
    pub fn dtype(mut self, dtype: DType) -> Self {
        self.dtype = Some(dtype);
        self
    }

    /// Gives every layer its shapes, its name and its first weights, on `device`. A model that was
    /// built starts anew, from first weights.
    ///
    /// # Errors
    /// When there are no layers, an [`Input`](crate::layers::Input) is missing or misplaced, two
    /// layers have one name, a layer's argument or shape does not fit, or candle cannot allocate.
    pub fn build(mut self, device: &Device) -> Result<Self> {
        self.take_apart();
        let dtype = self.dtype.unwrap_or(DType::F32);
        if !matches!(dtype, DType::F32 | DType::F64) {
            let advice = "leave it out for f32";
            return Err(Error::argument(
                "dtype",
                "F32 or F64",
                format!("{dtype:?}"),
                advice,
            ));
        }
        let seed = self.seed.unwrap_or_else(seed::fresh);
        let input_shape = self.take_input()?;
        let names = names::of(self.layers.iter());
        if let Some(name) = names::duplicate(&names) {
            let name = name.to_string();
            return Err(Error::DuplicateName { name });
        };
        let mut nodes: Vec<Node> = Vec::with_capacity(names.len());
        for (mut layer, name) in self.layers.drain(..).zip(names) {
            let shape = nodes.last().map_or(&input_shape, |node| &node.output_shape);
            let mut builder = WeightBuilder {
                layer: &name,
                device,
                dtype,
                seed,
                weights: Vec::new(),
            };
            let built = layer.build(shape, &mut builder);
            let weights = builder.weights;
            let output_shape = built
                .and_then(|()| layer.output_shape(shape))
                .map_err(|error| blame(&name, layer.class_name(), error))?;
            nodes.push(Node {
                layer,
                name,
                weights,
                output_shape,
            });
        }
        self.chain = Some(Chain {
            nodes,
            input_shape,
            device: device.clone(),
            dtype,
            seed,
        });
        Ok(self)
    }

    /// Takes the `Input` off the front of the layers and gives its shape.
    fn take_input(&mut self) -> Result<Vec<usize>> {
        let first = self.layers.first().ok_or(Error::NoLayers)?;
        let Some(shape) = first.input_shape() else {
            let first = first.name().unwrap_or(first.class_name()).to_string();
            return Err(Error::NoInput { first });
        };
        let shape = shape.to_vec();
        let later = self.layers.iter().skip(1);
        if let Some(position) = later
            .into_iter()
            .position(|layer| layer.input_shape().is_some())
        {
            return Err(Error::MisplacedInput {
                position: position + 1,
            });
        }
        if self.layers.len() == 1 {
            return Err(Error::NoLayers);
        }
        if shape.contains(&0) {
            let advice = "give the lengths of a sample's axes, without the batch's";
            return Err(Error::argument(
                "Input",
                "lengths of at least 1",
                tuple(&shape),
                advice,
            ));
        }
        self.layers.remove(0);
        Ok(shape)
    }

    /// Makes the model ready to train: how weights change, what to make small, what to count.
    ///
    /// A softmax or sigmoid at the end is computed together with its cross-entropy.
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
        let loss = loss.into();
        self.compiled = Some(Compiled {
            optimizer: OptimizerState::new(optimizer.into(), chain.weights())?,
            loss_of_logits: loss.fused_with(chain.last_activation()),
            loss,
            metrics: metrics.into_metrics(),
        });
        Ok(())
    }

    /// The table of layers, shapes and parameters, as Keras prints it.
    pub fn summary(&self) -> Summary {
        Summary::new(self)
    }

    /// The outputs for samples `x`, (n, output shape), in batches of 32. In a terminal a bar shows
    /// how far it is, once it has taken a second.
    ///
    /// ```
    /// use candle_keras::prelude::*;
    /// # fn main() -> anyhow::Result<()> {
    /// let model = Sequential::new()
    ///     .add(Input::new(4))
    ///     .add(Dense::new(3).activation(Softmax))
    ///     .build(&Device::Cpu)?;
    /// let x = Tensor::zeros((100, 4), DType::F32, &Device::Cpu)?;
    /// assert_eq!(model.predict(&x)?.dims(), [100, 3]);
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// When the model is not built, or `x` is empty or of another sample shape than its `Input`.
    pub fn predict(&self, x: impl Into<Data>) -> Result<Tensor> {
        self.predict_batches(x, 32)
    }

    /// As [`predict`](Self::predict), in batches of `batch_size`.
    ///
    /// # Errors
    /// As for [`predict`](Self::predict), and for a `batch_size` of 0.
    pub fn predict_batches(&self, x: impl Into<Data>, batch_size: usize) -> Result<Tensor> {
        let chain = self.built("predict")?;
        let x = self.checked_input(x.into(), "x")?;
        check_batch_size("batch_size", batch_size)?;
        let mut progress = Progress::of_long_work(x.len().div_ceil(batch_size));
        let outputs = batches(x.len(), batch_size).map(|rows| {
            let x = x.gather(rows, chain.dtype, &chain.device)?;
            progress.batch_end(|| Ok(Logs::default()))?;
            chain.forward(&x, Head::Whole)
        });
        let outputs: Vec<Tensor> = outputs.collect::<Result<_>>()?;
        progress.clear();
        match &outputs[..] {
            [all] => Ok(all.clone()),
            _ => Ok(Tensor::cat(&outputs, 0)?),
        }
    }

    /// What every layer gives for samples `x`, by the layer's name, in order.
    ///
    /// # Errors
    /// As for [`predict`](Self::predict).
    pub fn layer_outputs(&self, x: impl Into<Data>) -> Result<Vec<(String, Tensor)>> {
        let chain = self.built("layer_outputs")?;
        let x = self.checked_input(x.into(), "x")?;
        let rows = Rows::Range {
            start: 0,
            length: x.len(),
        };
        let x = x.gather(rows, chain.dtype, &chain.device)?;
        let names = chain.nodes.iter().map(|node| node.name.clone());
        Ok(names.zip(chain.layer_outputs(&x)?).collect())
    }

    /// All weights, in the order of the layers: Keras's order, which files follow.
    pub fn weights(&self) -> impl Iterator<Item = &Weight> {
        self.chain.iter().flat_map(|chain| chain.weights())
    }

    /// A copy of the weight named `path`: `dense/kernel`.
    ///
    /// # Errors
    /// When the model is not built or has none of this name.
    pub fn weight(&self, path: &str) -> Result<Tensor> {
        self.built("weight")?;
        Ok(self.find_weight(path)?.value().force_contiguous()?)
    }

    /// Gives the weight named `path` new numbers.
    ///
    /// # Errors
    /// When the model is not built or has none of this name, or its shape is another.
    pub fn set_weight(&mut self, path: &str, values: &Tensor) -> Result<()> {
        self.built("set_weight")?;
        let weight = self.find_weight(path)?;
        let value = weight.value();
        if values.shape() != value.shape() {
            let advice = "give as many numbers as the weight has, in its shape";
            let got = tuple(values.dims());
            return Err(Error::argument(path, tuple(value.dims()), got, advice));
        }
        let values = values.to_device(value.device())?.to_dtype(value.dtype())?;
        Ok(weight.variable().set(&values.force_contiguous()?)?)
    }

    fn find_weight(&self, path: &str) -> Result<&Weight> {
        let found = self.weights().find(|weight| weight.path() == path);
        found.ok_or_else(|| Error::Unknown {
            kind: "weight",
            name: path.to_string(),
            known: known(self.weights().map(Weight::path)),
        })
    }

    /// The names of the layers, in order.
    pub fn layer_names(&self) -> Vec<&str> {
        let chain = self.chain.iter();
        chain
            .flat_map(|chain| chain.nodes.iter().map(|node| node.name.as_str()))
            .collect()
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

    /// The optimizer's learning rate.
    ///
    /// # Errors
    /// When the model is not compiled.
    pub fn learning_rate(&self) -> Result<f64> {
        let compiled = self.compiled("learning_rate")?;
        Ok(compiled.optimizer.rule.learning_rate())
    }

    /// Changes the optimizer's learning rate, from the next step on.
    ///
    /// # Errors
    /// When the model is not compiled, or the rate is below 0 or not finite.
    pub fn set_learning_rate(&mut self, learning_rate: f64) -> Result<()> {
        crate::optimizers::check_learning_rate(learning_rate)?;
        let method = "set_learning_rate";
        let compiled = self
            .compiled
            .as_mut()
            .ok_or(Error::NotCompiled { method })?;
        compiled.optimizer.rule.set_learning_rate(learning_rate);
        Ok(())
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
        let slots = compiled.optimizer.slots();
        slots.fold((2, 8), |(count, bytes), slot| {
            let numbers = slot.elem_count();
            (
                count + numbers,
                bytes + numbers * slot.dtype().size_in_bytes(),
            )
        })
    }

    pub(crate) fn built(&self, method: &'static str) -> Result<&Chain> {
        self.chain.as_ref().ok_or(Error::NotBuilt { method })
    }

    pub(crate) fn compiled(&self, method: &'static str) -> Result<&Compiled> {
        self.built(method)?;
        self.compiled.as_ref().ok_or(Error::NotCompiled { method })
    }

    /// `x` if it has samples of the model's input shape.
    pub(crate) fn checked_input(&self, x: Data, argument: &'static str) -> Result<Data> {
        if x.is_empty() {
            return Err(Error::Empty { argument });
        }
        if x.sample_shape() == self.input_shape() {
            return Ok(x);
        }
        let counts =
            [x.sample_shape(), self.input_shape()].map(|shape| shape.iter().product::<usize>());
        let advice = if counts[0] == counts[1] {
            "the numbers are as many, so Data::flatten() or a Flatten layer may be missing"
        } else if x.tensor().dims() == self.input_shape() {
            "the axis of the samples is missing: one sample is x.unsqueeze(0)?"
        } else {
            "give samples of the shape of the model's Input"
        };
        Err(Error::Samples {
            argument,
            expected: of_samples(self.input_shape()),
            got: x.shape_text(),
            advice: advice.to_string(),
        })
    }
}

/// `count` samples as ranges of at most `batch_size`.
pub(crate) fn batches(count: usize, batch_size: usize) -> impl Iterator<Item = Rows<'static>> {
    (0..count)
        .step_by(batch_size)
        .map(move |start| Rows::Range {
            start,
            length: batch_size.min(count - start),
        })
}

pub(crate) fn check_batch_size(argument: &str, batch_size: usize) -> Result<()> {
    if batch_size > 0 {
        return Ok(());
    }
    Err(Error::argument(
        argument,
        "at least 1",
        0,
        "32 is Keras's default",
    ))
}
