//! From layers in a row to a built chain.

use super::{
    Sequential, Trained,
    chain::{Chain, Node, blame},
    names,
};
use crate::{
    Error, Result,
    error::tuple,
    layers::{Input, Layer},
    seed,
    weights::WeightBuilder,
};
use candle_core::{DType, Device};

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
    pub(super) fn take_apart(&mut self) {
        if let Some(chain) = self.chain.take() {
            self.compiled = None;
            self.trained = Trained::default();
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
        if let Some(name) = names
            .iter()
            .find(|name| name.is_empty() || name.contains('/'))
        {
            let advice = "a / parts the layer's name from its weights'";
            return Err(Error::argument(
                "name",
                "a name of at least one letter, without /",
                format!("`{name}`"),
                advice,
            ));
        }
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
                .and_then(|()| match layer.activity_regularizer() {
                    Some(regularizer) => regularizer.check(),
                    None => Ok(()),
                })
                .and_then(|()| layer.output_shape(shape))
                .and_then(not_empty)
                .map_err(|error| blame(&name, layer.class_name(), error))?;
            let trainable = layer.is_trainable();
            let mut node = Node {
                layer,
                name,
                weights,
                output_shape,
                trainable,
            };
            node.set_trainable(trainable);
            nodes.push(node);
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
        let Some(input) = first.as_input() else {
            let first = first.given_name().unwrap_or(first.class_name()).to_string();
            return Err(Error::NoInput { first });
        };
        let shape = input.shape().to_vec();
        let later = self.layers.iter().skip(1);
        if let Some(position) = later
            .into_iter()
            .position(|layer| layer.as_input().is_some())
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
}

/// An output shape, if outputs of it hold a number.
fn not_empty(output_shape: Vec<usize>) -> Result<Vec<usize>> {
    if !output_shape.contains(&0) {
        return Ok(output_shape);
    }
    let got = tuple(&output_shape);
    let advice = "an output without numbers leaves nothing to learn";
    Err(Error::argument(
        "output_shape",
        "lengths of at least 1",
        got,
        advice,
    ))
}
