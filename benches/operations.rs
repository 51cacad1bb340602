//! Every fused operation beside its plain formulation in candle's operations, at the sizes of the
//! walkthrough's network (784-128-64-10, batches of 64) and larger ones.
//!
//!     cargo bench --bench operations
//!
//! `fused` is what the crate does with f32 in the CPU's memory, `plain` what it does elsewhere. Both
//! go through the public interface, so that `fused` outputs and gradients hold more work than
//! the operation: they copy the batch first.

mod common;

use candle_core::Var;
use candle_keras::{
    activations::ActivationFunction,
    layers::{BatchNormalization, Forward, Layer},
    losses::Loss,
    optimizers::{Optimizer, Slot, Step},
    prelude::*,
    seed::Stream,
    weights::Weight,
};
use common::{classes, images, noise, numbers};
use divan::{Bencher, counter::ItemsCount};
use std::hint::black_box;

fn main() {
    divan::main();
}

const FUNCTIONS: [ActivationFunction; 6] = [
    Sigmoid,
    Relu,
    Tanh,
    LeakyRelu {
        negative_slope: 0.2,
    },
    Elu { alpha: 1.0 },
    Softmax,
];

/// The shape of what activations work on, in the fastest caches.
const OUTPUTS: [usize; 2] = [64, 256];

/// y = f(x) for x of `OUTPUTS`.
#[divan::bench_group(sample_count = 50)]
mod activation {
    use super::*;

    #[divan::bench(args = FUNCTIONS)]
    fn fused(bencher: Bencher, function: ActivationFunction) {
        let x = numbers(&OUTPUTS, "x");
        let model = Sequential::new()
            .add(Input::new(OUTPUTS[1]))
            .add(Activation::new(function))
            .build(&Device::Cpu)
            .unwrap();
        bencher.counter(ItemsCount::new(x.elem_count())).bench(|| {
            let options = Predict::new().batch_size(OUTPUTS[0]).verbose(0);
            black_box(model.predict_with(&x, options).unwrap())
        });
    }

    #[divan::bench(args = FUNCTIONS)]
    fn plain(bencher: Bencher, function: ActivationFunction) {
        let x = numbers(&OUTPUTS, "x");
        bencher
            .counter(ItemsCount::new(x.elem_count()))
            .bench(|| black_box(function.call(&x).unwrap()));
    }
}

/// The gradient before the activation, from that after it and the outputs.
#[divan::bench_group(sample_count = 50)]
mod activation_gradient {
    use super::*;

    #[divan::bench(args = FUNCTIONS)]
    fn fused(bencher: Bencher, function: ActivationFunction) {
        let (x, gradient) = (numbers(&OUTPUTS, "x"), numbers(&OUTPUTS, "gradient"));
        let y = function.call(&x).unwrap();
        let layer: Box<dyn Layer> = Activation::new(function).into();
        let backward = layer.backward().unwrap();
        bencher
            .counter(ItemsCount::new(x.elem_count()))
            .bench_local(|| {
                let step = Forward::new(&x, &y);
                black_box(backward.gradients(&step, &gradient).unwrap())
            });
    }

    /// The outputs as well, which leave candle's graph.
    #[divan::bench(args = FUNCTIONS)]
    fn plain(bencher: Bencher, function: ActivationFunction) {
        let (x, gradient) = (numbers(&OUTPUTS, "x"), numbers(&OUTPUTS, "gradient"));
        let x = Var::from_tensor(&x).unwrap();
        bencher.counter(ItemsCount::new(x.elem_count())).bench(|| {
            let along = (function.call(&x).unwrap() * &gradient).unwrap();
            black_box(along.sum_all().unwrap().backward().unwrap())
        });
    }
}

#[derive(Debug, Clone, Copy)]
enum Which {
    MeanSquaredError,
    Binary,
    Categorical,
    Sparse,
}

const LOSSES: [Which; 4] = [
    Which::MeanSquaredError,
    Which::Binary,
    Which::Categorical,
    Which::Sparse,
];

impl Which {
    /// The loss, with targets and outputs of 256 samples of 10.
    fn with_data(self) -> (Box<dyn Loss>, Tensor, Tensor) {
        let outputs = numbers(&[256, 10], "outputs");
        let labels = classes(256);
        let one_hot = to_categorical(&labels, 10).unwrap();
        let binary = outputs.zeros_like().unwrap();
        match self {
            Self::MeanSquaredError => (MeanSquaredError::new().into(), one_hot, outputs),
            Self::Binary => (
                BinaryCrossentropy::new().from_logits().into(),
                binary,
                outputs,
            ),
            Self::Categorical => (
                CategoricalCrossentropy::new().from_logits().into(),
                one_hot,
                outputs,
            ),
            Self::Sparse => {
                let labels = labels.to_dtype(DType::F32).unwrap();
                let loss = SparseCategoricalCrossentropy::new().from_logits();
                (loss.into(), labels, outputs)
            }
        }
    }
}

