//! Layers: what a model is made of, and the trait for layers of your own.

mod activation;
mod activity_regularization;
mod affine;
#[cfg(test)]
mod alone;
mod alpha_dropout;
mod axes_last;
mod base;
mod batch_normalization;
mod channels;
mod data_format;
mod dense;
mod dropout;
mod elu;
mod embedding;
mod flatten;
mod function_layer;
mod gaussian_dropout;
mod gaussian_noise;
mod group_normalization;
mod inference;
mod input;
mod layer_normalization;
mod leaky_relu;
mod noise;
mod normalization;
mod numbers;
mod permute;
mod prelu;
mod relu;
mod renormalization;
mod repeat_vector;
mod rescaling;
mod reshape;
mod rms_normalization;
mod row_normalization;
mod softmax;
mod unit_normalization;

pub use activation::Activation;
pub use activity_regularization::ActivityRegularization;
pub use alpha_dropout::AlphaDropout;
pub use batch_normalization::BatchNormalization;
pub use data_format::DataFormat;
pub use dense::Dense;
pub use dropout::Dropout;
pub use elu::ELU;
pub use embedding::Embedding;
pub use flatten::Flatten;
pub use gaussian_dropout::GaussianDropout;
pub use gaussian_noise::GaussianNoise;
pub use group_normalization::GroupNormalization;
#[doc(hidden)]
pub use inference::Inference;
pub use input::Input;
pub use layer_normalization::LayerNormalization;
pub use leaky_relu::LeakyReLU;
pub use normalization::Normalization;
pub use numbers::Numbers;
pub use permute::Permute;
pub use prelu::PReLU;
pub use relu::ReLU;
pub use renormalization::RenormClipping;
pub use repeat_vector::RepeatVector;
pub use rescaling::Rescaling;
pub use reshape::Reshape;
pub use rms_normalization::RMSNormalization;
pub use softmax::Softmax;
pub use unit_normalization::UnitNormalization;

use crate::{
    Config, Error, Result, activations::ActivationFunction, config::Entry, config::serde_of_part,
    config::table, error::known, ops::Gradient, regularizers::Regularizer, seed::Stream,
    weights::Weight, weights::WeightBuilder,
};
use base::{Base, layer_access, layer_setters};
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

    /// Whether training changes its weights. [`Sequential::set_trainable`] decides otherwise later.
    ///
    /// [`Sequential::set_trainable`]: crate::Sequential::set_trainable
    fn is_trainable(&self) -> bool {
        true
    }

    /// What its outputs add to the loss, divided by the samples in the batch.
    fn activity_regularizer(&self) -> Option<&dyn Regularizer> {
        None
    }

    /// Its class and arguments, if it can be written to a file.
    fn config(&self) -> Option<Config> {
        None
    }

    /// Itself, for an [`Input`] alone.
    #[doc(hidden)]
    fn as_input(&self) -> Option<&Input> {
        None
    }

    /// What it computes outside training, for a layer of the crate that is built.
    #[doc(hidden)]
    fn inference(&self) -> Option<Inference<'_>> {
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

    /// Which steps of these inputs count for later layers and the loss, 1 or 0 in the shape
    /// (batch, ..); all where it is `None`.
    ///
    /// # Errors
    /// When candle's operations fail.
    fn mask(&self, inputs: &Tensor) -> Result<Option<Tensor>> {
        let _ = inputs;
        Ok(None)
    }

    /// Whether an earlier layer's mask holds for its outputs as well; else it ends there.
    fn passes_mask(&self) -> bool {
        false
    }

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

serde_of_part!(Layer, "layer", "keras.layers", LAYERS);

/// Every layer of the crate but `Input`.
pub(crate) const LAYERS: &[Entry<dyn Layer>] = table![dyn Layer:
    Activation = Activation::new(ActivationFunction::Linear), ["activation"];
    ActivityRegularization = ActivityRegularization::new();
    AlphaDropout = AlphaDropout::new(0.0), ["rate"];
    BatchNormalization = BatchNormalization::new();
    Dense = Dense::new(1), ["units"];
    Dropout = Dropout::new(0.0), ["rate"];
    ELU = ELU::new();
    Embedding = Embedding::new(1, 1), ["input_dim", "output_dim"];
    Flatten = Flatten::new();
    GaussianDropout = GaussianDropout::new(0.0), ["rate"];
    GaussianNoise = GaussianNoise::new(0.0), ["stddev"];
    GroupNormalization = GroupNormalization::new();
    LayerNormalization = LayerNormalization::new();
    LeakyReLU = LeakyReLU::new();
    Normalization = Normalization::new();
    PReLU = PReLU::new();
    Permute = Permute::new([]), ["dims"];
    RMSNormalization = RMSNormalization::new();
    ReLU = ReLU::new();
    RepeatVector = RepeatVector::new(1), ["n"];
    Rescaling = Rescaling::new(1.0), ["scale"];
    Reshape = Reshape::new([]), ["target_shape"];
    Softmax = Softmax::new();
    UnitNormalization = UnitNormalization::new();
];

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
    pub(crate) trainable: bool,
    pub(crate) tracked: bool,
    /// The training step; `None` outside training.
    pub(crate) step: Option<u64>,
    pub(crate) seed: u64,
    pub(crate) without_activation: bool,
    pub(crate) mask: Option<Tensor>,
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

    /// Whether training changes the layer's weights: batch normalisation goes by its moving means
    /// where it does not.
    pub fn trainable(&self) -> bool {
        self.trainable
    }

    /// Which steps of the inputs count, 1 or 0 in the shape (batch, ..); all where it is `None`.
    pub fn mask(&self) -> Option<&Tensor> {
        self.mask.as_ref()
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
        if weight.learns() {
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
        // The end of the epoch looks at all weights; a device would be waited for in each step.
        if weight.value().device().is_cpu() {
            weight.set(values)
        } else {
            weight.replace(values)
        }
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

pub(crate) fn find_weight<'a>(weights: &'a [Weight], name: &str) -> Result<&'a Weight> {
    let found = weights.iter().find(|weight| weight.name() == name);
    found.ok_or_else(|| Error::Unknown {
        kind: "weight of the layer",
        name: name.to_string(),
        known: known(weights.iter().map(Weight::name)),
    })
}
