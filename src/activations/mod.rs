//! Activation functions: what a layer does to each of its outputs.
//!
//! They are given to a layer by name, `Dense::new(128).activation(Relu)`, or stand as a layer of
//! their own, [`layers::Activation`](crate::layers::Activation). All of Keras's are here.

mod check;
mod config;
mod plain;

use crate::{Error, Result, ops};
use candle_core::{D, Tensor, Var};

pub use ActivationFunction::{
    Celu, Elu, Exponential, Gelu, Glu, HardShrink, HardSigmoid, HardSilu, HardTanh, LeakyRelu,
    Linear, LogSigmoid, LogSoftmax, Mish, Relu, Relu6, ReluWith, Selu, Sigmoid, Silu, SoftShrink,
    Softmax, Softplus, Softsign, SparsePlus, SparseSigmoid, Sparsemax, Squareplus, Tanh,
    TanhShrink, Threshold,
};

/// An activation function. Each works on every number by itself, but for softmax, log-softmax,
/// sparsemax and the gated linear unit, which work along the last axis. All are finite for inputs
/// of ±1e4, and so are their gradients, but for [`Exponential`].
///
/// ```
/// use candle_keras::prelude::*;
/// # fn main() -> anyhow::Result<()> {
/// let x = Tensor::new(&[-2f32, 0.0, 2.0], &Device::Cpu)?;
/// assert_eq!(Relu.call(&x)?.to_vec1::<f32>()?, [0.0, 0.0, 2.0]);
/// assert_eq!(LeakyRelu { negative_slope: 0.5 }.call(&x)?.to_vec1::<f32>()?, [-1.0, 0.0, 2.0]);
/// # Ok(()) }
/// ```
///
/// # As configuration
/// With serde it is what Keras writes, its name, where every parameter has Keras's default. With other
/// arguments it is the layer that takes them, `ReLU`, `LeakyReLU` or `ELU`, which Keras reads in an
/// activation's place. For the rest, such as `celu`, Keras has no form: it is the name with the
/// arguments, and only this crate reads it. Reading takes Keras's aliases too, `null` as [`Linear`],
/// and the layers `Activation` and `Softmax` in its place.
///
/// ```
/// use candle_keras::{activations::ActivationFunction, prelude::*};
/// # fn main() -> anyhow::Result<()> {
/// assert_eq!(serde_json::to_string(&LeakyRelu { negative_slope: 0.2 })?, r#""leaky_relu""#);
/// let text = r#"{"module": "keras.layers", "class_name": "ELU", "config": {"alpha": 0.5}}"#;
/// let elu: ActivationFunction = serde_json::from_str(text)?;
/// assert_eq!(elu, Elu { alpha: 0.5 });
/// assert_eq!(serde_json::to_value(&elu)?["class_name"], "ELU");
/// # Ok(()) }
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Default)]
#[non_exhaustive]
pub enum ActivationFunction {
    /// f(x) = x. Keras: `linear`, the default of every layer.
    #[default]
    Linear,
    /// f(x) = 1 / (1 + e⁻ˣ), from 0 to 1. Keras: `sigmoid`.
    Sigmoid,
    /// f(x) = min(max(x + 3, 0), 6) / 6, from 0 to 1; its gradient at ±3 is 0. Keras:
    /// `hard_sigmoid`.
    HardSigmoid,
    /// f(x) = ln(1 / (1 + e⁻ˣ)), below 0. Keras: `log_sigmoid`.
    LogSigmoid,
    /// f(x) = min(max((x + 1) / 2, 0), 1), from 0 to 1; its gradient at ±1 is 0. Keras:
    /// `sparse_sigmoid`.
    SparseSigmoid,
    /// f(x) = tanh x, from -1 to 1. Keras: `tanh`.
    Tanh,
    /// f(x) = min(max(x, -1), 1), from -1 to 1; its gradient at ±1 is 1. Keras: `hard_tanh`.
    HardTanh,
    /// f(x) = x - tanh x. Keras: `tanh_shrink`.
    TanhShrink,
    /// f(x) = max(x, 0); its gradient at 0 is 0. Keras: `relu`. With arguments: [`ReluWith`].
    Relu,
    /// f(x) = min(max(x, 0), 6), from 0 to 6; its gradient at 0 and 6 is 0. Keras: `relu6`.
    ///
    /// Source: Krizhevsky, *Convolutional Deep Belief Networks on CIFAR-10*, 2010.
    Relu6,
    /// f(x) = min(x, `max_value`) for x > `threshold`, else `negative_slope`·(x - `threshold`).
    /// Keras: `relu` with its arguments.
    ReluWith {
        /// The slope below the threshold; 0 in Keras.
        negative_slope: f64,
        /// The greatest output; none in Keras.
        max_value: Option<f64>,
        /// Up to here the output is that of the slope; 0 in Keras.
        threshold: f64,
    },
    /// f(x) = x for x > 0, else `negative_slope`·x. Keras: `leaky_relu`, whose slope is 0.2 as a
    /// function and 0.3 as a layer.
    LeakyRelu {
        /// The slope below 0.
        negative_slope: f64,
    },
    /// f(x) = x for x > 0, else `alpha`·(eˣ - 1), above -`alpha`. Keras: `elu`, whose alpha is 1.
    ///
    /// Source: Clevert and others, *Fast and Accurate Deep Network Learning by Exponential Linear
    /// Units*, 2016.
    Elu {
        /// How far the output goes below 0.
        alpha: f64,
    },
    /// f(x) = x for x > 0, else `alpha`·(e^(x/`alpha`) - 1), above -`alpha`: smooth at 0 for every
    /// alpha. Keras: `celu`, whose alpha is 1.
    ///
    /// Source: Barron, *Continuously Differentiable Exponential Linear Units*, 2017. The gradient
    /// at 0 is 1; that of Keras on TensorFlow is 2 there, as both of its parts count.
    Celu {
        /// How far the output goes below 0; not 0.
        alpha: f64,
    },
    /// f(x) = s·x for x > 0, else s·a·(eˣ - 1), with s = 1.05070098 and a = 1.67326324: outputs
    /// keep mean 0 and variance 1 from layer to layer. Keras: `selu`.
    ///
    /// Source: Klambauer and others, *Self-Normalizing Neural Networks*, 2017.
    Selu,
    /// f(x) = x·Φ(x), Φ being the distribution function of the normal distribution. Keras: `gelu`,
    /// which is exact by default.
    ///
    /// Source: Hendrycks and Gimpel, *Gaussian Error Linear Units*, 2016.
    Gelu {
        /// Whether it is x·(1 + tanh(√(2/π)·(x + 0.044715·x³))) / 2 instead.
        approximate: bool,
    },
    /// f(x) = x / (1 + e⁻ˣ), the same as swish. Keras: `silu`.
    ///
    /// Source: Ramachandran and others, *Searching for Activation Functions*, 2017.
    Silu,
    /// f(x) = x·min(max(x + 3, 0), 6) / 6. Keras: `hard_silu`.
    ///
    /// Source: Howard and others, *Searching for MobileNetV3*, 2019.
    HardSilu,
    /// f(x) = x·tanh(ln(1 + eˣ)). Keras: `mish`.
    ///
    /// Source: Misra, *Mish: A Self Regularized Non-Monotonic Activation Function*, 2019.
    Mish,
    /// f(a, b) = a / (1 + e⁻ᵇ), where a is the first half of the last axis and b the second: the
    /// output is half as wide as the input. Keras: `glu`.
    ///
    /// Source: Dauphin and others, *Language Modeling with Gated Convolutional Networks*, 2017.
    Glu,
    /// f(x) = ln(1 + eˣ), above 0. Keras: `softplus`.
    Softplus,
    /// f(x) = x / (1 + |x|), from -1 to 1. Keras: `softsign`.
    Softsign,
    /// f(x) = 0 for x ≤ -1, (x + 1)² / 4 for x < 1, else x. Keras: `sparse_plus`.
    SparsePlus,
    /// f(x) = (x + √(x² + `b`)) / 2, above 0. Keras: `squareplus`, whose b is 4.
    ///
    /// Source: Barron, *Squareplus: A Softplus-Like Algebraic Rectifier*, 2021. Far below 0 it is
    /// computed as b / (2·(√(x² + b) - x)), which keeps digits that Keras loses.
    Squareplus {
        /// How wide the bend is; at least 0.
        b: f64,
    },
    /// f(x) = x - t for x > t, x + t for x < -t, else 0, with t the `threshold`. Keras:
    /// `soft_shrink`, whose threshold is 0.5.
    SoftShrink {
        /// What is taken from every size.
        threshold: f64,
    },
    /// f(x) = x for |x| > `threshold`, else 0. Keras: `hard_shrink`, whose threshold is 0.5.
    HardShrink {
        /// Up to this size the output is 0.
        threshold: f64,
    },
    /// f(x) = x for x > `threshold`, else `default_value`. Keras: `threshold`, which has no
    /// defaults; its operation's are 1 and 0.
    Threshold {
        /// Up to here the output is `default_value`.
        threshold: f64,
        /// The output up to the threshold.
        default_value: f64,
    },
    /// f(x) = eˣ: infinite in f32 from 88.73. Keras: `exponential`.
    Exponential,
    /// f(x)ᵢ = e^xᵢ / Σⱼ e^xⱼ along the last axis: positive numbers with sum 1. Keras: `softmax`.
    Softmax,
    /// f(x)ᵢ = xᵢ - ln Σⱼ e^xⱼ along the last axis, up to 0. Keras: `log_softmax`.
    LogSoftmax,
    /// f(x)ᵢ = max(xᵢ - τ, 0) along the last axis, with the τ that makes their sum 1: like softmax,
    /// but with zeros. Keras: `sparsemax`.
    ///
    /// Source: Martins and Astudillo, *From Softmax to Sparsemax*, 2016.
    Sparsemax,
}

