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
    weights::{First, Weight, WeightBuilder},
};
use candle_core::{DType, Device};

impl Sequential {
    /// A model without layers. The first to add is an [`Input`](crate::layers::Input).
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a layer at the end. A model that was built is taken apart: build and compile it again,
    /// which keeps the weights of the layers that it has.
    ///
    /// ```
    /// use candle_keras::prelude::*;
    /// # fn main() -> anyhow::Result<()> {
    /// # let network = Sequential::new().add(Input::new(4)).add(Dense::new(3).name("base")).add(Dense::new(2));
    /// # let trained = network.build(&Device::Cpu)?;
    /// // Another head on a base that is trained already.
    /// let base = trained.weight("base/kernel")?;
    /// let mut model = trained.pop()?.add(Dense::new(5)).build(&Device::Cpu)?;
    /// model.set_trainable("base", false)?;
    /// assert_eq!(model.weight("base/kernel")?.to_vec2::<f32>()?, base.to_vec2::<f32>()?);
    /// # Ok(()) }
    /// ```
    #[expect(clippy::should_implement_trait, reason = "Keras's name")]
    pub fn add(mut self, layer: impl Into<Box<dyn Layer>>) -> Self {
        self.take_apart();
        self.layers.push(Unbuilt::new(layer.into()));
        self
    }

    /// Adds a layer with what a file says of it: one of the user's own may not keep that itself.
    pub(crate) fn add_of_file(
        mut self,
        layer: Box<dyn Layer>,
        name: Option<&str>,
        trainable: Option<bool>,
    ) -> Self {
        self.layers.push(Unbuilt {
            name: name.map(str::to_string),
            trainable,
            ..Unbuilt::new(layer)
        });
        self
    }

