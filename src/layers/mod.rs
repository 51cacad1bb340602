//! Layers: what a model is made of, and the trait for layers of your own.

mod activation;
mod dense;
mod dropout;
mod flatten;
mod input;

pub use activation::Activation;
pub use dense::Dense;
pub use dropout::Dropout;
pub use flatten::Flatten;
pub use input::Input;

use crate::{
    Error, Result, activations::ActivationFunction, error::known, ops::Gradient, seed::Stream,
    weights::Weight, weights::WeightBuilder,
};
use candle_core::Tensor;
use std::fmt::Debug;

/// A step from inputs to outputs, with weights or without.
///
/// A layer of your own needs three methods: its class's name, the shape of its output, and
/// `forward` in candle's operations, which candle differentiates. With weights it also has
/// `build`. Shapes are those of one sample: the batch's axis comes before them in `forward`.
///
/// ```
/// use candle_keras::prelude::*;
/// use candle_keras::layers::{Layer, Pass};
/// use candle_keras::{initializers::Ones, weights::WeightBuilder};
///
/// /// Multiplies every feature by a number that is learned.
/// #[derive(Debug)]
/// struct Scale;
///
/// impl Layer for Scale {
///     fn class_name(&self) -> &str {
///         "Scale"
///     }
///     fn build(&mut self, input_shape: &[usize], weights: &mut WeightBuilder) -> candle_keras::Result<()> {
///         weights.add("scale", input_shape, &Ones)
///     }
///     fn output_shape(&self, input_shape: &[usize]) -> candle_keras::Result<Vec<usize>> {
///         Ok(input_shape.to_vec())
///     }
///     fn forward(&self, inputs: &Tensor, pass: &mut Pass) -> candle_keras::Result<Tensor> {
///         Ok(inputs.broadcast_mul(pass.weight("scale")?)?)
///     }
/// }
///
/// # fn main() -> anyhow::Result<()> {
/// let model = Sequential::new().add(Input::new(3)).add(Scale).build(&Device::Cpu)?;
/// let x = Tensor::new(&[[1f32, 2.0, 3.0]], &Device::Cpu)?;
/// assert_eq!(model.predict(&x)?.to_vec2::<f32>()?, [[1.0, 2.0, 3.0]]);
/// # Ok(()) }
/// ```
pub trait Layer: Debug + Send + Sync {
    /// The class's name as the summary shows it: `Dense`. The layer's own name is made from it.
    fn class_name(&self) -> &str;

    /// The name that its user gave it, if any; it has no `/`.
    fn given_name(&self) -> Option<&str> {
        None
    }

    /// Itself, for an [`Input`] alone.
    #[doc(hidden)]
    fn as_input(&self) -> Option<&Input> {
        None
    }

    /// Asks for the weights that inputs of `input_shape` need, and checks the layer's arguments.
    ///
    /// # Errors
    /// When the shape or an argument does not fit; the model adds the layer's name.
    fn build(&mut self, input_shape: &[usize], weights: &mut WeightBuilder<'_>) -> Result<()> {
        let _ = (input_shape, weights);
        Ok(())
    }

    /// The shape of one output for inputs of `input_shape`.
    ///
    /// # Errors
    /// When the shape does not fit.
    fn output_shape(&self, input_shape: &[usize]) -> Result<Vec<usize>>;

    /// The outputs of a batch, (batch, output shape), from its inputs, (batch, input shape). Outside
    /// training it is called on several threads at once, each with another batch.
    ///
    /// # Errors
    /// When candle's operations fail.
    fn forward(&self, inputs: &Tensor, pass: &mut Pass<'_>) -> Result<Tensor>;

    /// The layer's own gradient. Without one candle differentiates `forward`.
    fn backward(&self) -> Option<&dyn Backward> {
        None
    }

    /// The activation that ends `forward`, for a layer whose `forward` leaves it off when
    /// [`Pass::without_activation`] says so, and for no other. A model asks for that in its last
    /// layer, to compute a cross-entropy from the logits.
    fn final_activation(&self) -> ActivationFunction {
        ActivationFunction::Linear
    }
}

impl<L: Layer + 'static> From<L> for Box<dyn Layer> {
    fn from(layer: L) -> Self {
        Box::new(layer)
    }
}