/// Every sample's loss and the outputs' gradient.
#[divan::bench_group(sample_count = 50)]
mod loss {
    use super::*;

    #[divan::bench(args = LOSSES)]
    fn fused(bencher: Bencher, loss: Which) {
        let (loss, y_true, y_pred) = loss.with_data();
        bencher.bench(|| {
            let both = loss.losses_and_gradient(&y_true, &y_pred).unwrap();
            black_box(both.expect("the loss has a gradient of its own"))
        });
    }

    #[divan::bench(args = LOSSES)]
    fn plain(bencher: Bencher, loss: Which) {
        let (loss, y_true, y_pred) = loss.with_data();
        let y_pred = Var::from_tensor(&y_pred).unwrap();
        bencher.bench(|| {
            let losses = loss.call(&y_true, &y_pred).unwrap();
            black_box(losses.sum_all().unwrap().backward().unwrap())
        });
    }

    /// Without a gradient, as an evaluation needs them.
    #[divan::bench(args = LOSSES)]
    fn losses_alone(bencher: Bencher, loss: Which) {
        let (loss, y_true, y_pred) = loss.with_data();
        bencher.bench(|| black_box(loss.call(&y_true, &y_pred).unwrap()));
    }
}

#[derive(Debug, Clone, Copy)]
enum Rule {
    Sgd,
    Momentum,
    Nesterov,
    Adadelta,
    Adagrad,
    Adam,
    AdamAmsgrad,
    AdamW,
    Adamax,
    Ftrl,
    Lion,
    Nadam,
    RMSprop,
    RMSpropCentered,
}

/// Every optimizer that updates each number by itself; Adafactor, Lamb and Muon look at whole
/// weights.
const RULES: [Rule; 14] = [
    Rule::Sgd,
    Rule::Momentum,
    Rule::Nesterov,
    Rule::Adadelta,
    Rule::Adagrad,
    Rule::Adam,
    Rule::AdamAmsgrad,
    Rule::AdamW,
    Rule::Adamax,
    Rule::Ftrl,
    Rule::Lion,
    Rule::Nadam,
    Rule::RMSprop,
    Rule::RMSpropCentered,
];

impl Rule {
    fn optimizer(self) -> Box<dyn Optimizer> {
        let rate = 0.001;
        match self {
            Self::Sgd => Sgd::new(rate).into(),
            Self::Momentum => Sgd::new(rate).momentum(0.9).into(),
            Self::Nesterov => Sgd::new(rate).momentum(0.9).nesterov(true).into(),
            Self::Adadelta => Adadelta::new(rate).into(),
            Self::Adagrad => Adagrad::new(rate).into(),
            Self::Adam => Adam::new(rate).into(),
            Self::AdamAmsgrad => Adam::new(rate).amsgrad(true).into(),
            Self::AdamW => AdamW::new(rate).into(),
            Self::Adamax => Adamax::new(rate).into(),
            Self::Ftrl => Ftrl::new(rate).into(),
            Self::Lion => Lion::new(rate).into(),
            Self::Nadam => Nadam::new(rate).into(),
            Self::RMSprop => RMSprop::new(rate).into(),
            Self::RMSpropCentered => RMSprop::new(rate).centered(true).into(),
        }
    }
}

/// The update of the walkthrough's first kernel by a gradient that is given, on one thread.
#[divan::bench_group(sample_count = 50)]
mod optimizer {
    use super::*;

    const KERNEL: [usize; 2] = [784, 128];

    const STEP: Step = Step {
        number: 1,
        learning_rate: 1e-3,
    };

    fn kernel() -> Weight {
        Weight::new("dense/kernel", &numbers(&KERNEL, "weight")).unwrap()
    }

    #[divan::bench(args = RULES)]
    fn fused(bencher: Bencher, rule: Rule) {
        let optimizer = rule.optimizer();
        let rule = optimizer
            .elementwise(STEP)
            .expect("the rule works on parts");
        let flat = |name| -> Vec<f32> {
            let numbers = numbers(&KERNEL, name).flatten_all().unwrap();
            numbers.to_vec1().unwrap()
        };
        let (mut weight, gradient) = (flat("weight"), flat("gradient"));
        let count = optimizer.slots(&kernel()).len();
        let mut slots = vec![vec![0.0; weight.len()]; count];
        bencher
            .counter(ItemsCount::new(weight.len()))
            .bench_local(|| {
                let mut slots: Vec<&mut [f32]> = slots.iter_mut().map(Vec::as_mut_slice).collect();
                rule(&mut weight, &gradient, &mut slots);
                black_box(&mut weight);
            });
    }

