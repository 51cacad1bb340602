//! The walkthrough's network, 784-128-64-10, here and in a plain loop over candle-nn, on bytes of
//! MNIST's size, four fifths of them 0 as MNIST's are: steps, an epoch of 54,000 images, predictions
//! of 10,000 and of one, scores of 10,000. An epoch of images without zeros is here alone: `plain`
//! takes as long for the one as for the other.
//!
//!     cargo bench --bench walkthrough
//!
//! `plain` is what a careful user of candle writes: the same arithmetic, each batch gathered from
//! shuffled bytes and scaled, the loss from the logits, momentum by hand. It has gemm's AVX-512 too,
//! which the crate turns on for candle in the same program.

mod common;

use candle_core::{D, Var};
use candle_keras::{optimizers::Optimizer, prelude::*};
use candle_nn::{Linear as Affine, Module, VarBuilder, VarMap};
use common::{classes, images, noise};
use divan::{Bencher, counter::ItemsCount};
use std::hint::black_box;

const BATCH: usize = 64;

/// Batches that a step is measured with.
const BATCHES: [usize; 4] = [32, 64, 256, 1024];

/// Steps at a time: before and after them `fit` copies and looks through the weights.
const STEPS: usize = 20;

fn main() {
    divan::main();
}

/// Labels in one-hot rows.
fn targets(count: usize) -> Tensor {
    to_categorical(&classes(count), 10).unwrap()
}

mod keras {
    use super::*;

    fn model(optimizer: impl Into<Box<dyn Optimizer>>) -> Sequential {
        let mut model = Sequential::new()
            .add(Input::new(784))
            .add(Dense::new(128).activation(Relu))
            .add(Dense::new(64).activation(Relu))
            .add(Dense::new(10).activation(Softmax))
            .seed(1)
            .build(&Device::Cpu)
            .unwrap();
        model
            .compile(optimizer, CategoricalCrossentropy::new(), [Accuracy])
            .unwrap();
        model
    }

    fn sgd() -> Sgd {
        Sgd::new(0.01).momentum(0.9)
    }

    fn scaled(pixels: Tensor) -> Data {
        Data::from(pixels).scale(1.0 / 255.0).unwrap()
    }

    fn fit(bencher: Bencher, pixels: Tensor, batch_size: usize, mut model: Sequential) {
        let x = scaled(pixels);
        let y = targets(x.len());
        bencher.counter(ItemsCount::new(x.len())).bench_local(|| {
            let options = Fit::new().batch_size(batch_size).verbose(0);
            black_box(model.fit(&x, &y, options).unwrap())
        });
    }

    #[divan::bench(sample_count = 20, args = BATCHES)]
    fn steps_20(bencher: Bencher, batch_size: usize) {
        let pixels = images(STEPS * batch_size);
        fit(bencher, pixels, batch_size, model(sgd()));
    }

    #[divan::bench(sample_count = 20, args = BATCHES)]
    fn steps_20_of_adam(bencher: Bencher, batch_size: usize) {
        let pixels = images(STEPS * batch_size);
        fit(bencher, pixels, batch_size, model(Adam::new(0.001)));
    }

    #[divan::bench(sample_count = 5)]
    fn epoch_54000(bencher: Bencher) {
        fit(bencher, images(54_000), BATCH, model(sgd()));
    }

    #[divan::bench(sample_count = 5)]
    fn epoch_54000_without_zeros(bencher: Bencher) {
        fit(bencher, noise(54_000), BATCH, model(sgd()));
    }

    #[divan::bench(sample_count = 20, args = [32, 1000])]
    fn predict_10000(bencher: Bencher, batch_size: usize) {
        let (x, model) = (scaled(images(10_000)), model(sgd()));
        let predict = || {
            let options = Predict::new().batch_size(batch_size).verbose(0);
            black_box(model.predict_with(&x, options).unwrap())
        };
        bencher
            .counter(ItemsCount::new(10_000usize))
            .bench_local(predict);
    }

    #[divan::bench(sample_count = 20, args = [32, 1000])]
    fn evaluate_10000(bencher: Bencher, batch_size: usize) {
        let (x, y, model) = (scaled(images(10_000)), targets(10_000), model(sgd()));
        let evaluate = || {
            let options = Evaluate::new().batch_size(batch_size).verbose(0);
            black_box(model.evaluate_with(&x, &y, options).unwrap())
        };
        bencher
            .counter(ItemsCount::new(10_000usize))
            .bench_local(evaluate);
    }

    #[divan::bench]
    fn predict_1(bencher: Bencher) {
        let (x, model) = (scaled(images(1)), model(sgd()));
        bencher.bench_local(|| black_box(model.predict(&x).unwrap()));
    }
}

mod plain {
    use super::*;
    use candle_keras::seed::Stream;

