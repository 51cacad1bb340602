//! The walkthrough's network, 784-128-64-10, here and in a plain loop over candle-nn, on random
//! bytes of MNIST's size: 100 steps of 64, an epoch of 54,000 images, predictions of 10,000.
//!
//!     cargo bench --bench walkthrough
//!
//! `plain` is what a careful user of candle writes: the same arithmetic, each batch gathered from
//! shuffled bytes and scaled, the loss from the logits, momentum by hand. It has gemm's AVX-512 too,
//! which the crate turns on for candle in the same program.

use candle_core::{D, Var};
use candle_keras::prelude::*;
use candle_nn::{Linear as Affine, Module, VarBuilder, VarMap};
use divan::{Bencher, counter::ItemsCount};
use std::hint::black_box;

const BATCH: usize = 64;

fn main() {
    divan::main();
}

/// Random images and labels.
fn data(count: usize) -> (Tensor, Tensor) {
    let mut stream = candle_keras::seed::Stream::new(1, "benchmark", 0);
    let pixels: Vec<u8> = (0..count * 784)
        .map(|_| (stream.uniform() * 256.0) as u8)
        .collect();
    let labels: Vec<u8> = (0..count)
        .map(|_| (stream.uniform() * 10.0) as u8)
        .collect();
    let pixels = Tensor::from_vec(pixels, (count, 784), &Device::Cpu).unwrap();
    let labels = Tensor::from_vec(labels, count, &Device::Cpu).unwrap();
    (pixels, to_categorical(&labels, 10).unwrap())
}

mod keras {
    use super::*;

    fn model() -> Sequential {
        let mut model = Sequential::new()
            .add(Input::new(784))
            .add(Dense::new(128).activation(Relu))
            .add(Dense::new(64).activation(Relu))
            .add(Dense::new(10).activation(Softmax))
            .seed(1)
            .build(&Device::Cpu)
            .unwrap();
        let optimizer = Sgd::new(0.01).momentum(0.9);
        model
            .compile(optimizer, CategoricalCrossentropy::new(), [Accuracy])
            .unwrap();
        model
    }

    fn fit(bencher: Bencher, count: usize) {
        let (x, y) = data(count);
        let x = Data::from(x).scale(1.0 / 255.0).unwrap();
        let mut model = model();
        bencher.counter(ItemsCount::new(count)).bench_local(|| {
            let options = Fit::new().batch_size(BATCH).verbose(0);
            black_box(model.fit(&x, &y, options).unwrap())
        });
    }

    #[divan::bench(sample_count = 30)]
    fn steps_100(bencher: Bencher) {
        fit(bencher, 100 * BATCH);
    }

    #[divan::bench(sample_count = 5)]
    fn epoch_54000(bencher: Bencher) {
        fit(bencher, 54_000);
    }

    #[divan::bench(sample_count = 20, args = [32, 1000])]
    fn predict_10000(bencher: Bencher, batch_size: usize) {
        let (x, _) = data(10_000);
        let x = Data::from(x).scale(1.0 / 255.0).unwrap();
        let model = model();
        let predict = || {
            let options = Predict::new().batch_size(batch_size);
            black_box(model.predict_with(&x, options).unwrap())
        };
        bencher
            .counter(ItemsCount::new(10_000usize))
            .bench_local(predict);
    }
}

mod plain {
    use super::*;

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
            stream: &mut candle_keras::seed::Stream,
        ) -> candle_core::Result<(f32, f32)> {
            let count = x.dim(0)?;
            let order = Tensor::new(stream.permutation(count), &Device::Cpu)?;
            let (mut right, mut loss) = (0.0, 0.0);
            for start in (0..count).step_by(BATCH) {
                let rows = order.narrow(0, start, BATCH.min(count - start))?;
                let x = (x.index_select(&rows, 0)?.to_dtype(DType::F32)? * (1.0 / 255.0))?;
                let step = self.step(&x, &y.index_select(&rows, 0)?)?;
                right += step.0;
                loss += step.1;
            }
            Ok((right / count as f32, loss))
        }
    }

    fn fit(bencher: Bencher, count: usize) {
        let (x, y) = data(count);
        let mut network = Network::new();
        let mut stream = candle_keras::seed::Stream::new(1, "shuffle", 0);
        bencher
            .counter(ItemsCount::new(count))
            .bench_local(|| black_box(network.epoch(&x, &y, &mut stream).unwrap()));
    }

    #[divan::bench(sample_count = 30)]
    fn steps_100(bencher: Bencher) {
        fit(bencher, 100 * BATCH);
    }

    #[divan::bench(sample_count = 5)]
    fn epoch_54000(bencher: Bencher) {
        fit(bencher, 54_000);
    }

    #[divan::bench(sample_count = 20, args = [32, 1000])]
    fn predict_10000(bencher: Bencher, batch_size: usize) {
        let (x, _) = data(10_000);
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
}
