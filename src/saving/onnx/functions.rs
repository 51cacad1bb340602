//! Activations as operators.
//!
//! An operator of ONNX's stands where onnxruntime's is as exact as ours for every input; else the
//! formula does. `Sigmoid` of onnxruntime has few right digits where it is near 0: a gated unit would
//! multiply that by its other half.

use super::graph::{Attribute, FLOAT, Value};
use crate::{
    Result,
    activations::ActivationFunction::{
        self, Celu, Elu, Exponential, Gelu, Glu, HardShrink, HardSigmoid, HardSilu, HardTanh,
        LeakyRelu, Linear, LogSigmoid, LogSoftmax, Mish, Relu, Relu6, ReluWith, Selu, Sigmoid,
        Silu, SoftShrink, Softmax, Softplus, Softsign, SparsePlus, SparseSigmoid, Sparsemax,
        Squareplus, Tanh, TanhShrink, Threshold,
    },
    activations::{SELU_ALPHA, SELU_SCALE},
};
use candle_core::{DType, Device, Tensor};
use std::f64::consts::{FRAC_1_SQRT_2, FRAC_2_SQRT_PI, SQRT_2};

/// A function of values whose last axis has `width` numbers.
pub(super) fn call(function: ActivationFunction, x: Value<'_>, width: usize) -> Result<Value<'_>> {
    let graph = x.graph();
    let number = |number| graph.number(number);
    Ok(match function {
        Linear => x,
        Sigmoid => x.apply("Sigmoid"),
        HardSigmoid => hard_sigmoid(x),
        LogSigmoid => x.apply("Neg").apply("Softplus").apply("Neg"),
        SparseSigmoid => sparse_sigmoid(x),
        Tanh => x.apply("Tanh"),
        HardTanh => x.clip(-1.0, 1.0),
        TanhShrink => x - x.apply("Tanh"),
        Relu => x.apply("Relu"),
        Relu6 => x.clip(0.0, 6.0),
        ReluWith {
            negative_slope,
            max_value,
            threshold,
        } => relu_with(x, negative_slope, max_value, threshold),
        LeakyRelu { negative_slope } => with_alpha(x, "LeakyRelu", negative_slope),
        Elu { alpha } => with_alpha(x, "Elu", alpha),
        Celu { alpha } => with_alpha(x, "Celu", alpha),
        Selu => {
            let attributes = [
                ("alpha", Attribute::Float(SELU_ALPHA)),
                ("gamma", Attribute::Float(SELU_SCALE)),
            ];
            x.apply_with("Selu", &[], &attributes)
        }
        Gelu { approximate: false } => {
            // x·Φ(x)
            let normal = ((x * FRAC_1_SQRT_2).apply("Erf") + 1.0) * 0.5;
            x * normal
        }
        Gelu { approximate: true } => {
            // (1 + tanh u) / 2 = sigmoid(2u), with u = √(2/π)·(x + 0.044715·x³)
            let rate = SQRT_2 * FRAC_2_SQRT_PI;
            gated(x, x * (x * x * (0.044_715 * rate) + rate))
        }
        Silu => gated(x, x),
        HardSilu => x * hard_sigmoid(x),
        Mish => x * x.apply("Softplus").apply("Tanh"),
        Glu => {
            let half = (width / 2) as i64;
            let halves = [x, graph.lengths([half, half])];
            let last = [("axis", Attribute::Int(-1))];
            let [a, b] = graph.operator("Split", &halves, &last);
            gated(a, b)
        }
        Softplus => x.apply("Softplus"),
        Softsign => x.apply("Softsign"),
        SparsePlus => {
            let bend = sparse_sigmoid(x);
            x.at_least(1.0).choose(x, bend * bend)
        }
        Squareplus { b: 0.0 } => x.apply("Relu"),
        Squareplus { b } => {
            // (√(x² + b) + |x|) / 2, and for x < 0 its counterpart, of which it is b/4 apart.
            let far = ((x * x + b).apply("Sqrt") + x.apply("Abs")) * 0.5;
            x.at_least(0.0).choose(far, number(b / 4.0) / far)
        }
        SoftShrink { threshold } => {
            let (above, below) = (x - threshold, x + threshold);
            let below = x.apply("Neg").above(threshold).choose(below, number(0.0));
            x.above(threshold).choose(above, below)
        }
        HardShrink { threshold } => x.apply("Abs").above(threshold).choose(x, number(0.0)),
        Threshold {
            threshold,
            default_value,
        } => x.above(threshold).choose(x, number(default_value)),
        Exponential => x.apply("Exp"),
        Softmax => along_last(x, "Softmax"),
        LogSoftmax => along_last(x, "LogSoftmax"),
        Sparsemax => sparsemax(x, width)?,
    })
}

fn along_last<'g>(x: Value<'g>, kind: &'static str) -> Value<'g> {
    x.apply_with(kind, &[], &[("axis", Attribute::Int(-1))])
}

fn with_alpha<'g>(x: Value<'g>, kind: &'static str, alpha: f64) -> Value<'g> {
    x.apply_with(kind, &[], &[("alpha", Attribute::Float(alpha))])
}

/// a·sigmoid(b) = a / (1 + e⁻ᵇ)
fn gated<'g>(a: Value<'g>, b: Value<'g>) -> Value<'g> {
    a / (b.apply("Neg").apply("Exp") + 1.0)
}

fn hard_sigmoid(x: Value<'_>) -> Value<'_> {
    (x + 3.0).clip(0.0, 6.0) / 6.0
}

fn sparse_sigmoid(x: Value<'_>) -> Value<'_> {
    ((x + 1.0) * 0.5).clip(0.0, 1.0)
}

fn relu_with(
    x: Value<'_>,
    negative_slope: f64,
    max_value: Option<f64>,
    threshold: f64,
) -> Value<'_> {
    if max_value.is_none() && threshold == 0.0 {
        return with_alpha(x, "LeakyRelu", negative_slope);
    }
    let above = x.above(threshold).choose(x, x.graph().number(0.0));
    let above = match max_value {
        Some(greatest) => above.clip(0.0, greatest),
        None => above,
    };
    if negative_slope == 0.0 {
        return above;
    }
    let below = (x - threshold).apply_with("Min", &[x.graph().number(0.0)], &[]);
    above + below * negative_slope
}

/// As `plain` computes it: z₁ ≥ z₂ ≥ .. stay as long as 1 + k·z_k > Σ z_j for j up to k.
fn sparsemax<'g>(x: Value<'g>, width: usize) -> Result<Value<'g>> {
    let graph = x.graph();
    let last = ("axis", Attribute::Int(-1));
    let greatest = [
        ("axes", Attribute::Ints(vec![-1])),
        ("keepdims", Attribute::Int(1)),
    ];
    let x = x - x.apply_with("ReduceMax", &[], &greatest);
    let [sorted, _] = graph.operator(
        "TopK",
        &[x, graph.lengths([width as i64])],
        std::slice::from_ref(&last),
    );
    let sums = sorted.apply_with("CumSum", &[graph.lengths([-1])], &[]);
    let ranks = Tensor::arange(1u32, width as u32 + 1, &Device::Cpu)?;
    let ranks = graph.numbers(&ranks.to_dtype(DType::F32)?);
    let stays = (sorted * ranks + 1.0)
        .apply_with("Greater", &[sums], &[])
        .cast(FLOAT);
    let sum = |value: Value<'g>| value.sum([-1]);
    let threshold = (sum(sorted * stays) - 1.0) / sum(stays);
    Ok((x - threshold).clip(0.0, 1.0))
}
