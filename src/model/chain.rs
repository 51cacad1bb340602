//! The heart: forward through the layers, and backward through them in reverse.
//!
//! A `Sequential` is a chain, so its gradient needs no graph of the whole model. A layer that has
//! a [`Backward`](crate::layers::Backward) of its own gives its gradients by it; candle's autograd
//! differentiates every other layer by itself.

use crate::{
    Error, Result,
    activations::ActivationFunction,
    data::Rows,
    error::{batched, tuple},
    layers::{Deferred, Forward, Gradients, Layer, Pass},
    ops::{Gradient, threads},
    weights::Weight,
};
use candle_core::{DType, Device, Tensor, Var};

/// A layer in its place in a model.
#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) layer: Box<dyn Layer>,
    pub(crate) name: String,
    pub(crate) weights: Vec<Weight>,
    pub(crate) output_shape: Vec<usize>,
    /// Whether training changes its weights.
    pub(crate) trainable: bool,
}

/// The layers of a built model.
#[derive(Debug)]
pub(crate) struct Chain {
    pub(crate) nodes: Vec<Node>,
    pub(crate) input_shape: Vec<usize>,
    pub(crate) device: Device,
    pub(crate) dtype: DType,
    pub(crate) seed: u64,
}

/// What a forward pass leaves for the backward one.
pub(crate) struct Tape {
    records: Vec<Record>,
}

/// What a pass through all layers gives.
pub(crate) struct Outcome {
    pub(crate) outputs: Tensor,
    /// What the layers' outputs add to the loss, as (penalty, factor).
    pub(crate) penalties: Vec<(Tensor, f64)>,
    /// Which of the outputs' steps count, 1 or 0; all where there is none.
    pub(crate) mask: Option<Tensor>,
}

struct Record {
    inputs: Tensor,
    outputs: Tensor,
    kept: Vec<Tensor>,
    /// For a layer without a gradient of its own: what candle's autograd goes by.
    graph: Option<Graph>,
}

/// One layer's own graph, which ends at its inputs and is not seen by any other layer: a graph
/// that went on would bring its gradients in twice.
struct Graph {
    /// The inputs, where a layer before this one learns.
    inputs: Option<Var>,
    outputs: Tensor,
}

/// Which activation the last layer leaves to the loss.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Head {
    /// None: the model's outputs are the last layer's.
    Whole,
    /// The last layer's activation, so that the outputs are logits.
    Logits,
}

/// Whether layers may change weights of their own, such as moving means, in a training pass.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Updates {
    Taken,
    Ignored,
}

impl Node {
    /// Whether training changes a weight of this layer.
    fn learns(&self) -> bool {
        self.weights.iter().any(Weight::trainable)
    }

    /// Whether training changes its weights, or no longer does.
    pub(crate) fn set_trainable(&mut self, trainable: bool) {
        self.trainable = trainable;
        let weights = self.weights.iter_mut();
        weights.for_each(|weight| weight.freeze(!trainable));
    }

    /// What these outputs add to the loss, as (penalty, factor).
    fn penalty(&self, outputs: &Tensor) -> Result<Option<(Tensor, f64)>> {
        let Some(regularizer) = self.layer.activity_regularizer() else {
            return Ok(None);
        };
        let penalty = regularizer.penalty(outputs);
        let penalty = penalty.map_err(|error| self.blame(error))?;
        Ok(Some((penalty, 1.0 / outputs.dim(0)?.max(1) as f64)))
    }

    /// The mask of its outputs, from its inputs and theirs.
    fn mask(&self, inputs: &Tensor, before: Option<Tensor>) -> Result<Option<Tensor>> {
        let own = self.layer.mask(inputs).map_err(|error| self.blame(error))?;
        Ok(own.or(before.filter(|_| self.layer.passes_mask())))
    }

    /// An error of this layer, with its name.
    pub(crate) fn blame(&self, error: impl Into<Error>) -> Error {
        blame(&self.name, self.layer.class_name(), error)
    }
}

/// An error with the name of the layer that it comes from.
pub(crate) fn blame(layer: &str, class_name: &str, error: impl Into<Error>) -> Error {
    Error::Layer {
        layer: layer.to_string(),
        class_name: class_name.to_string(),
        error: Box::new(error.into()),
    }
}

