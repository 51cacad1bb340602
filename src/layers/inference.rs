//! What layers compute outside training, for formats that write a model down as operations.

use super::DataFormat;
use crate::{Axes, activations::ActivationFunction};
use candle_core::Tensor;

/// What a layer of the crate computes outside training, from its weights and these arguments.
#[doc(hidden)]
#[derive(Debug, Clone, Copy)]
pub enum Inference<'a> {
    /// Its inputs.
    Identity,
    /// x·`kernel` + `bias`, then a function.
    Dense(ActivationFunction),
    Function(ActivationFunction),
    /// x for x ≥ 0, else `alpha`·x.
    PReLU,
    Softmax(&'a Axes),
    /// Rows of `embeddings`.
    Embedding,
    Flatten(DataFormat),
    /// To the layer's output shape.
    Reshape,
    Permute(&'a [usize]),
    RepeatVector,
    BatchNormalization {
        axis: i64,
        epsilon: f64,
    },
    LayerNormalization {
        axis: &'a Axes,
        epsilon: f64,
    },
    GroupNormalization {
        /// -1 for each channel one.
        groups: i64,
        axis: i64,
        epsilon: f64,
    },
    RMSNormalization {
        axis: &'a Axes,
        epsilon: f64,
    },
    UnitNormalization {
        axis: &'a Axes,
        greatest: f64,
    },
    /// By the mean and variance that it was given, or else by its weights along `axis`.
    Normalization {
        axis: &'a [i64],
        given: Option<&'a (Tensor, Tensor)>,
        epsilon: f64,
        invert: bool,
    },
    /// x·`scale` + `offset`
    Rescaling {
        scale: &'a Tensor,
        offset: &'a Tensor,
    },
}
