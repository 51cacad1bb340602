//! Layers as operators.

use super::{
    functions,
    graph::{Attribute, Graph, INT64, Value},
    normalizations,
};
use crate::{
    Axes, Error, Result,
    layers::{DataFormat, Inference, find_weight},
    model::chain::Node,
};

/// A layer in its place: what its operators are made of.
pub(super) struct Place<'g, 'm> {
    pub(super) graph: &'g Graph,
    pub(super) node: &'m Node,
    /// Of a sample.
    pub(super) input_shape: &'m [usize],
    pub(super) x: Value<'g>,
}

impl<'g> Place<'g, '_> {
    /// What the layer gives.
    pub(super) fn outputs(&self) -> Result<Value<'g>> {
        let Some(inference) = self.node.layer.inference() else {
            return Err(Error::argument(
                "layer",
                "one of the crate, as ONNX knows no others",
                "one of your own",
                "put it together from the crate's layers, such as Dense, Rescaling and Activation",
            ));
        };
        let x = self.x;
        Ok(match inference {
            Inference::Identity => x,
            Inference::Dense(function) => {
                let product = x.apply_with("MatMul", &[self.weight("kernel")?], &[]);
                let z = match self.weight_if_any("bias") {
                    Some(bias) => product + bias,
                    None => product,
                };
                let units = find_weight(&self.node.weights, "kernel")?.value().dims()[1];
                functions::call(function, z, units)?
            }
            Inference::Function(function) => {
                let width = self.input_shape.last().copied().unwrap_or(1);
                functions::call(function, x, width)?
            }
            Inference::PReLU => x.apply_with("PRelu", &[self.weight("alpha")?], &[]),
            Inference::Softmax(axis) => self.softmax(axis)?,
            Inference::Embedding => {
                let ids = x.cast(INT64);
                let rows = [("axis", Attribute::Int(0))];
                self.weight("embeddings")?
                    .apply_with("Gather", &[ids], &rows)
            }
            Inference::Flatten(DataFormat::ChannelsFirst) => {
                // (batch, channels, ..) to (batch, .., channels)
                let others = [0].into_iter().chain(2..self.rank());
                let order: Vec<usize> = others.chain(1..self.rank().min(2)).collect();
                x.transpose(&order).reshape(&self.node.output_shape)
            }
            Inference::Flatten(DataFormat::ChannelsLast) | Inference::Reshape => {
                x.reshape(&self.node.output_shape)
            }
            Inference::Permute(dims) => x.transpose(&[&[0], dims].concat()),
            Inference::RepeatVector => {
                let with_axis = x.apply_with("Unsqueeze", &[self.graph.lengths([1])], &[]);
                let lengths = self.node.output_shape.iter().map(|length| *length as i64);
                let shape = self.graph.lengths([1].into_iter().chain(lengths));
                with_axis.apply_with("Expand", &[shape], &[])
            }
            Inference::BatchNormalization { axis, epsilon } => {
                normalizations::batch(self, axis, epsilon)?
            }
            Inference::LayerNormalization { axis, epsilon } => {
                normalizations::layer(self, axis, epsilon)?
            }
            Inference::GroupNormalization {
                groups,
                axis,
                epsilon,
            } => normalizations::group(self, groups, axis, epsilon)?,
            Inference::RMSNormalization { axis, epsilon } => {
                normalizations::root_mean_square(self, axis, epsilon)?
            }
            Inference::UnitNormalization { axis, greatest } => {
                normalizations::unit(self, axis, greatest)?
            }
            Inference::Normalization {
                axis,
                given,
                epsilon,
                invert,
            } => normalizations::features(self, axis, given, epsilon, invert)?,
            Inference::Rescaling { scale, offset } => {
                x * self.numbers("scale", scale) + self.numbers("offset", offset)
            }
        })
    }

    /// The axes of a batch.
    pub(super) fn rank(&self) -> usize {
        1 + self.input_shape.len()
    }

    /// A weight by its name in the layer.
    pub(super) fn weight(&self, name: &str) -> Result<Value<'g>> {
        let weight = find_weight(&self.node.weights, name)?;
        Ok(self.graph.tensor(weight.path(), weight.value()))
    }

    /// A weight that the layer may have been told to do without.
    pub(super) fn weight_if_any(&self, name: &str) -> Option<Value<'g>> {
        self.weight(name).ok()
    }

    /// Numbers of the layer that are no weight.
    pub(super) fn numbers(&self, name: &str, numbers: &candle_core::Tensor) -> Value<'g> {
        self.graph
            .tensor(&format!("{}/{name}", self.node.name), numbers)
    }

    /// Over one axis, or over the numbers along several.
    fn softmax(&self, axis: &Axes) -> Result<Value<'g>> {
        let along =
            |x: Value<'g>, axis| x.apply_with("Softmax", &[], &[("axis", Attribute::Int(axis))]);
        let axes = axis.resolve(self.rank())?;
        if let [axis] = axes[..] {
            return Ok(along(self.x, axis as i64));
        }
        let others = (0..self.rank()).filter(|axis| !axes.contains(axis));
        let order: Vec<usize> = others.chain(axes.iter().copied()).collect();
        // Without the batch's axis, which stays the first.
        let ordered: Vec<usize> = order[1..]
            .iter()
            .map(|axis| self.input_shape[axis - 1])
            .collect();
        let (kept, summed) = ordered.split_at(ordered.len() - axes.len());
        let rows = [kept, &[summed.iter().product()]].concat();
        let probabilities = along(self.x.transpose(&order).reshape(&rows), -1);
        let mut back: Vec<usize> = (0..order.len()).collect();
        back.sort_unstable_by_key(|place| order[*place]);
        Ok(probabilities.reshape(&ordered).transpose(&back))
    }
}