impl Chain {
    /// The shape of one output.
    pub(crate) fn output_shape(&self) -> &[usize] {
        let last = self.nodes.last();
        last.map_or(&self.input_shape, |node| &node.output_shape)
    }

    /// The activation that the last layer can leave off.
    pub(crate) fn last_activation(&self) -> ActivationFunction {
        // A penalty on the outputs is one on the activation's, which must not be left off then.
        let last = self.nodes.last();
        let last = last.filter(|node| node.layer.activity_regularizer().is_none());
        last.map_or(ActivationFunction::Linear, |node| {
            node.layer.final_activation()
        })
    }

    /// Every weight, in the order of the layers.
    pub(crate) fn weights(&self) -> impl Iterator<Item = &Weight> {
        self.nodes.iter().flat_map(|node| &node.weights)
    }

    /// What the weights add to the loss, as (penalty, factor).
    pub(crate) fn weight_penalties(&self) -> Result<Vec<(Tensor, f64)>> {
        let penalties = self.weights().filter_map(|weight| {
            let penalty = weight.regularizer()?.penalty(weight.value());
            let named = |error| Error::of_part("regularizer of", weight.path(), error);
            Some(penalty.map(|penalty| (penalty, 1.0)).map_err(named))
        });
        penalties.collect()
    }

    /// The outputs of a batch, outside training.
    pub(crate) fn forward(&self, inputs: &Tensor, head: Head) -> Result<Tensor> {
        Ok(self.run(inputs, head)?.outputs)
    }

    /// The same, with what the loss needs besides.
    pub(crate) fn run(&self, inputs: &Tensor, head: Head) -> Result<Outcome> {
        let mut outcome = Outcome {
            outputs: inputs.clone(),
            penalties: Vec::new(),
            mask: None,
        };
        for (index, node) in self.nodes.iter().enumerate() {
            let mut pass = self.pass(index, None, head);
            pass.mask = outcome.mask;
            let outputs = node.run(&outcome.outputs, &mut pass)?;
            outcome.mask = node.mask(&outcome.outputs, pass.mask)?;
            outcome.penalties.extend(node.penalty(&outputs)?);
            outcome.outputs = outputs;
        }
        Ok(outcome)
    }