/// A layer's own gradient, in place of the one that candle finds.
pub trait Backward {
    /// The loss's gradients with respect to the inputs and to every trainable weight, from
    /// `gradient`, the one with respect to the outputs.
    ///
    /// # Errors
    /// When candle's operations fail.
    fn gradients(&self, step: &Forward<'_>, gradient: &Tensor) -> Result<Gradients>;

    /// The same with the weights' gradients yet to be computed, by the update that uses them.
    #[doc(hidden)]
    fn deferred(&self, step: &Forward<'_>, gradient: &Tensor) -> Result<Deferred> {
        self.gradients(step, gradient).map(Deferred::from)
    }
}

/// One run through a layer: its weights, and whether it trains.
#[derive(Debug)]
pub struct Pass<'a> {
    pub(crate) layer: &'a str,
    pub(crate) weights: &'a [Weight],
    pub(crate) tracked: bool,
    /// The training step; `None` outside training.
    pub(crate) step: Option<u64>,
    pub(crate) seed: u64,
    pub(crate) without_activation: bool,
    pub(crate) kept: Vec<Tensor>,
    /// Whether the layer's own updates of its weights are taken.
    pub(crate) updates: bool,
    pub(crate) streams: u64,
}

impl Pass<'_> {
    /// The weight that `build` added as `name`.
    ///
    /// # Errors
    /// When there is none.
    pub fn weight(&self, name: &str) -> Result<&Tensor> {
        let weight = find_weight(self.weights, name)?;
        Ok(if self.tracked {
            weight.variable().as_tensor()
        } else {
            weight.value()
        })
    }

    /// Whether this is a training step, in which dropout drops.
    pub fn training(&self) -> bool {
        self.step.is_some()
    }

    /// This layer's random numbers for this step, from the model's seed; other ones with each call.
    pub fn stream(&mut self) -> Stream {
        self.streams += 1;
        let name = format!("layers/{}/{}", self.layer, self.streams);
        Stream::new(self.seed, &name, self.step.unwrap_or(0))
    }

    /// Gives a weight that is not trained its next numbers, such as a moving mean's. Does nothing
    /// outside `fit`.
    ///
    /// # Errors
    /// When the layer has no such weight, training changes it, or the shape is another.
    pub fn update(&self, name: &str, values: &Tensor) -> Result<()> {
        let weight = find_weight(self.weights, name)?;
        if weight.trainable() {
            let expected = "a weight that add_non_trainable added";
            let advice = "the optimizer changes the others";
            return Err(Error::argument(
                name,
                expected,
                "a trainable weight",
                advice,
            ));
        }
        if !self.updates {
            return Ok(());
        }
        weight.set(values)
    }

    /// Whether to leave off the layer's [`Layer::final_activation`].
    pub fn without_activation(&self) -> bool {
        self.without_activation
    }

    /// Keeps a tensor for [`Backward::gradients`], which finds it in [`Forward::kept`].
    pub fn keep(&mut self, tensor: Tensor) {
        if self.training() {
            self.kept.push(tensor);
        }
    }
}

/// What one run through a layer left for its gradient.
#[derive(Debug)]
pub struct Forward<'a> {
    /// The inputs that `forward` got.
    pub inputs: &'a Tensor,
    /// The outputs that it gave.
    pub outputs: &'a Tensor,
    /// The tensors that it kept, in order.
    pub kept: &'a [Tensor],
    /// Whether it left off its activation.
    pub without_activation: bool,
    /// Whether a layer before this one learns, so that the gradient of the inputs is read.
    pub needs_input_gradient: bool,
    pub(crate) weights: &'a [Weight],
}

impl<'a> Forward<'a> {
    /// A run of a layer without weights, put together by hand to try a [`Backward`] alone.
    pub fn new(inputs: &'a Tensor, outputs: &'a Tensor) -> Self {
        Self {
            inputs,
            outputs,
            kept: &[],
            without_activation: false,
            needs_input_gradient: true,
            weights: &[],
        }
    }

    /// The weight that `build` added as `name`.
    ///
    /// # Errors
    /// When there is none.
    pub fn weight(&self, name: &str) -> Result<&Tensor> {
        Ok(find_weight(self.weights, name)?.value())
    }
}

/// The loss's gradients at one layer.
#[derive(Debug)]
pub struct Gradients {
    /// With respect to the inputs; `None` where nothing reads it.
    pub inputs: Option<Tensor>,
    /// With respect to every trainable weight, in the order in which `build` added them.
    pub weights: Vec<Tensor>,
}

/// [`Gradients`] of which those of the weights may be yet to be computed.
#[doc(hidden)]
#[derive(Debug)]
pub struct Deferred {
    pub(crate) inputs: Option<Tensor>,
    pub(crate) weights: Vec<Gradient>,
}

impl From<Gradients> for Deferred {
    fn from(gradients: Gradients) -> Self {
        Self {
            inputs: gradients.inputs,
            weights: gradients.weights.into_iter().map(Gradient::Whole).collect(),
        }
    }
}

fn find_weight<'a>(weights: &'a [Weight], name: &str) -> Result<&'a Weight> {
    let found = weights.iter().find(|weight| weight.name() == name);
    found.ok_or_else(|| Error::Unknown {
        kind: "weight of the layer",
        name: name.to_string(),
        known: known(weights.iter().map(Weight::name)),
    })
}