    #[divan::bench(args = RULES)]
    fn plain(bencher: Bencher, rule: Rule) {
        let optimizer = rule.optimizer();
        let weight = kernel();
        let gradient = numbers(&KERNEL, "gradient");
        let slot = |_: Slot| Var::zeros(&KERNEL, DType::F32, &Device::Cpu).unwrap();
        let slots: Vec<Var> = optimizer.slots(&weight).into_iter().map(slot).collect();
        bencher
            .counter(ItemsCount::new(weight.count()))
            .bench(|| optimizer.update(STEP, &weight, &gradient, &slots).unwrap());
    }
}

/// Inputs of 784 features: bytes, with the factor that makes them 0 to 1.
#[derive(Debug, Clone, Copy)]
enum Samples {
    Dense,
    MostlyZero,
}

const LAYERS: [(Samples, usize); 4] = [
    (Samples::Dense, 64),
    (Samples::MostlyZero, 64),
    (Samples::Dense, 256),
    (Samples::MostlyZero, 256),
];

impl Samples {
    fn numbers(self, count: usize) -> Tensor {
        let bytes = match self {
            Self::Dense => noise(count),
            Self::MostlyZero => images(count),
        };
        (bytes.to_dtype(DType::F32).unwrap() / 255.0).unwrap()
    }
}

/// A dense layer of 128 units with relu.
#[divan::bench_group(sample_count = 50)]
mod dense {
    use super::*;

    fn model() -> Sequential {
        let mut model = Sequential::new()
            .seed(1)
            .add(Input::new(784))
            .add(Dense::new(128).activation(Relu))
            .build(&Device::Cpu)
            .unwrap();
        let optimizer = Sgd::new(1e-4).momentum(0.9);
        model
            .compile(optimizer, MeanSquaredError::new(), ())
            .unwrap();
        model
    }

    #[divan::bench(args = LAYERS)]
    fn forward_fused(bencher: Bencher, (samples, count): (Samples, usize)) {
        let (x, model) = (samples.numbers(count), model());
        bencher.counter(ItemsCount::new(count)).bench(|| {
            let options = Predict::new().batch_size(count).verbose(0);
            black_box(model.predict_with(&x, options).unwrap())
        });
    }

    #[divan::bench(args = LAYERS)]
    fn forward_plain(bencher: Bencher, (samples, count): (Samples, usize)) {
        let (x, model) = (samples.numbers(count), model());
        let weight = |path| model.weight(path).unwrap();
        let (kernel, bias) = (weight("dense/kernel"), weight("dense/bias"));
        let forward = || {
            let z = x.matmul(&kernel)?.broadcast_add(&bias)?;
            Relu.call(&z)
        };
        bencher
            .counter(ItemsCount::new(count))
            .bench(|| black_box(forward().unwrap()));
    }

    /// Outputs, mean squared error, gradients and update.
    #[divan::bench(args = LAYERS)]
    fn step_fused(bencher: Bencher, (samples, count): (Samples, usize)) {
        let (x, mut model) = (samples.numbers(count), model());
        let y = numbers(&[count, 128], "y");
        // Ten steps: before and after them `fit` copies and looks through the weights.
        let bench = bencher.counter(ItemsCount::new(10 * count));
        bench.bench_local(|| {
            let options = Fit::new().epochs(10).batch_size(count).verbose(0);
            black_box(model.fit(&x, &y, options).unwrap())
        });
    }

    #[divan::bench(args = LAYERS)]
    fn step_plain(bencher: Bencher, (samples, count): (Samples, usize)) {
        let (x, model) = (samples.numbers(count), model());
        let y = numbers(&[count, 128], "y");
        let weight = |path| Weight::new(path, &model.weight(path).unwrap()).unwrap();
        let weights = [weight("dense/kernel"), weight("dense/bias")];
        let optimizer = Sgd::new(1e-4).momentum(0.9);
        let slots = weights
            .each_ref()
            .map(|weight| [Var::from_tensor(&weight.value().zeros_like().unwrap()).unwrap()]);
        let number = Step {
            number: 1,
            learning_rate: 1e-4,
        };
        let step = || -> candle_keras::Result<()> {
            let [kernel, bias] = weights.each_ref().map(|weight| weight.variable());
            let z = x.matmul(kernel)?.broadcast_add(bias)?;
            let error = (Relu.call(&z)? - &y)?;
            let gradients = error.sqr()?.mean_all()?.backward()?;
            for (weight, slots) in weights.iter().zip(&slots) {
                let gradient = gradients.get(weight.variable());
                let gradient = gradient.expect("the loss depends on it");
                optimizer.update(number, weight, gradient, slots)?;
            }
            Ok(())
        };
        bencher.counter(ItemsCount::new(10 * count)).bench(|| {
            for _ in 0..10 {
                step().unwrap();
            }
        });
    }
}