    /// Calls `run` with every batch of `count` samples and `take`, in their order, with what it gave.
    /// On the CPU every thread runs a batch, if there are as many.
    pub(crate) fn each_batch<R: Send>(
        &self,
        count: usize,
        batch_size: usize,
        run: impl Fn(Rows<'static>) -> Result<R> + Sync,
        mut take: impl FnMut(R) -> Result<()>,
    ) -> Result<()> {
        // A few for each thread, to wait less for the last one, and few enough for a bar to move.
        let at_once = if self.device.is_cpu() && count.div_ceil(batch_size) >= threads::count() {
            4 * threads::count()
        } else {
            1
        };
        let mut batches = Rows::batches(count, batch_size);
        loop {
            let mut results: Vec<_> = batches.by_ref().take(at_once).map(|b| (b, None)).collect();
            if results.is_empty() {
                return Ok(());
            }
            let parts = results.iter_mut().map(|(batch, result)| (*batch, result));
            threads::each(parts.collect(), |(batch, result)| {
                *result = Some(run(batch))
            });
            for result in results.into_iter().filter_map(|(_, result)| result) {
                take(result?)?;
            }
        }
    }

    /// The outputs of every layer for a batch, outside training.
    pub(crate) fn layer_outputs(&self, inputs: &Tensor) -> Result<Vec<Tensor>> {
        let mut outputs: Vec<Tensor> = Vec::new();
        let mut mask = None;
        for (index, node) in self.nodes.iter().enumerate() {
            let mut pass = self.pass(index, None, Head::Whole);
            pass.mask = mask;
            let x = outputs.last().unwrap_or(inputs);
            let y = node.run(x, &mut pass)?;
            mask = node.mask(x, pass.mask)?;
            outputs.push(y);
        }
        Ok(outputs)
    }

    /// What a batch gives in training step `step`, and what the gradients need.
    pub(crate) fn forward_training(
        &self,
        inputs: &Tensor,
        step: u64,
        head: Head,
        updates: Updates,
    ) -> Result<(Outcome, Tape)> {
        let mut records: Vec<Record> = Vec::with_capacity(self.nodes.len());
        let (mut penalties, mut mask) = (Vec::new(), None);
        let mut learns_before = false;
        for (index, node) in self.nodes.iter().enumerate() {
            let inputs = records
                .last()
                .map_or(inputs, |record| &record.outputs)
                .clone();
            let mut pass = self.pass(index, Some(step), head);
            pass.updates = matches!(updates, Updates::Taken);
            pass.mask = mask;
            let (outputs, graph) = if node.layer.backward().is_some() {
                (node.run(&inputs, &mut pass)?, None)
            } else {
                pass.tracked = true;
                let tracked = learns_before
                    .then(|| Var::from_tensor(&inputs))
                    .transpose()?;
                let seen = tracked.as_ref().map_or(&inputs, Var::as_tensor);
                let outputs = node.run(seen, &mut pass)?;
                let graph = Graph {
                    inputs: tracked,
                    outputs: outputs.clone(),
                };
                (outputs.detach(), Some(graph))
            };
            mask = node.mask(&inputs, pass.mask)?;
            penalties.extend(node.penalty(&outputs)?);
            records.push(Record {
                kept: pass.kept,
                inputs,
                outputs,
                graph,
            });
            learns_before |= node.learns();
        }
        let outputs = records.last().map_or(inputs, |record| &record.outputs);
        let outcome = Outcome {
            outputs: outputs.clone(),
            penalties,
            mask,
        };
        Ok((outcome, Tape { records }))
    }

    /// The loss's gradient with respect to every trainable weight, in order, from `gradient`, the
    /// one with respect to the outputs of the pass that left `tape`.
    pub(crate) fn backward(
        &self,
        tape: &Tape,
        gradient: &Tensor,
        head: Head,
    ) -> Result<Vec<Gradient>> {
        let mut gradient = gradient.clone();
        let mut of_layers = Vec::with_capacity(self.nodes.len());
        for (index, (node, record)) in self.nodes.iter().zip(&tape.records).enumerate().rev() {
            let before = &self.nodes[..index];
            let needs_input_gradient = before.iter().any(Node::learns);
            if !needs_input_gradient && !node.learns() {
                break;
            }
            if let Some(regularizer) = node.layer.activity_regularizer() {
                let samples = record.outputs.dim(0)?.max(1) as f64;
                let own = regularizer.gradient(&record.outputs);
                let own = own.map_err(|error| node.blame(error))?;
                gradient = (gradient + (own / samples)?)?;
            }
            let step = Forward {
                inputs: &record.inputs,
                outputs: &record.outputs,
                kept: &record.kept,
                without_activation: self.is_head(index, head),
                needs_input_gradient,
                weights: &node.weights,
            };
            let gradients = match node.layer.backward() {
                Some(layer) => layer
                    .deferred(&step, &gradient)
                    .and_then(|gradients| node.checked(gradients, &step)),
                None => differentiate(node, record, &gradient.detach()).map(Deferred::from),
            }
            .map_err(|error| node.blame(error))?;
            of_layers.push(node.with_penalties(gradients.weights)?);
            match gradients.inputs {
                Some(inputs) if needs_input_gradient => gradient = inputs,
                _ => break,
            }
        }
        Ok(of_layers.into_iter().rev().flatten().collect())
    }

    fn pass(&self, index: usize, step: Option<u64>, head: Head) -> Pass<'_> {
        Pass {
            layer: &self.nodes[index].name,
            weights: &self.nodes[index].weights,
            trainable: self.nodes[index].trainable,
            tracked: false,
            step,
            seed: self.seed,
            without_activation: self.is_head(index, head),
            mask: None,
            kept: Vec::new(),
            updates: false,
            streams: 0,
        }
    }

    fn is_head(&self, index: usize, head: Head) -> bool {
        matches!(head, Head::Logits) && index + 1 == self.nodes.len()
    }
}

