//! A layer without a model, for tests: as it runs in a training step, or outside.

use super::{Forward, Layer, Pass};
use crate::{
    Result,
    ops::all_finite,
    seed::Stream,
    weights::{Weight, WeightBuilder},
};
use candle_core::{DType, Device, Tensor};

/// A built layer.
pub(super) struct Alone {
    pub(super) layer: Box<dyn Layer>,
    pub(super) weights: Vec<Weight>,
    dtype: DType,
}

/// What a layer gives for a batch.
pub(super) struct Run {
    pub(super) outputs: Tensor,
    /// With respect to the inputs, then to every trainable weight.
    pub(super) gradients: Vec<Tensor>,
}

impl Alone {
    /// The layer named `layer`, built for samples of `input_shape`.
    pub(super) fn new(
        layer: impl Into<Box<dyn Layer>>,
        input_shape: &[usize],
        dtype: DType,
    ) -> Result<Self> {
        let mut layer = layer.into();
        let mut builder = WeightBuilder {
            layer: "layer",
            device: &Device::Cpu,
            dtype,
            seed: 1,
            first: crate::weights::First::Drawn,
            weights: Vec::new(),
        };
        layer.build(input_shape, &mut builder)?;
        Ok(Self {
            layer,
            weights: builder.weights,
            dtype,
        })
    }

    pub(super) fn names(&self) -> Vec<&str> {
        self.weights.iter().map(Weight::name).collect()
    }

    pub(super) fn weight(&self, name: &str) -> Vec<f64> {
        let weight = self.weights.iter().find(|weight| weight.name() == name);
        flat(weight.unwrap().value())
    }

    /// Gives every weight numbers from 0.5 to 1.5 of its own.
    pub(super) fn randomize(&self) {
        for weight in &self.weights {
            let numbers = numbers(weight.name(), weight.value().dims());
            weight.set(&numbers.affine(0.5, 1.0).unwrap()).unwrap();
        }
    }

    /// A pass in training step `step`, or outside training.
    pub(super) fn pass(&self, step: Option<u64>) -> Pass<'_> {
        Pass {
            layer: "layer",
            weights: &self.weights,
            trainable: self.layer.is_trainable(),
            tracked: false,
            step,
            seed: 1,
            without_activation: false,
            mask: None,
            kept: Vec::new(),
            updates: true,
            streams: 0,
        }
    }

    pub(super) fn outputs(&self, x: &Tensor, step: Option<u64>) -> Result<Tensor> {
        let x = x.to_dtype(self.dtype)?;
        self.layer.forward(&x, &mut self.pass(step))
    }

    /// The outputs and the gradients of Σ outputs·c by the layer's own backward.
    pub(super) fn run(&self, x: &Tensor, c: &Tensor, step: Option<u64>) -> Result<Run> {
        let (x, c) = (x.to_dtype(self.dtype)?, c.to_dtype(self.dtype)?);
        let mut pass = self.pass(step);
        pass.updates = false;
        let outputs = self.layer.forward(&x, &mut pass)?;
        let step = Forward {
            kept: &pass.kept,
            weights: &self.weights,
            ..Forward::new(&x, &outputs)
        };
        let gradients = self.layer.backward().unwrap().gradients(&step, &c)?;
        let inputs = gradients.inputs.into_iter();
        Ok(Run {
            gradients: inputs.chain(gradients.weights).collect(),
            outputs,
        })
    }

    /// Holds the layer's own gradients against central differences, in f64.
    pub(super) fn check_gradients(&self, x: &Tensor, step: Option<u64>) {
        assert_eq!(self.dtype, DType::F64);
        let x = x.to_dtype(DType::F64).unwrap();
        let shape = self.layer.output_shape(&x.dims()[1..]).unwrap();
        let c = numbers("c", &[&[x.dims()[0]], &shape[..]].concat());
        let c = c.to_dtype(DType::F64).unwrap();
        let sum = |x: &Tensor| -> f64 {
            let run = self.run(x, &c, step).unwrap();
            let terms = (run.outputs * &c).unwrap();
            terms.sum_all().unwrap().to_scalar().unwrap()
        };
        let run = self.run(&x, &c, step).unwrap();
        let expected = differences(&x, |moved| sum(moved));
        assert_close("inputs", &run.gradients[0], &expected);
        let learning: Vec<_> = self.weights.iter().filter(|w| w.learns()).collect();
        assert_eq!(learning.len() + 1, run.gradients.len());
        for (weight, gradient) in learning.into_iter().zip(&run.gradients[1..]) {
            let start = weight.copy().unwrap();
            let expected = differences(&start, |moved| {
                weight.set(moved).unwrap();
                sum(&x)
            });
            weight.set(&start).unwrap();
            assert_eq!(gradient.dims(), start.dims());
            assert_close(weight.name(), gradient, &expected);
        }
    }
}

