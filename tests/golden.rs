//! Keras's own numbers: `tests/golden/generate` made them.
//!
//! Every part is made from the configuration that Keras wrote for it. What is compared is noted as
//! well, by the part's class, for the table in docs/parity.md, which `parity.rs` writes.

#[path = "golden/activations.rs"]
mod activations;
#[path = "golden/callbacks.rs"]
mod callbacks;
#[path = "golden/constraints.rs"]
mod constraints;
#[path = "golden/initializers.rs"]
mod initializers;
#[path = "golden/layers.rs"]
mod layers;
#[path = "golden/losses.rs"]
mod losses;
#[path = "golden/metrics.rs"]
mod metrics;
#[path = "golden/optimizers.rs"]
mod optimizers;
#[path = "golden/parity.rs"]
mod parity;
#[path = "golden/programs.rs"]
mod programs;
#[path = "golden/regularizers.rs"]
mod regularizers;
#[path = "golden/schedules.rs"]
mod schedules;
#[path = "golden/walkthrough.rs"]
mod walkthrough;

mod common;

use candle_keras::{
    initializers::Initializer,
    layers::{Layer, Pass},
    prelude::*,
    seed::Stream,
    weights::WeightBuilder,
};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::Value;
use std::collections::BTreeMap;

/// A tensor as the generator writes it.
#[derive(Deserialize, Clone)]
struct Values {
    data: Vec<f32>,
    shape: Vec<usize>,
}

impl Values {
    fn tensor(&self) -> Tensor {
        Tensor::from_vec(self.data.clone(), &self.shape[..], &Device::Cpu).unwrap()
    }
}

impl std::fmt::Debug for Values {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "values of shape {:?}", self.shape)
    }
}

impl Initializer for Values {
    fn values(&self, _: &[usize], _: &mut Stream) -> candle_keras::Result<Vec<f32>> {
        Ok(self.data.clone())
    }
}

/// Outputs that are its weight, whatever goes in: the gradient of what comes after it is the
/// weight's.
#[derive(Debug)]
struct GiveOut(Values);

impl Layer for GiveOut {
    fn class_name(&self) -> &str {
        "GiveOut"
    }

    fn build(&mut self, _: &[usize], weights: &mut WeightBuilder<'_>) -> candle_keras::Result<()> {
        weights.add("outputs", &self.0.shape, &self.0)
    }

    fn output_shape(&self, _: &[usize]) -> candle_keras::Result<Vec<usize>> {
        Ok(self.0.shape[1..].to_vec())
    }

    fn forward(&self, _: &Tensor, pass: &mut Pass<'_>) -> candle_keras::Result<Tensor> {
        Ok(pass.weight("outputs")?.clone())
    }
}

/// The contents of a golden file.
fn load<T: DeserializeOwned>(file: &str) -> T {
    let path = format!("{}/tests/golden/{file}.json", env!("CARGO_MANIFEST_DIR"));
    let bytes = std::fs::read(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
    serde_json::from_slice(&bytes).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// A part from the configuration that Keras wrote for it.
fn part<T: DeserializeOwned>(name: &str, object: &Value) -> T {
    T::deserialize(object).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// The class of an object that Keras wrote.
fn class_of(object: &Value) -> &str {
    object["class_name"].as_str().unwrap()
}

fn flat(tensor: &Tensor) -> Vec<f32> {
    let tensor = tensor.to_dtype(DType::F32).unwrap();
    tensor.flatten_all().unwrap().to_vec1().unwrap()
}

/// How far numbers may be from Keras's: `relative` to their size, or `absolute`.
#[derive(Clone, Copy)]
struct Tolerance {
    relative: f32,
    absolute: f32,
}

/// One operation in f32.
const OPERATION: Tolerance = Tolerance {
    relative: 1e-6,
    absolute: 1e-7,
};

/// What was compared with Keras, by kind and class.
#[derive(Default)]
struct Report {
    greatest: BTreeMap<(&'static str, String), Compared>,
    /// Numbers that are too far from Keras's.
    failures: Vec<String>,
}

impl Drop for Report {
    /// Fails the test, once all was compared.
    fn drop(&mut self) {
        if !self.failures.is_empty() && !std::thread::panicking() {
            let shown = self.failures.iter().take(40).cloned().collect::<Vec<_>>();
            panic!(
                "{} numbers differ:\n{}",
                self.failures.len(),
                shown.join("\n")
            );
        }
    }
}

/// The comparison of a class.
#[derive(Default)]
struct Compared {
    /// How many numbers were compared.
    count: usize,
    /// The greatest difference, relative to the number; for numbers so small that the absolute
    /// tolerance counts, to that over the relative one.
    greatest: f32,
    /// The greatest relative difference that a case allows.
    allowed: f32,
}

impl Report {
    /// Compares numbers of a class with Keras's, and notes the greatest difference.
    fn compare(
        &mut self,
        (kind, class_name): (&'static str, &str),
        what: &str,
        got: &[f32],
        expected: &[f32],
        Tolerance { relative, absolute }: Tolerance,
    ) {
        assert_eq!(got.len(), expected.len(), "{class_name} {what}");
        let compared = self
            .greatest
            .entry((kind, class_name.to_string()))
            .or_default();
        compared.count += got.len();
        compared.allowed = compared.allowed.max(relative);
        for (index, (got, expected)) in got.iter().zip(expected).enumerate() {
            let difference = (got - expected).abs();
            let allowed = absolute + relative * expected.abs();
            let both_nan = got.is_nan() && expected.is_nan();
            if !(difference <= allowed || got == expected || both_nan) {
                self.failures.push(format!(
                    "{class_name} {what}[{index}]: got {got:e}, Keras has {expected:e}, \
                     {allowed:e} allowed"
                ));
            }
            if difference > 0.0 {
                compared.greatest = compared.greatest.max(difference / allowed * relative);
            }
        }
    }
}
