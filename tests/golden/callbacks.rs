//! When training stops and how the learning rate falls, for numbers that are given.

use super::load;
use candle_keras::{
    callbacks::{Callback, EarlyStopping, LambdaCallback, Mode, ReduceLROnPlateau},
    prelude::*,
};
use serde::Deserialize;
use serde_json::{Map, Value};

#[derive(Deserialize)]
struct File {
    early_stopping: Vec<Stop>,
    reduce_lr_on_plateau: Vec<Plateau>,
}

#[derive(Deserialize)]
struct Stop {
    name: String,
    arguments: Map<String, Value>,
    /// What is watched in each epoch; null is NaN.
    values: Vec<Option<f64>>,
    epochs_run: usize,
    /// The epoch that the weights at the end are from.
    final_epoch: f32,
}

#[derive(Deserialize)]
struct Plateau {
    name: String,
    arguments: Map<String, Value>,
    values: Vec<Option<f64>>,
    initial: f64,
    logged: Vec<f64>,
}

fn monitor(arguments: &Map<String, Value>) -> &str {
    arguments
        .get("monitor")
        .map_or("val_loss", |name| name.as_str().unwrap())
}

fn mode(value: &Value) -> Mode {
    match value.as_str().unwrap() {
        "min" => Mode::Min,
        "max" => Mode::Max,
        _ => Mode::Auto,
    }
}

fn early_stopping(arguments: &Map<String, Value>) -> EarlyStopping {
    arguments
        .iter()
        .fold(EarlyStopping::new(), |callback, (name, value)| {
            let count = || value.as_u64().unwrap() as usize;
            match name.as_str() {
                "monitor" => callback.monitor(value.as_str().unwrap()),
                "min_delta" => callback.min_delta(value.as_f64().unwrap()),
                "patience" => callback.patience(count()),
                "mode" => callback.mode(mode(value)),
                "baseline" => callback.baseline(value.as_f64().unwrap()),
                "restore_best_weights" => callback.restore_best_weights(value.as_bool().unwrap()),
                "start_from_epoch" => callback.start_from_epoch(count()),
                other => panic!("{other}"),
            }
        })
}

fn plateau(arguments: &Map<String, Value>) -> ReduceLROnPlateau {
    arguments
        .iter()
        .fold(ReduceLROnPlateau::new(), |callback, (name, value)| {
            let count = || value.as_u64().unwrap() as usize;
            match name.as_str() {
                "monitor" => callback.monitor(value.as_str().unwrap()),
                "factor" => callback.factor(value.as_f64().unwrap()),
                "min_delta" => callback.min_delta(value.as_f64().unwrap()),
                "patience" => callback.patience(count()),
                "mode" => callback.mode(mode(value)),
                "cooldown" => callback.cooldown(count()),
                "min_lr" => callback.min_lr(value.as_f64().unwrap()),
                other => panic!("{other}"),
            }
        })
}

/// A model of one weight, fitted an epoch for each value; the weight is the epoch's number.
fn fitted(
    learning_rate: f64,
    (name, values): (&str, &[Option<f64>]),
    callback: impl Callback,
) -> (History, f32) {
    let model = Sequential::new().add(Input::new(1));
    let model = model.add(Dense::new(1).use_bias(false).trainable(false));
    let mut model = model.build(&Device::Cpu).unwrap();
    model
        .compile(Sgd::new(learning_rate), MeanSquaredError::new(), [Accuracy])
        .unwrap();
    let numbered = LambdaCallback::new()
        .on_epoch_begin(|epoch, model| {
            let number = Tensor::new(&[[epoch as f32]], &Device::Cpu)?;
            model.set_weight("dense/kernel", &number)
        })
        .on_epoch_end(|epoch, logs, _| {
            logs.insert(name, values[epoch].unwrap_or(f64::NAN));
            Ok(())
        });
    let options = Fit::new().epochs(values.len()).verbose(0);
    let options = options.callback(numbered).callback(callback);
    let x = Tensor::ones((1, 1), DType::F32, &Device::Cpu).unwrap();
    let history = model.fit(&x, &x, options).unwrap();
    let weight = model.weight("dense/kernel").unwrap();
    (history, weight.flatten_all().unwrap().to_vec1().unwrap()[0])
}

#[test]
fn training_stops_and_goes_back_to_weights_as_in_keras() {
    for case in load::<File>("callbacks").early_stopping {
        let watched = (monitor(&case.arguments), &case.values[..]);
        let (history, weight) = fitted(1.0, watched, early_stopping(&case.arguments));
        assert_eq!(history.epochs().len(), case.epochs_run, "{}", case.name);
        assert_eq!(weight, case.final_epoch, "{}", case.name);
    }
}

#[test]
fn the_learning_rate_falls_on_a_plateau_as_in_keras() {
    for case in load::<File>("callbacks").reduce_lr_on_plateau {
        let watched = (monitor(&case.arguments), &case.values[..]);
        let (history, _) = fitted(case.initial, watched, plateau(&case.arguments));
        let rates = &history["learning_rate"];
        assert_eq!(rates.len(), case.logged.len(), "{}", case.name);
        for (rate, expected) in rates.iter().zip(&case.logged) {
            // Keras's are f32, and rounded once more in each reduction.
            let close = (rate / expected - 1.0).abs() < 1e-6;
            assert!(
                close,
                "{}: {rates:?}, Keras has {:?}",
                case.name, case.logged
            );
        }
    }
}