/// How `function` changes with each number of a tensor.
fn differences(at: &Tensor, function: impl Fn(&Tensor) -> f64) -> Vec<f64> {
    // An error of step², about 1e-10, and one of 1e-16/step from rounding.
    const STEP: f64 = 1e-5;
    let start = flat(at);
    let moved = |index: usize, by: f64| {
        let mut numbers = start.clone();
        numbers[index] += by;
        let moved = Tensor::from_vec(numbers, at.shape(), &Device::Cpu).unwrap();
        function(&moved)
    };
    let slope = |index| (moved(index, STEP) - moved(index, -STEP)) / (2.0 * STEP);
    (0..start.len()).map(slope).collect()
}

fn assert_close(what: &str, got: &Tensor, expected: &[f64]) {
    let got = flat(got);
    assert_eq!(got.len(), expected.len(), "{what}");
    for (index, (got, expected)) in got.iter().zip(expected).enumerate() {
        assert!(
            (got - expected).abs() <= 1e-7 * (1.0 + expected.abs()),
            "{what}[{index}]: {got}, by differences {expected}"
        );
    }
}

/// Numbers from -1 to 1 that depend on `name` alone.
pub(super) fn numbers(name: &str, dims: &[usize]) -> Tensor {
    let mut stream = Stream::new(1, name, 0);
    let count: usize = dims.iter().product();
    let values: Vec<f32> = (0..count).map(|_| 2.0 * stream.uniform() - 1.0).collect();
    Tensor::from_vec(values, dims, &Device::Cpu).unwrap()
}

pub(super) fn flat(tensor: &Tensor) -> Vec<f64> {
    assert!(all_finite(tensor).unwrap());
    let tensor = tensor.to_dtype(DType::F64).unwrap();
    tensor.flatten_all().unwrap().to_vec1().unwrap()
}

/// The layer's outputs and gradients in f32, by its fused operations, against those in f64, by its
/// plain ones, within `ROUNDING` of the greatest number of each.
pub(super) fn fused_as_plain(
    what: &str,
    make: impl Fn() -> Box<dyn Layer>,
    x: &Tensor,
    step: Option<u64>,
) {
    /// A few roundings of 2⁻²⁴ in each of about ten operations.
    const ROUNDING: f64 = 2e-6;
    let [fused, plain] = [DType::F32, DType::F64].map(|dtype| {
        let alone = Alone::new(make(), &x.dims()[1..], dtype).unwrap();
        alone.randomize();
        let shape = alone.layer.output_shape(&x.dims()[1..]).unwrap();
        let c = numbers("c", &[&[x.dims()[0]], &shape[..]].concat());
        let run = alone.run(x, &c, step).unwrap();
        [vec![run.outputs], run.gradients].concat()
    });
    assert_eq!(fused.len(), plain.len(), "{what}");
    for (index, (fused, plain)) in fused.iter().zip(&plain).enumerate() {
        assert_eq!(fused.dims(), plain.dims(), "{what}");
        let (fused, plain) = (flat(fused), flat(plain));
        let greatest = plain.iter().fold(0f64, |all, x| all.max(x.abs()));
        for (got, expected) in fused.iter().zip(&plain) {
            assert!(
                (got - expected).abs() <= ROUNDING * (1.0 + greatest),
                "{what}, tensor {index}: {got}, {expected}, greatest {greatest}"
            );
        }
    }
}
