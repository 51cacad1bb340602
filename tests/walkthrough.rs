//! The walkthrough's network reads digits as well as it should, from any seed.

mod common;

use candle_keras::{
    activations::ActivationFunction,
    datasets::{Dataset, digits},
    losses::Loss,
    prelude::*,
};
use common::real_mnist;

/// The walkthrough's network and optimizer, with this last activation.
fn network(seed: u64, last: ActivationFunction, loss: impl Into<Box<dyn Loss>>) -> Sequential {
    let mut model = Sequential::new()
        .seed(seed)
        .add(Input::new(784))
        .add(Dense::new(128).activation(Relu))
        .add(Dense::new(64).activation(Relu))
        .add(Dense::new(10).activation(last))
        .build(&Device::Cpu)
        .unwrap();
    let optimizer = Sgd::new(0.01).momentum(0.9);
    model.compile(optimizer, loss, [Accuracy]).unwrap();
    model
}

/// The accuracy on the test images after the walkthrough.
fn walkthrough(data: &Dataset, seed: u64, epochs: usize, batch_size: usize) -> f64 {
    let pixels = |images: &Data| images.clone().flatten().scale(1.0 / 255.0).unwrap();
    let y_train = to_categorical(&data.train_labels, 10).unwrap();
    let y_test = to_categorical(&data.test_labels, 10).unwrap();
    let mut model = network(seed, Softmax, CategoricalCrossentropy::new());
    let options = Fit::new()
        .epochs(epochs)
        .batch_size(batch_size)
        .validation_split(0.1)
        .verbose(0);
    model
        .fit(pixels(&data.train_images), &y_train, options)
        .unwrap();
    accuracy(&model, pixels(&data.test_images), &y_test)
}

fn accuracy(model: &Sequential, x: Data, y: &Tensor) -> f64 {
    let options = Evaluate::new().batch_size(1000).verbose(0);
    model.evaluate_with(x, y, options).unwrap()["accuracy"]
}

#[test]
fn the_walkthrough_reads_nine_of_ten_bundled_digits() {
    let data = digits::load_data_28x28().unwrap();
    for seed in [1, 2, 3] {
        let accuracy = walkthrough(&data, seed, 40, 16);
        assert!(accuracy >= 0.90, "seed {seed}: {accuracy}");
    }
}

#[test]
fn the_walkthrough_reads_mnist() {
    let Some(data) = real_mnist() else { return };
    for seed in [1, 2, 3] {
        let accuracy = walkthrough(&data, seed, 5, 64);
        assert!(accuracy >= 0.965, "seed {seed}: {accuracy}");
    }
}

#[test]
fn the_walkthrough_as_pytorchs_users_write_it_reads_mnist() {
    let Some(data) = real_mnist() else { return };
    let pixels = |images: &Data| {
        let scaled = images.clone().flatten().scale(1.0 / 255.0).unwrap();
        scaled.normalize(0.1307, 0.3081).unwrap()
    };
    let loss = SparseCategoricalCrossentropy::new().from_logits();
    let mut model = network(1, Linear, loss);
    let options = Fit::new().epochs(5).batch_size(64).verbose(0);
    model
        .fit(pixels(&data.train_images), &data.train_labels, options)
        .unwrap();
    let accuracy = accuracy(&model, pixels(&data.test_images), &data.test_labels);
    assert!(accuracy >= 0.965, "{accuracy}");
}