    struct Network {
        variables: VarMap,
        layers: [Affine; 3],
        momenta: Vec<Tensor>,
    }

    impl Network {
        fn new() -> Self {
            let variables = VarMap::new();
            let builder = VarBuilder::from_varmap(&variables, DType::F32, &Device::Cpu);
            let layer =
                |inputs, units, name| candle_nn::linear(inputs, units, builder.pp(name)).unwrap();
            let layers = [
                layer(784, 128, "0"),
                layer(128, 64, "1"),
                layer(64, 10, "2"),
            ];
            let zeros = |variable: &Var| variable.zeros_like().unwrap().detach();
            let momenta = variables.all_vars().iter().map(zeros).collect();
            Self {
                variables,
                layers,
                momenta,
            }
        }

        fn logits(&self, x: &Tensor) -> candle_core::Result<Tensor> {
            let [first, second, third] = &self.layers;
            third.forward(&second.forward(&first.forward(x)?.relu()?)?.relu()?)
        }

        /// One step; gives how many of the batch were right, and the loss.
        fn step(&mut self, x: &Tensor, y: &Tensor) -> candle_core::Result<(f32, f32)> {
            let logits = self.logits(x)?;
            let log_probabilities = candle_nn::ops::log_softmax(&logits, D::Minus1)?;
            let loss = (log_probabilities * y)?.sum(D::Minus1)?.mean_all()?.neg()?;
            let gradients = loss.backward()?;
            for (variable, momentum) in self.variables.all_vars().iter().zip(&mut self.momenta) {
                if let Some(gradient) = gradients.get(variable) {
                    *momentum = ((&*momentum * 0.9)? - (gradient * 0.01)?)?;
                    variable.set(&(variable.as_tensor() + &*momentum)?.detach())?;
                }
            }
            let right = logits.argmax(D::Minus1)?.eq(&y.argmax(D::Minus1)?)?;
            let right = right.to_dtype(DType::F32)?.sum_all()?.to_scalar()?;
            Ok((right, loss.to_scalar()?))
        }

        fn epoch(
            &mut self,
            x: &Tensor,
            y: &Tensor,
            batch_size: usize,
            stream: &mut Stream,
        ) -> candle_core::Result<(f32, f32)> {
            let count = x.dim(0)?;
            let order = Tensor::new(stream.permutation(count), &Device::Cpu)?;
            let (mut right, mut loss) = (0.0, 0.0);
            for start in (0..count).step_by(batch_size) {
                let rows = order.narrow(0, start, batch_size.min(count - start))?;
                let x = (x.index_select(&rows, 0)?.to_dtype(DType::F32)? * (1.0 / 255.0))?;
                let step = self.step(&x, &y.index_select(&rows, 0)?)?;
                right += step.0;
                loss += step.1;
            }
            Ok((right / count as f32, loss))
        }
    }

    fn fit(bencher: Bencher, count: usize, batch_size: usize) {
        let (pixels, y) = (images(count), targets(count));
        let mut network = Network::new();
        let mut stream = Stream::new(1, "shuffle", 0);
        bencher.counter(ItemsCount::new(count)).bench_local(|| {
            let epoch = network.epoch(&pixels, &y, batch_size, &mut stream);
            black_box(epoch.unwrap())
        });
    }

    #[divan::bench(sample_count = 20, args = BATCHES)]
    fn steps_20(bencher: Bencher, batch_size: usize) {
        fit(bencher, STEPS * batch_size, batch_size);
    }

    #[divan::bench(sample_count = 5)]
    fn epoch_54000(bencher: Bencher) {
        fit(bencher, 54_000, BATCH);
    }

    #[divan::bench(sample_count = 20, args = [32, 1000])]
    fn predict_10000(bencher: Bencher, batch_size: usize) {
        let x = images(10_000);
        let network = Network::new();
        let predict = || -> candle_core::Result<Tensor> {
            let mut outputs = Vec::new();
            for start in (0..10_000).step_by(batch_size) {
                let x = x.narrow(0, start, batch_size.min(10_000 - start))?;
                let x = (x.to_dtype(DType::F32)? * (1.0 / 255.0))?;
                outputs.push(candle_nn::ops::softmax(&network.logits(&x)?, D::Minus1)?);
            }
            Tensor::cat(&outputs, 0)
        };
        bencher
            .counter(ItemsCount::new(10_000usize))
            .bench_local(|| black_box(predict().unwrap()));
    }

    #[divan::bench]
    fn predict_1(bencher: Bencher) {
        let x = images(1);
        let network = Network::new();
        let predict = || -> candle_core::Result<Tensor> {
            let x = (x.to_dtype(DType::F32)? * (1.0 / 255.0))?;
            candle_nn::ops::softmax(&network.logits(&x)?, D::Minus1)
        };
        bencher.bench_local(|| black_box(predict().unwrap()));
    }
}
