//! The walkthrough on the real MNIST from Keras's own initial weights, unshuffled.
//!
//! Keras with oneDNN's kernels is what is compared. With TensorFlow's other kernels, which differ by
//! roundings alone, Keras differs from itself by more than is allowed here, from the second epoch on:
//! the last line that the test prints.

use super::{Report, Tolerance, load};
use crate::common;
use candle_keras::{callbacks::Callback, prelude::*};
use serde::Deserialize;
use std::collections::BTreeMap;

#[derive(Deserialize)]
struct File {
    initial_weights: Vec<InitialWeight>,
    first_losses: Vec<f32>,
    epochs: Vec<BTreeMap<String, f32>>,
    test: BTreeMap<String, f32>,
    other_kernels: OtherKernels,
}

/// The same training by Keras with other kernels of TensorFlow's.
#[derive(Deserialize)]
struct OtherKernels {
    epochs: Vec<BTreeMap<String, f32>>,
    test: BTreeMap<String, f32>,
}

#[derive(Deserialize)]
struct InitialWeight {
    path: String,
    shape: Vec<usize>,
    float16: String,
}

impl InitialWeight {
    fn tensor(&self) -> Tensor {
        let digits = self.float16.as_bytes().chunks(2);
        let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16);
        let bytes: Vec<u8> = digits.map(|pair| byte(pair).unwrap()).collect();
        let tensor = Tensor::from_raw_buffer(&bytes, DType::F16, &self.shape, &Device::Cpu);
        tensor.unwrap().to_dtype(DType::F32).unwrap()
    }
}

/// Notes the running loss after each of the first hundred steps.
struct FirstLosses(Vec<f32>);

impl Callback for FirstLosses {
    fn on_train_batch_end(
        &mut self,
        _batch: usize,
        model: &mut Sequential,
    ) -> candle_keras::Result<()> {
        if self.0.len() < 100 {
            self.0.push(model.running_logs()?["loss"] as f32);
        }
        Ok(())
    }
}

fn network(file: &File) -> Sequential {
    let mut model = Sequential::new()
        .add(Input::new(784))
        .add(Dense::new(128).activation(Relu))
        .add(Dense::new(64).activation(Relu))
        .add(Dense::new(10).activation(Softmax))
        .build(&Device::Cpu)
        .unwrap();
    for weight in &file.initial_weights {
        model.set_weight(&weight.path, &weight.tensor()).unwrap();
    }
    let optimizer = Sgd::new(0.01).momentum(0.9);
    model
        .compile(optimizer, CategoricalCrossentropy::new(), [Accuracy])
        .unwrap();
    model
}

/// What is asked of every epoch's numbers.
const EPOCH: Tolerance = Tolerance {
    relative: 0.0,
    absolute: 1e-4,
};

#[test]
fn three_epochs_of_mnist_have_the_losses_and_accuracies_of_keras() {
    let Some(mnist) = common::real_mnist() else {
        return;
    };
    let file: File = load("walkthrough");
    let mut model = network(&file);
    let pixels = |images: Data| images.flatten().scale(1.0 / 255.0).unwrap();
    let x = pixels(mnist.train_images);
    let y = to_categorical(&mnist.train_labels, 10).unwrap();
    let mut first = FirstLosses(Vec::new());
    let options = Fit::new().epochs(3).batch_size(64).validation_split(0.1);
    let options = options.shuffle(false).verbose(0).callback(&mut first);
    let history = model.fit(&x, &y, options).unwrap();

    let mut report = Report::default();
    let key = ("walkthrough", "epochs");
    let start = Tolerance {
        relative: 1e-5,
        absolute: 0.0,
    };
    report.compare(key, "first losses", &first.0, &file.first_losses, start);
    for (epoch, expected) in file.epochs.iter().enumerate() {
        for (name, expected) in expected {
            let got = history[name.as_str()][epoch];
            println!("epoch {} {name}: {got:.6}, Keras {expected:.6}", epoch + 1);
            let what = format!("epoch {} {name}", epoch + 1);
            report.compare(key, &what, &[got as f32], &[*expected], EPOCH);
        }
    }
    let x_test = pixels(mnist.test_images);
    let y_test = to_categorical(&mnist.test_labels, 10).unwrap();
    let scores = model
        .evaluate_with(&x_test, &y_test, Evaluate::new().verbose(0))
        .unwrap();
    for (name, expected) in &file.test {
        println!(
            "test {name}: {:.6}, Keras {expected:.6}",
            scores[name.as_str()]
        );
        let got = scores[name.as_str()] as f32;
        report.compare(key, &format!("test {name}"), &[got], &[*expected], EPOCH);
    }
    let OtherKernels { epochs, test } = &file.other_kernels;
    println!("Keras with other kernels: {epochs:?}, test {test:?}");
}
