//! What callbacks do with numbers that are given, and when each of their methods is called.

use super::load;
use candle_keras::{
    callbacks::{
        CSVLogger, Callback, EarlyStopping, LambdaCallback, LearningRateScheduler, Mode,
        ModelCheckpoint, ReduceLROnPlateau, SaveFreq, TerminateOnNaN,
    },
    losses, metrics,
    prelude::*,
};
use serde::Deserialize;
use serde_json::{Map, Value};
use std::{cell::RefCell, collections::BTreeMap, path::Path};

#[derive(Deserialize)]
struct File {
    early_stopping: Vec<Stop>,
    reduce_lr_on_plateau: Vec<Plateau>,
    learning_rate_scheduler: Vec<Scheduler>,
    model_checkpoint: Vec<Checkpoint>,
    csv_logger: Vec<Csv>,
    terminate_on_nan: Vec<Terminate>,
    order: Vec<Order>,
}

/// Every callback of the crate, how many cases are Keras's, and what of it is compared.
pub(crate) fn compared() -> [(&'static str, usize, &'static str); 7] {
    let file: File = load("callbacks");
    [
        (
            "CSVLogger",
            file.csv_logger.len(),
            "the file's bytes, for the same logs",
        ),
        (
            "EarlyStopping",
            file.early_stopping.len(),
            "the epochs that run, and the epoch of the weights at the end",
        ),
        (
            "LambdaCallback",
            file.order.len(),
            "the methods called by fit, evaluate and predict, in order, with the names in the logs",
        ),
        (
            "LearningRateScheduler",
            file.learning_rate_scheduler.len(),
            "the rates that it is given and those in the logs",
        ),
        (
            "ModelCheckpoint",
            file.model_checkpoint.len(),
            "after which epoch or batch a file is saved, and its name",
        ),
        (
            "ReduceLROnPlateau",
            file.reduce_lr_on_plateau.len(),
            "the rate of each epoch",
        ),
        (
            "TerminateOnNaN",
            file.terminate_on_nan.len(),
            "the batches and epochs until it ends the training, or its error",
        ),
    ]
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

#[derive(Deserialize)]
struct Scheduler {
    name: String,
    initial: f64,
    /// What the function is given and returns in each epoch.
    given: Vec<f64>,
    returned: Vec<f64>,
    logged: Vec<f64>,
}

#[derive(Deserialize)]
struct Checkpoint {
    name: String,
    arguments: Map<String, Value>,
    /// Batches of an epoch.
    steps: usize,
    /// Of each epoch.
    logs: Vec<BTreeMap<String, f64>>,
    saved: Vec<Saved>,
}

/// A file that is saved after a batch, or after an epoch.
#[derive(Debug, Deserialize, PartialEq)]
struct Saved {
    epoch: usize,
    batch: Option<usize>,
    file: String,
}

#[derive(Deserialize)]
struct Csv {
    name: String,
    arguments: Map<String, Value>,
    /// What the file holds at first.
    before: Option<String>,
    epochs: Vec<BTreeMap<String, Value>>,
    content: String,
}

#[derive(Deserialize)]
struct Terminate {
    name: String,
    arguments: Map<String, Value>,
    /// What the sample of `batch` is in place of 1.
    value: String,
    batch: Option<usize>,
    batches: usize,
    epochs: Option<usize>,
    raises: bool,
}

#[derive(Deserialize)]
struct Order {
    name: String,
    /// The method, the epoch's or batch's number, and the names in the logs.
    calls: Vec<(String, Option<usize>, Vec<String>)>,
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

#[test]
fn the_learning_rate_is_what_a_function_of_epoch_and_rate_returns_as_in_keras() {
    for case in load::<File>("callbacks").learning_rate_scheduler {
        let given = RefCell::new(Vec::new());
        let scheduler = LearningRateScheduler::new(|epoch, rate| {
            given.borrow_mut().push(rate);
            case.returned[epoch]
        });
        let ones = vec![Some(1.0); case.returned.len()];
        let (history, _) = fitted(case.initial, ("val_loss", &ones), scheduler);
        // Keras's rates are f32.
        let single = |rates: &[f64]| rates.iter().map(|x| *x as f32).collect::<Vec<_>>();
        assert_eq!(
            single(&given.borrow()),
            single(&case.given),
            "{}",
            case.name
        );
        let logged = single(&history["learning_rate"]);
        assert_eq!(logged, single(&case.logged), "{}", case.name);
    }
}

/// A checkpoint in a folder. Weights are saved in the format that is there for them alone.
fn checkpoint(folder: &Path, arguments: &Map<String, Value>) -> ModelCheckpoint {
    let file = weights_file(arguments["filepath"].as_str().unwrap());
    let callback = ModelCheckpoint::new(folder.join(file)).save_weights_only(true);
    arguments
        .iter()
        .fold(callback, |callback, (name, value)| match name.as_str() {
            "filepath" | "save_weights_only" => callback,
            "monitor" => callback.monitor(value.as_str().unwrap()),
            "mode" => callback.mode(mode(value)),
            "save_best_only" => callback.save_best_only(value.as_bool().unwrap()),
            "save_freq" => callback.save_freq(SaveFreq::Batches(value.as_u64().unwrap() as usize)),
            "initial_value_threshold" => callback.initial_value_threshold(value.as_f64().unwrap()),
            other => panic!("{other}"),
        })
}

fn weights_file(keras: &str) -> String {
    let stem = keras.strip_suffix(".weights.h5");
    let stem = stem.or_else(|| keras.strip_suffix(".keras")).unwrap();
    format!("{stem}.safetensors")
}

/// The files that came into a folder; it is empty afterwards.
fn taken(folder: &Path) -> Vec<String> {
    let files = std::fs::read_dir(folder).unwrap();
    let files = files.map(|file| {
        let file = file.unwrap();
        std::fs::remove_file(file.path()).unwrap();
        file.file_name().into_string().unwrap()
    });
    files.collect()
}

#[test]
fn checkpoints_are_saved_when_and_under_the_names_that_keras_saves_them() {
    for case in load::<File>("callbacks").model_checkpoint {
        let folder = tempfile::tempdir().unwrap();
        // The model's one output is its weight, which is the loss that each batch is to have.
        let model = Sequential::new().add(Input::new(1));
        let model = model.add(Dense::new(1).use_bias(false).trainable(false));
        let mut model = model.build(&Device::Cpu).unwrap();
        let loss = losses::from_fn("output", |_, y_pred| Ok(y_pred.squeeze(1)?));
        model.compile(Sgd::new(1.0), loss, [Accuracy]).unwrap();
        let numbered = LambdaCallback::new()
            .on_epoch_begin(|epoch, model| {
                let loss = case.logs[epoch].get("loss").copied().unwrap_or_default();
                let weight = Tensor::new(&[[loss as f32]], &Device::Cpu)?;
                model.set_weight("dense/kernel", &weight)
            })
            .on_epoch_end(|epoch, logs, _| {
                let given = case.logs[epoch].iter();
                given.for_each(|(name, value)| logs.insert(name, *value));
                Ok(())
            });
        let saved = RefCell::new(Vec::new());
        let epoch = RefCell::new(0);
        let see = |batch| {
            let files = taken(folder.path()).into_iter();
            let epoch = *epoch.borrow();
            saved
                .borrow_mut()
                .extend(files.map(|file| Saved { epoch, batch, file }));
            Ok(())
        };
        let recorder = LambdaCallback::new()
            .on_epoch_begin(|number, _| {
                *epoch.borrow_mut() = number;
                Ok(())
            })
            .on_train_batch_end(|batch, _| see(Some(batch)))
            .on_epoch_end(|_, _, _| see(None));
        let options = Fit::new().epochs(case.logs.len()).batch_size(1).verbose(0);
        let options = options.callback(numbered);
        let options = options.callback(checkpoint(folder.path(), &case.arguments));
        let x = Tensor::ones((case.steps, 1), DType::F32, &Device::Cpu).unwrap();
        model.fit(&x, &x, options.callback(recorder)).unwrap();
        let expected = case.saved.into_iter().map(|saved| Saved {
            file: weights_file(&saved.file),
            ..saved
        });
        let expected: Vec<_> = expected.collect();
        assert_eq!(saved.into_inner(), expected, "{}", case.name);
    }
}

#[test]
fn a_csv_log_is_keras_s_to_the_byte() {
    for case in load::<File>("callbacks").csv_logger {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("log.csv");
        if let Some(before) = &case.before {
            std::fs::write(&file, before).unwrap();
        }
        let arguments = case.arguments.iter();
        let logger = arguments.fold(CSVLogger::new(&file), |logger, (name, value)| {
            match name.as_str() {
                "separator" => logger.separator(value.as_str().unwrap().chars().next().unwrap()),
                "append" => logger.append(value.as_bool().unwrap()),
                other => panic!("{other}"),
            }
        });
        log_by_hand(logger, &case.epochs);
        assert_eq!(
            std::fs::read_to_string(&file).unwrap(),
            case.content,
            "{}",
            case.name
        );
    }
}

/// Calls what `fit` would call for these logs.
fn log_by_hand(mut logger: CSVLogger, epochs: &[BTreeMap<String, Value>]) {
    let model = Sequential::new().add(Input::new(1)).add(Dense::new(1));
    let mut model = model.build(&Device::Cpu).unwrap();
    logger.on_train_begin(&mut model).unwrap();
    for (epoch, values) in epochs.iter().enumerate() {
        logger.on_epoch_begin(epoch, &mut model).unwrap();
        let mut logs = Logs::default();
        for (name, value) in values {
            let numbers = match value {
                Value::Array(values) => values.iter().map(|value| value.as_f64()).collect(),
                value => value.as_f64().map(|value| vec![value]),
            };
            logs.insert_values(name, numbers.unwrap());
        }
        logger.on_epoch_end(epoch, &mut logs, &mut model).unwrap();
    }
    logger.on_train_end(&mut model).unwrap();
}

#[test]
fn a_loss_that_is_not_finite_ends_the_training_as_in_keras() {
    for case in load::<File>("callbacks").terminate_on_nan {
        let mut x = [1f32; 4];
        if let Some(batch) = case.batch {
            x[batch] = case.value.parse().unwrap();
        }
        let x = Tensor::from_slice(&x, (4, 1), &Device::Cpu).unwrap();
        let model = Sequential::new().add(Input::new(1)).add(Dense::new(1));
        let mut model = model.build(&Device::Cpu).unwrap();
        model
            .compile(Sgd::new(0.01), MeanSquaredError::new(), ())
            .unwrap();
        let raises = case.arguments.get("raise_error") == Some(&Value::Bool(true));
        let mut batches = 0;
        let counter = LambdaCallback::new().on_train_batch_end(|_, _| {
            batches += 1;
            Ok(())
        });
        let options = Fit::new().batch_size(1).epochs(3).shuffle(false).verbose(0);
        let options = options.callback(TerminateOnNaN::new().raise_error(raises));
        let y = x.ones_like().unwrap();
        let history = model.fit(&x, &y, options.callback(counter));
        assert_eq!(history.is_err(), case.raises, "{}", case.name);
        let epochs = history.ok().map(|history| history.epochs().len());
        assert_eq!(
            (batches, epochs),
            (case.batches, case.epochs),
            "{}",
            case.name
        );
    }
}

#[test]
fn every_callback_is_compared_with_keras() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/callbacks");
    let sources = std::fs::read_dir(folder).unwrap();
    let mut classes = Vec::new();
    for source in sources {
        let text = std::fs::read_to_string(source.unwrap().path()).unwrap();
        let lines = text.lines().map(str::trim_start);
        let implemented = lines.filter_map(|line| line.strip_prefix("impl Callback for "));
        let class = |rest: &str| rest.split(['<', ' ']).next().unwrap().to_string();
        classes.extend(implemented.map(class));
    }
    // What it gives is the bits of a run that nothing ended, which Keras's does not: tests/backup.rs.
    classes.retain(|class| class != "BackupAndRestore");
    classes.sort();
    let compared = compared();
    assert_eq!(classes, compared.map(|(class, _, _)| class));
    assert!(compared.iter().all(|(_, cases, _)| *cases > 0));
}

#[test]
fn callbacks_are_called_in_the_order_of_keras() {
    let file: File = load("callbacks");
    assert_eq!(file.order.len(), 4);
    for case in file.order {
        let calls = RefCell::new(Vec::new());
        let note = |hook: &str, number, logs: Option<&Logs>| {
            let names = logs.into_iter().flat_map(Logs::iter);
            let mut names: Vec<String> = names.map(|(name, _)| name.to_string()).collect();
            names.sort();
            calls.borrow_mut().push((hook.to_string(), number, names));
            Ok(())
        };
        let recorder = LambdaCallback::new()
            .on_train_begin(|_| note("on_train_begin", None, None))
            .on_train_end(|_| note("on_train_end", None, None))
            .on_epoch_begin(|epoch, _| note("on_epoch_begin", Some(epoch), None))
            .on_epoch_end(|epoch, logs, _| note("on_epoch_end", Some(epoch), Some(logs)))
            .on_train_batch_begin(|batch, _| note("on_train_batch_begin", Some(batch), None))
            .on_train_batch_end(|batch, model| {
                let logs = model.running_logs()?;
                note("on_train_batch_end", Some(batch), Some(&logs))
            })
            .on_test_begin(|_| note("on_test_begin", None, None))
            .on_test_end(|logs, _| note("on_test_end", None, Some(logs)))
            .on_test_batch_begin(|batch, _| note("on_test_batch_begin", Some(batch), None))
            .on_test_batch_end(|batch, _| note("on_test_batch_end", Some(batch), None))
            .on_predict_begin(|_| note("on_predict_begin", None, None))
            .on_predict_end(|_| note("on_predict_end", None, None))
            .on_predict_batch_begin(|batch, _| note("on_predict_batch_begin", Some(batch), None))
            .on_predict_batch_end(|batch, _, _| note("on_predict_batch_end", Some(batch), None));
        let model = Sequential::new().add(Input::new(1)).add(Dense::new(1));
        let mut model = model.build(&Device::Cpu).unwrap();
        let metrics = [metrics::Accuracy];
        model
            .compile(Sgd::new(0.1), MeanSquaredError::new(), metrics)
            .unwrap();
        let x = Tensor::new(&[[1f32], [2.0], [3.0], [4.0], [5.0]], &Device::Cpu).unwrap();
        let part = |samples| x.narrow(0, 0, samples).unwrap();
        match case.name.as_str() {
            "fit" => {
                let options = Fit::new().batch_size(2).epochs(2).verbose(0);
                let options = options.validation_data(part(3), part(3));
                model.fit(&x, &x, options.callback(recorder)).map(drop)
            }
            "fit_without_validation" => {
                let options = Fit::new().batch_size(2).epochs(1).verbose(0);
                model
                    .fit(part(2), part(2), options.callback(recorder))
                    .map(drop)
            }
            "evaluate" => {
                let options = Evaluate::new().batch_size(2).verbose(0);
                model
                    .evaluate_with(&x, &x, options.callback(recorder))
                    .map(drop)
            }
            "predict" => {
                let options = Predict::new().batch_size(2);
                model.predict_with(&x, options.callback(recorder)).map(drop)
            }
            other => panic!("{other}"),
        }
        .unwrap();
        // The logs at the end of training are the history's last, and the counts of a validation
        // are there at its end.
        let expected = case.calls.into_iter().map(|(hook, number, logs)| {
            let has_logs = !matches!(
                hook.as_str(),
                "on_train_end" | "on_test_batch_end" | "on_predict_batch_end"
            );
            (hook, number, if has_logs { logs } else { Vec::new() })
        });
        let expected: Vec<_> = expected.collect();
        assert_eq!(calls.into_inner(), expected, "{}", case.name);
    }
}
