//! Files of real Keras 3.15.1, made by `tests/golden/keras_files/generate.py`: the same predictions and
//! scores, and training that goes on alike.

mod common;

use candle_keras::prelude::*;
use common::flat;
use serde::Deserialize;
use std::path::PathBuf;

/// What Keras wrote beside a model.
#[derive(Deserialize)]
struct Numbers {
    x: Values,
    y: Values,
    predictions: Values,
    scores: Vec<f64>,
    next_loss: Option<f64>,
}

#[derive(Deserialize)]
struct Values {
    shape: Vec<usize>,
    data: Vec<f64>,
}

impl Values {
    fn tensor(&self, dtype: DType) -> Tensor {
        let tensor = Tensor::new(&self.data[..], &Device::Cpu).unwrap();
        let tensor = tensor.reshape(&self.shape[..]).unwrap();
        tensor.to_dtype(dtype).unwrap()
    }
}

fn file(name: &str) -> PathBuf {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    root.join("tests/golden/keras_files").join(name)
}

fn numbers(name: &str) -> Numbers {
    let text = std::fs::read_to_string(file(&format!("{name}.json"))).unwrap();
    serde_json::from_str(&text).unwrap()
}

/// The greatest difference, by the size of the number where that is above 1.
fn difference(got: &[f64], expected: &[f64]) -> f64 {
    assert_eq!(got.len(), expected.len());
    let each = got.iter().zip(expected);
    let each = each.map(|(got, expected)| (got - expected).abs() / expected.abs().max(1.0));
    each.fold(0.0, f64::max)
}

/// Loads a model and compares all that Keras says of it, predictions to `bound`.
fn compare(name: &str, bound: f64) -> Sequential {
    compare_file(&format!("{name}.keras"), name, bound)
}

fn compare_file(path: &str, name: &str, bound: f64) -> Sequential {
    let numbers = numbers(name);
    let mut model = Sequential::load(file(path), &Device::Cpu).unwrap();
    let dtype = model
        .weights()
        .next()
        .map_or(DType::F32, |w| w.value().dtype());
    let (x, y) = (numbers.x.tensor(dtype), numbers.y.tensor(dtype));
    let predictions = flat(&model.predict(&x).unwrap());
    let found = difference(&predictions, &numbers.predictions.data);
    assert!(found <= bound, "{name}: predictions differ by {found:e}");
    let options = Evaluate::new().batch_size(8).verbose(0);
    let logs = model.evaluate_with(&x, &y, options).unwrap();
    // Keras gives the loss first.
    let mut scores = vec![logs["loss"]];
    let metrics = logs.iter().filter(|(name, _)| *name != "loss");
    scores.extend(metrics.map(|(_, score)| score));
    let found = difference(&scores, &numbers.scores);
    assert!(found <= 1e-5, "{name}: scores differ by {found:e}");
    if let Some(next_loss) = numbers.next_loss {
        let options = Fit::new().batch_size(8).shuffle(false).verbose(0);
        let history = model.fit(&x, &y, options).unwrap();
        let found = difference(&history["loss"], &[next_loss]);
        assert!(found <= 1e-5, "{name}: the next loss differs by {found:e}");
    }
    model
}

#[test]
fn a_network_like_the_walkthrough_s_trains_on_with_adam() {
    let model = compare("mlp", 1e-6);
    assert_eq!(model.layer_names(), ["dense", "dense_1", "dense_2"]);
}

#[test]
fn a_model_in_keras_s_older_format_is_the_same_one() {
    let model = compare_file("mlp.h5", "mlp", 1e-6);
    assert_eq!(model.layer_names(), ["dense", "dense_1", "dense_2"]);
    let error = match Sequential::load(file("mlp.weights.h5"), &Device::Cpu) {
        Ok(_) => panic!("weights alone were loaded as a model"),
        Err(error) => error.to_string(),
    };
    assert!(error.contains("it holds no `model_config`"), "{error}");
    assert!(error.contains("`load_weights`"), "{error}");
}

#[test]
fn an_embedding_with_batch_normalization_and_dropout_predicts_alike() {
    // Keras normalises by x·(γ·r) + (β - m·γ·r), which loses digits near m.
    let mut model = compare("embedding", 5e-6);
    let numbers = numbers("embedding");
    let (x, y) = (numbers.x.tensor(DType::F32), numbers.y.tensor(DType::F32));
    let history = model.fit(&x, &y, Fit::new().verbose(0)).unwrap();
    assert!(history["loss"][0].is_finite());
}

#[test]
fn a_schedule_moving_averages_and_penalties_go_on() {
    let model = compare("schedule", 1e-6);
    // Each epoch has three steps; nine have been done, and 0.05 halves every four.
    let rate = model.learning_rate().unwrap();
    let expected = 0.05 * 0.5f64.powf(9.0 / 4.0);
    assert!((rate - expected).abs() < 1e-9, "{rate}");
}

#[test]
fn a_normalization_that_was_adapted_keeps_what_it_found() {
    compare("normalization", 1e-6);
}

#[test]
fn a_model_of_float64_stays_one() {
    let model = compare("float64", 1e-12);
    let mut weights = model.weights();
    assert!(weights.all(|weight| weight.value().dtype() == DType::F64));
}

#[test]
fn activations_that_are_layers_in_keras_are_functions_with_their_arguments() {
    let model = compare("activations", 1e-6);
    let layers: Vec<&str> = model.layers().map(|layer| layer.class_name()).collect();
    assert_eq!(layers, ["Dense", "Dense", "Dense", "Activation", "Dense"]);
}

#[test]
fn weights_alone_bring_the_optimizer_too() {
    let numbers = numbers("mlp");
    let (x, y) = (numbers.x.tensor(DType::F32), numbers.y.tensor(DType::F32));
    let network = Sequential::new().add(Input::new(64));
    let network = network.add(Dense::new(32).activation(Relu));
    let network = network.add(Dense::new(16).activation(Relu));
    let network = network.add(Dense::new(10).activation(Softmax));
    let mut model = network.build(&Device::Cpu).unwrap();
    model
        .compile(Adam::new(0.001), CategoricalCrossentropy::new(), [Accuracy])
        .unwrap();
    model.load_weights(file("mlp.weights.h5")).unwrap();
    let predictions = flat(&model.predict(&x).unwrap());
    assert!(difference(&predictions, &numbers.predictions.data) <= 1e-6);
    let options = Fit::new().batch_size(8).shuffle(false).verbose(0);
    let history = model.fit(&x, &y, options).unwrap();
    let found = difference(&history["loss"], &[numbers.next_loss.unwrap()]);
    assert!(found <= 1e-5, "the next loss differs by {found:e}");
}

#[test]
fn what_the_crate_does_not_have_is_named() {
    let error = |name: &str| match Sequential::load(file(name), &Device::Cpu) {
        Ok(_) => panic!("{name} was loaded"),
        Err(error) => error.to_string(),
    };
    let text = error("functional.keras");
    assert!(text.contains("functional.keras"), "{text}");
    assert!(
        text.contains("expected a Sequential, got Functional"),
        "{text}"
    );
    let text = error("lambda.keras");
    assert!(text.contains("lambda.keras"), "{text}");
    assert!(
        text.contains("layer `doubling`") && text.contains("`Lambda`"),
        "{text}"
    );
}