/// Selu's s and a, for which mean 0 and variance 1 are kept; from its paper.
pub(crate) const SELU_SCALE: f64 = 1.050_700_987_355_480_5;
pub(crate) const SELU_ALPHA: f64 = 1.673_263_242_354_377_2;

impl ActivationFunction {
    /// Every function of Keras, with Keras's defaults.
    pub const ALL: [Self; 30] = [
        Linear,
        Sigmoid,
        HardSigmoid,
        LogSigmoid,
        SparseSigmoid,
        Tanh,
        HardTanh,
        TanhShrink,
        Relu,
        Relu6,
        LeakyRelu {
            negative_slope: 0.2,
        },
        Elu { alpha: 1.0 },
        Celu { alpha: 1.0 },
        Selu,
        Gelu { approximate: false },
        Silu,
        HardSilu,
        Mish,
        Glu,
        Softplus,
        Softsign,
        SparsePlus,
        Squareplus { b: 4.0 },
        SoftShrink { threshold: 0.5 },
        HardShrink { threshold: 0.5 },
        Threshold {
            threshold: 1.0,
            default_value: 0.0,
        },
        Exponential,
        Softmax,
        LogSoftmax,
        Sparsemax,
    ];

    /// Keras's name: `relu`, `leaky_relu`.
    pub fn name(&self) -> &'static str {
        match self {
            Linear => "linear",
            Sigmoid => "sigmoid",
            HardSigmoid => "hard_sigmoid",
            LogSigmoid => "log_sigmoid",
            SparseSigmoid => "sparse_sigmoid",
            Tanh => "tanh",
            HardTanh => "hard_tanh",
            TanhShrink => "tanh_shrink",
            Relu | ReluWith { .. } => "relu",
            Relu6 => "relu6",
            LeakyRelu { .. } => "leaky_relu",
            Elu { .. } => "elu",
            Celu { .. } => "celu",
            Selu => "selu",
            Gelu { .. } => "gelu",
            Silu => "silu",
            HardSilu => "hard_silu",
            Mish => "mish",
            Glu => "glu",
            Softplus => "softplus",
            Softsign => "softsign",
            SparsePlus => "sparse_plus",
            Squareplus { .. } => "squareplus",
            SoftShrink { .. } => "soft_shrink",
            HardShrink { .. } => "hard_shrink",
            Threshold { .. } => "threshold",
            Exponential => "exponential",
            Softmax => "softmax",
            LogSoftmax => "log_softmax",
            Sparsemax => "sparsemax",
        }
    }

    /// The activation of `x`, in `x`'s own memory where it can: `x` must be nobody else's.
    pub(crate) fn call_owned(&self, x: Tensor) -> Result<Tensor> {
        if !ops::in_memory(&[&x]) {
            return self.call(&x);
        }
        let width = x.dim(D::Minus1)?;
        if *self == Glu {
            let mut shape = x.dims().to_vec();
            shape.pop();
            shape.push(self.output_width(width)?);
            let outputs = ops::activation::glu(&ops::numbers(&x)?, width);
            return Ok(Tensor::from_vec(outputs, shape, x.device())?);
        }
        ops::write(&x, |numbers| {
            ops::vectorized(
                #[inline(always)]
                || ops::activation::apply(*self, numbers, width),
            );
            Ok(())
        })?;
        Ok(x)
    }

    /// The loss's gradient before the activation, from its gradient after it, `gradient`, and the
    /// activation's `output`. `input` is read where `needs_input` says so.
    pub(crate) fn backward(
        &self,
        input: Option<&Tensor>,
        output: &Tensor,
        gradient: &Tensor,
    ) -> Result<Tensor> {
        let fused = ops::in_memory(&[output]);
        match (self.needs_input(fused), fused) {
            _ if *self == Linear => Ok(gradient.clone()),
            (false, true) => self.fused_from_output(output, gradient),
            (false, false) => self.plain_from_output(output, gradient),
            (true, fused) => {
                let input = input.ok_or_else(|| {
                    let advice = "run the layer in a training step before its gradient";
                    Error::argument("kept", "the activation's inputs", "none", advice)
                })?;
                if fused {
                    self.fused_from_input(input, gradient)
                } else {
                    self.differentiated(input, gradient)
                }
            }
        }
    }

    fn fused_from_output(&self, output: &Tensor, gradient: &Tensor) -> Result<Tensor> {
        let before = gradient.force_contiguous()?;
        let width = output.dim(D::Minus1)?;
        let output = ops::numbers(output)?;
        ops::write(&before, |gradient| {
            ops::vectorized(
                #[inline(always)]
                || ops::activation::apply_gradient(*self, &output, gradient, width),
            );
            Ok(())
        })?;
        Ok(before)
    }

    fn fused_from_input(&self, input: &Tensor, gradient: &Tensor) -> Result<Tensor> {
        let input = input.contiguous()?;
        if *self == Glu {
            let gradient = gradient.contiguous()?;
            let width = input.dim(D::Minus1)?;
            let (x, g) = (ops::numbers(&input)?, ops::numbers(&gradient)?);
            let before = ops::activation::glu_gradient(&x, &g, width);
            return Ok(Tensor::from_vec(before, input.shape(), input.device())?);
        }
        let before = gradient.force_contiguous()?;
        let input = ops::numbers(&input)?;
        ops::write(&before, |gradient| {
            ops::vectorized(
                #[inline(always)]
                || ops::derivative::apply(*self, &input, gradient),
            );
            Ok(())
        })?;
        Ok(before)
    }

    /// By candle's autograd of `call`, so that its formula stands once.
    fn differentiated(&self, input: &Tensor, gradient: &Tensor) -> Result<Tensor> {
        let x = Var::from_tensor(&input.detach())?;
        let along = (self.call(&x)? * gradient.detach())?.sum_all()?;
        match along.backward()?.get(&x) {
            Some(before) => Ok(before.detach()),
            None => Ok(x.zeros_like()?),
        }
    }

    /// Whether the gradient is not told from the output alone. Where the fused operations do not
    /// apply that is so for all but the most frequent.
    pub(crate) fn needs_input(&self, fused: bool) -> bool {
        match self {
            Linear | Sigmoid | Relu | Tanh | Softmax => false,
            // With a negative slope, positive outputs come from both sides of 0.
            LeakyRelu { negative_slope } => *negative_slope < 0.0,
            Elu { alpha } => *alpha < 0.0,
            HardTanh
            | TanhShrink
            | ReluWith { .. }
            | Gelu { .. }
            | Silu
            | HardSilu
            | Mish
            | Glu
            // 1 - |y| has no digits left far from 0.
            | Softsign
            | HardShrink { .. }
            | Threshold { .. } => true,
            _ => !fused,
        }
    }

    /// The width of the output's last axis for inputs of `width`.
    pub(crate) fn output_width(&self, width: usize) -> Result<usize> {
        match self {
            Glu if !width.is_multiple_of(2) => Err(Error::argument(
                "glu",
                "an even width",
                width,
                "it halves the last axis: give the layer before it an even number of units",
            )),
            Glu => Ok(width / 2),
            _ => Ok(width),
        }
    }

    /// Whether it works along the last axis, which samples must then have.
    pub(crate) fn works_along_axis(&self) -> bool {
        matches!(self, Softmax | LogSoftmax | Sparsemax | Glu)
    }
}