    /// Takes the layers out of the chain again, with their names and weights.
    pub(super) fn take_apart(&mut self) {
        let Some(chain) = self.chain.take() else {
            return;
        };
        self.compiled = None;
        self.trained = Trained::default();
        let mut input_shape = chain.input_shape;
        let input = Box::new(Input::new(&input_shape[..]));
        self.layers.push(Unbuilt::new(input));
        for node in chain.nodes {
            let kept = Kept {
                input_shape: std::mem::replace(&mut input_shape, node.output_shape),
                weights: node.weights,
            };
            self.layers.push(Unbuilt {
                layer: node.layer,
                name: Some(node.name),
                trainable: Some(node.trainable),
                kept: Some(kept),
            });
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

    /// Gives every layer its shapes, its name and its first weights, on `device`. In a model that was
    /// built, a layer whose inputs have the same shape as before keeps its weights, and every layer
    /// whether it trains.
    ///
    /// # Errors
    /// When there are no layers, an [`Input`](crate::layers::Input) is missing or misplaced, two
    /// layers have one name, a layer's argument or shape does not fit, or candle cannot allocate.
    pub fn build(self, device: &Device) -> Result<Self> {
        self.build_with(device, None)
    }

    /// The same with weights of zeros, of at most `most` bytes, for a file to fill.
    pub(crate) fn build_empty(self, device: &Device, most: u64) -> Result<Self> {
        self.build_with(device, Some(most))
    }

    fn build_with(mut self, device: &Device, mut most_of_zeros: Option<u64>) -> Result<Self> {
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
        for (unbuilt, name) in self.layers.drain(..).zip(names) {
            let trainable = unbuilt.is_trainable();
            let Unbuilt {
                mut layer, kept, ..
            } = unbuilt;
            let shape = nodes.last().map_or(&input_shape, |node| &node.output_shape);
            let mut builder = WeightBuilder {
                layer: &name,
                device,
                dtype,
                seed,
                first: match &mut most_of_zeros {
                    Some(left) => First::Zeros(left),
                    None => First::Drawn,
                },
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
                .and_then(of_real_size)
                .map_err(|error| blame(&name, layer.class_name(), error))?;
            if let Some(kept) = kept.filter(|kept| kept.input_shape == *shape) {
                kept.restore(&weights)?;
            }
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
        let Some(input) = first.layer.as_input() else {
            return Err(first.no_input());
        };
        let shape = input.shape().to_vec();
        let later = self.layers.iter().skip(1);
        if let Some(position) = later
            .into_iter()
            .position(|later| later.layer.as_input().is_some())
        {
            return Err(Error::MisplacedInput {
                position: position + 1,
            });
        }
        if self.layers.len() == 1 {
            return Err(Error::NoLayers);
        }
        let advice = "give the lengths of a sample's axes, without the batch's";
        let misfit = |expected| Err(Error::argument("Input", expected, tuple(&shape), advice));
        if shape.contains(&0) {
            return misfit("lengths of at least 1");
        }
        if is_too_large(&shape) {
            return misfit("samples that fit into memory");
        }
        self.layers.remove(0);
        Ok(shape)
    }
}

/// A layer that is not built yet.
#[derive(Debug)]
pub(crate) struct Unbuilt {
    pub(crate) layer: Box<dyn Layer>,
    /// The name that a file gave it, or that it had in the model before that was taken apart.
    name: Option<String>,
    /// Whether it is trained, by the same.
    trainable: Option<bool>,
    /// What else it had in that model.
    kept: Option<Kept>,
}

impl Unbuilt {
    fn new(layer: Box<dyn Layer>) -> Self {
        Self {
            layer,
            name: None,
            trainable: None,
            kept: None,
        }
    }

    /// The name that it is given, if any.
    pub(crate) fn given_name(&self) -> Option<&str> {
        self.name.as_deref().or(self.layer.given_name())
    }

    /// Whether it is trained once it is built.
    pub(crate) fn is_trainable(&self) -> bool {
        self.trainable.unwrap_or_else(|| self.layer.is_trainable())
    }

    /// The error of a first layer that is no `Input`.
    pub(crate) fn no_input(&self) -> Error {
        let first = self.given_name().unwrap_or(self.layer.class_name());
        Error::NoInput {
            first: first.to_string(),
        }
    }
}

/// What a layer of a model that is taken apart had in it.
#[derive(Debug)]
struct Kept {
    input_shape: Vec<usize>,
    weights: Vec<Weight>,
}

impl Kept {
    /// Gives the layer's new weights the numbers of the old ones.
    fn restore(&self, weights: &[Weight]) -> Result<()> {
        let shapes = |weights: &[Weight]| -> Vec<Vec<usize>> {
            let shapes = weights.iter().map(|weight| weight.value().dims().to_vec());
            shapes.collect()
        };
        if shapes(weights) != shapes(&self.weights) {
            return Ok(()); // a layer of the user's own may ask for others
        }
        let both = weights.iter().zip(&self.weights);
        both.into_iter()
            .try_for_each(|(weight, old)| weight.replace(old.value()))
    }
}

/// An output shape, if outputs of it hold a number, and no more than can be counted.
fn of_real_size(output_shape: Vec<usize>) -> Result<Vec<usize>> {
    let (expected, advice) = if output_shape.contains(&0) {
        let advice = "an output without numbers leaves nothing to learn";
        ("lengths of at least 1", advice)
    } else if is_too_large(&output_shape) {
        ("outputs that fit into memory", "make the layer smaller")
    } else {
        return Ok(output_shape);
    };
    let got = tuple(&output_shape);
    Err(Error::argument("output_shape", expected, got, advice))
}

/// Whether nobody can count the numbers of a shape, or the memory cannot hold one sample of it.
fn is_too_large(shape: &[usize]) -> bool {
    let count = shape
        .iter()
        .try_fold(1usize, |n, axis| n.checked_mul(*axis));
    let fits = |count: &usize| Vec::<f64>::new().try_reserve_exact(*count).is_ok();
    count.filter(fits).is_none()
}