impl Node {
    /// What a layer's own backward gave, if it fits the layer: a gradient too few would be taken
    /// for that of another weight.
    fn checked(&self, gradients: Deferred, step: &Forward<'_>) -> Result<Deferred> {
        let misfit = |what: String, expected: String, got: String| {
            let advice = "mend the layer's backward";
            Err(Error::argument(what, expected, got, advice))
        };
        let learning = || self.weights.iter().filter(|weight| weight.learns());
        let (count, got) = (learning().count(), gradients.weights.len());
        if got != count {
            return misfit(
                "gradients of the weights".to_string(),
                format!("{count}, one for each trainable weight"),
                got.to_string(),
            );
        }
        for (weight, gradient) in learning().zip(&gradients.weights) {
            if gradient.dims() != weight.value().dims() {
                return misfit(
                    format!("gradient of the weight {}", weight.name()),
                    format!("the weight's shape {}", tuple(weight.value().dims())),
                    tuple(&gradient.dims()),
                );
            }
        }
        let expected = || format!("the inputs' shape {}", tuple(step.inputs.dims()));
        match &gradients.inputs {
            Some(inputs) if inputs.dims() != step.inputs.dims() => misfit(
                "gradient of the inputs".to_string(),
                expected(),
                tuple(inputs.dims()),
            ),
            None if step.needs_input_gradient => misfit(
                "gradient of the inputs".to_string(),
                expected(),
                "None".to_string(),
            ),
            _ => Ok(gradients),
        }
    }

    /// The gradients of the weights that are trained, with those of what they add to the loss.
    fn with_penalties(&self, gradients: Vec<Gradient>) -> Result<Vec<Gradient>> {
        if !self.trainable {
            return Ok(Vec::new());
        }
        let learning = self.weights.iter().filter(|weight| weight.learns());
        let added = learning.zip(gradients).map(|(weight, gradient)| {
            let Some(regularizer) = weight.regularizer() else {
                return Ok(gradient);
            };
            let own = regularizer.gradient(weight.value())?;
            Ok(Gradient::Whole((gradient.whole()? + own)?))
        });
        added.collect()
    }

    /// The layer's outputs, if they have the shape that it promised.
    fn run(&self, inputs: &Tensor, pass: &mut Pass<'_>) -> Result<Tensor> {
        let outputs = self
            .layer
            .forward(inputs, pass)
            .map_err(|error| self.blame(error))?;
        if outputs.dims().first() == inputs.dims().first()
            && outputs.dims()[1..] == self.output_shape
        {
            // A view would cost the layers after it their fused operations, and fails on CUDA.
            return Ok(outputs.contiguous()?);
        }
        let mut promised = vec![inputs.dims().first().copied().unwrap_or_default()];
        promised.extend(&self.output_shape);
        Err(self.blame(Error::argument(
            "forward",
            format!(
                "outputs of shape {}, as its output_shape {} says",
                tuple(&promised),
                batched(&self.output_shape)
            ),
            tuple(outputs.dims()),
            "mend the layer's forward or its output_shape",
        )))
    }
}

/// A layer's gradients by candle's autograd.
fn differentiate(node: &Node, record: &Record, gradient: &Tensor) -> Result<Gradients> {
    // The gradient of Σ outputs·gradient with respect to the outputs is `gradient`.
    let graph = record.graph.as_ref();
    let outputs = graph.map_or(&record.outputs, |graph| &graph.outputs);
    let store = (outputs * gradient)?.sum_all()?.backward()?;
    let find = |variable: &Tensor, what: &dyn Fn() -> String| {
        let found = store.get(variable).cloned();
        found.ok_or_else(|| Error::NoGradient {
            what: what(),
            place: "the layer's forward",
            advice: "give the layer a backward of its own",
        })
    };
    let trainable = node.weights.iter().filter(|weight| weight.trainable());
    let weights = trainable // none of a frozen layer
        .map(|weight| {
            find(weight.variable(), &|| {
                format!("the weight `{}`", weight.name())
            })
        })
        .collect::<Result<_>>()?;
    let inputs = match graph.and_then(|graph| graph.inputs.as_ref()) {
        Some(variable) => Some(find(variable, &|| "the inputs".to_string())?),
        None => None,
    };
    Ok(Gradients { inputs, weights })
}