/// Rows of channels: the walkthrough's hidden layer, a wider one, and an image's pixels.
const CHANNELS: [[usize; 2]; 3] = [[64, 128], [1024, 256], [16384, 16]];

/// A training step's outputs and gradients of two batch normalizations, of which the second gives the
/// first its gradient.
#[divan::bench_group(sample_count = 50)]
mod batch_normalization {
    use super::*;

    #[divan::bench(args = CHANNELS)]
    fn fused(bencher: Bencher, dims: [usize; 2]) {
        let (x, y) = (numbers(&dims, "x"), numbers(&dims, "y"));
        let mut model = Sequential::new()
            .add(Input::new(dims[1]))
            .add(BatchNormalization::new())
            .add(BatchNormalization::new())
            .build(&Device::Cpu)
            .unwrap();
        model
            .compile(Sgd::new(0.1), MeanSquaredError::new(), ())
            .unwrap();
        bencher
            .counter(ItemsCount::new(2 * x.elem_count()))
            .bench_local(|| black_box(model.gradients(&x, &y).unwrap()));
    }

    #[divan::bench(args = CHANNELS)]
    fn plain(bencher: Bencher, dims: [usize; 2]) {
        let (x, y) = (numbers(&dims, "x"), numbers(&dims, "y"));
        let weights = [1f32, 0.0, 1.0, 0.0].map(|value| {
            let weight = Tensor::full(value, dims[1], &Device::Cpu).unwrap();
            Var::from_tensor(&weight).unwrap()
        });
        let normalize = |x: &Tensor, gamma: &Var, beta: &Var| {
            let distances = x.broadcast_sub(&x.mean(0)?)?;
            let root = (distances.sqr()?.mean(0)? + 1e-3)?.sqrt()?;
            let normalized = distances.broadcast_div(&root)?;
            normalized.broadcast_mul(gamma)?.broadcast_add(beta)
        };
        let step = || -> candle_keras::Result<_> {
            let [gamma, beta, next_gamma, next_beta] = &weights;
            let hidden = normalize(&x, gamma, beta)?;
            let error = (normalize(&hidden, next_gamma, next_beta)? - &y)?;
            Ok(error.sqr()?.mean_all()?.backward()?)
        };
        bencher
            .counter(ItemsCount::new(2 * x.elem_count()))
            .bench_local(|| black_box(step().unwrap()));
    }
}

/// A dropout's outputs in a training step, with their mean squared error.
#[divan::bench_group(sample_count = 50)]
mod dropout {
    use super::*;

    #[divan::bench(args = CHANNELS)]
    fn fused(bencher: Bencher, dims: [usize; 2]) {
        let x = numbers(&dims, "x");
        let mut model = Sequential::new()
            .seed(1)
            .add(Input::new(dims[1]))
            .add(Dropout::new(0.1))
            .build(&Device::Cpu)
            .unwrap();
        model
            .compile(Sgd::new(0.1), MeanSquaredError::new(), ())
            .unwrap();
        bencher
            .counter(ItemsCount::new(x.elem_count()))
            .bench_local(|| black_box(model.gradients(&x, &x).unwrap()));
    }

    #[divan::bench(args = CHANNELS)]
    fn plain(bencher: Bencher, dims: [usize; 2]) {
        let x = numbers(&dims, "x");
        let step = || -> candle_keras::Result<_> {
            let mut stream = Stream::new(1, "dropout", 0);
            let mut factor = || {
                if stream.uniform() < 0.1 {
                    0.0
                } else {
                    1.0 / 0.9
                }
            };
            let mask: Vec<f32> = (0..x.elem_count()).map(|_| factor()).collect();
            let y = (&x * Tensor::from_vec(mask, &dims[..], &Device::Cpu)?)?;
            Ok((y - &x)?.sqr()?.mean_all()?)
        };
        bencher
            .counter(ItemsCount::new(x.elem_count()))
            .bench_local(|| black_box(step().unwrap()));
    }
}
