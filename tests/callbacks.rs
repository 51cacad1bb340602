//! Keras's callbacks, on numbers that another callback puts into the logs.
//!
//! Sequences of stops and rates are those of Keras 3.15.1.

mod common;

use candle_keras::{
    Result,
    callbacks::{
        CSVLogger, Callback, EarlyStopping, LambdaCallback, LearningRateScheduler, Mode,
        ModelCheckpoint, ReduceLROnPlateau, SaveFreq, TerminateOnNaN,
    },
    optimizers::schedules::ExponentialDecay,
    prelude::*,
};
use common::{bits, flat, numbers};
use std::{cell::RefCell, path::Path};

/// y = w·x with w = 1 at first, of which every epoch of one batch takes a step.
fn line(learning_rate: f64) -> Sequential {
    let dense = Dense::new(1).use_bias(false);
    let dense = dense.kernel_initializer(candle_keras::initializers::Ones);
    let model = Sequential::new().seed(1).add(Input::new(1)).add(dense);
    let mut model = model.build(&Device::Cpu).unwrap();
    model
        .compile(Sgd::new(learning_rate), MeanSquaredError::new(), [Accuracy])
        .unwrap();
    model
}

fn data() -> (Tensor, Tensor) {
    let x = Tensor::new(&[[1f32], [2.0], [3.0], [4.0]], &Device::Cpu).unwrap();
    (x.clone(), x.zeros_like().unwrap())
}

fn quiet<'a>() -> Fit<'a> {
    Fit::new().verbose(0).shuffle(false)
}

/// Puts these numbers into the logs, one in each epoch.
fn given<'a>(name: &'a str, values: &'a [f64]) -> LambdaCallback<'a> {
    LambdaCallback::new().on_epoch_end(move |epoch, logs, _| {
        logs.insert(name, values[epoch]);
        Ok(())
    })
}

/// Fits one epoch for each value of `val_loss` with a callback behind it.
fn fitted(values: &[f64], callback: impl Callback) -> Result<History> {
    let (x, y) = data();
    let options = quiet()
        .epochs(values.len())
        .callback(given("val_loss", values));
    line(1.0).fit(&x, &y, options.callback(callback))
}

fn error<T>(result: Result<T>) -> String {
    match result {
        Ok(_) => panic!("expected an error"),
        Err(error) => error.to_string(),
    }
}

fn epochs(values: &[f64], stopping: EarlyStopping) -> usize {
    fitted_still(values, stopping).epochs().len()
}

/// As [`fitted`], with a learning rate of 0, which keeps the numbers finite.
fn fitted_still(values: &[f64], callback: impl Callback) -> History {
    let (x, y) = data();
    let options = quiet()
        .epochs(values.len())
        .callback(given("val_loss", values));
    line(0.0).fit(&x, &y, options.callback(callback)).unwrap()
}

#[test]
fn early_stopping_stops_after_as_many_epochs_as_in_keras() {
    let stopping = EarlyStopping::new;
    assert_eq!(epochs(&[1.0, 2.0, 3.0], stopping()), 2);
    let baseline = [3.0, 2.5, 2.0, 1.5, 0.9, 0.95, 0.96, 0.97, 0.98];
    assert_eq!(epochs(&baseline, stopping().patience(2).baseline(1.0)), 7);
    let rising = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0];
    assert_eq!(
        epochs(&rising, stopping().patience(1).start_from_epoch(3)),
        5
    );
    assert_eq!(epochs(&[3.0, 2.9, 2.8, 2.7], stopping().min_delta(0.15)), 2);
    assert_eq!(epochs(&rising, stopping().mode(Mode::Max)), 6);
    assert_eq!(epochs(&[f64::NAN, 1.0, 0.5], stopping().patience(2)), 3);
}

#[test]
fn early_stopping_restores_the_best_epochs_weights_at_the_end_stopped_or_not() {
    let (x, y) = data();
    for (patience, count) in [(2, 4), (10, 5)] {
        let mut model = line(0.01);
        let kernels = RefCell::new(Vec::new());
        let kernel = |model: &Sequential| flat(&model.weight("dense/kernel").unwrap())[0];
        let noted = LambdaCallback::new().on_epoch_end(|_, _, model| {
            kernels.borrow_mut().push(kernel(model));
            Ok(())
        });
        let mut stopping = EarlyStopping::new()
            .patience(patience)
            .restore_best_weights(true);
        let values = [2.0, 1.0, 3.0, 4.0, 5.0];
        let options = quiet()
            .epochs(5)
            .callback(given("val_loss", &values))
            .callback(noted);
        let history = model.fit(&x, &y, options.callback(&mut stopping)).unwrap();
        assert_eq!(history.epochs().len(), count);
        assert_eq!(
            (stopping.best(), stopping.best_epoch()),
            (Some(1.0), Some(1))
        );
        assert_eq!(stopping.stopped_epoch(), (patience == 2).then_some(3));
        assert_eq!(kernel(&model), kernels.borrow()[1]);
        assert_ne!(kernels.borrow()[1], *kernels.borrow().last().unwrap());
    }
}

#[test]
fn an_early_stopping_is_used_again_from_its_beginning() {
    let mut stopping = EarlyStopping::new().patience(1);
    for _ in 0..2 {
        assert_eq!(
            fitted_still(&[2.0, 1.0, 3.0, 4.0], &mut stopping)
                .epochs()
                .len(),
            3
        );
    }
}

#[test]
fn in_mode_auto_the_metric_says_which_way_is_better() {
    let (x, y) = data();
    let fit = |name: &str, stopping: EarlyStopping| {
        let values = [0.1, 0.2, 0.3];
        let options = quiet()
            .epochs(3)
            .callback(given(name, &values))
            .callback(stopping);
        line(0.0).fit(&x, &y, options)
    };
    let count = |name: &str| {
        let history = fit(name, EarlyStopping::new().monitor(name));
        history.unwrap().epochs().len()
    };
    assert_eq!(count("val_accuracy"), 3);
    assert_eq!(count("accuracy"), 3);
    assert_eq!(count("loss"), 2);
    assert_eq!(
        error(fit("speed", EarlyStopping::new().monitor("speed"))),
        "`monitor`: expected the name of a loss or metric that is known to rise or fall, with or without `val_`: expected one of `loss`, `accuracy`, got `speed`: say which way is better with .mode(Mode::Min) or .mode(Mode::Max)"
    );
    let told = EarlyStopping::new().monitor("speed").mode(Mode::Max);
    assert_eq!(fit("speed", told).unwrap().epochs().len(), 3);
}

#[test]
fn a_number_that_is_missing_from_the_logs_stops_nothing() {
    let (x, y) = data();
    let options = quiet().epochs(3).callback(EarlyStopping::new());
    assert_eq!(line(0.0).fit(&x, &y, options).unwrap().epochs().len(), 3);
}

#[test]
fn a_plateau_reduces_the_learning_rate_as_in_keras_and_logs_it_before() {
    let rates = |values: &[f64], reduction: ReduceLROnPlateau| {
        let history = fitted(values, reduction.factor(0.5).patience(2)).unwrap();
        history["learning_rate"].to_vec()
    };
    assert_eq!(
        rates(&[1.0; 6], ReduceLROnPlateau::new()),
        [1.0, 1.0, 1.0, 0.5, 0.5, 0.25]
    );
    assert_eq!(
        rates(&[1.0; 9], ReduceLROnPlateau::new().cooldown(2)),
        [1.0, 1.0, 1.0, 0.5, 0.5, 0.5, 0.25, 0.25, 0.25]
    );
    assert_eq!(
        rates(&[1.0; 9], ReduceLROnPlateau::new().min_lr(0.4)),
        [1.0, 1.0, 1.0, 0.5, 0.5, 0.4, 0.4, 0.4, 0.4]
    );
}

#[test]
fn a_scheduler_gives_every_epoch_its_learning_rate() {
    let (x, y) = data();
    let mut asked = Vec::new();
    let scheduler = LearningRateScheduler::new(|epoch, rate| {
        asked.push((epoch, rate));
        0.01 / (epoch + 1) as f64
    });
    let mut model = line(0.02);
    let history = model
        .fit(&x, &y, quiet().epochs(2).callback(scheduler))
        .unwrap();
    assert_eq!(history["learning_rate"], [0.01, 0.005]);
    assert_eq!(model.learning_rate().unwrap(), 0.005);
    assert_eq!(asked, [(0, 0.02), (1, 0.01)]);
    let bad = LearningRateScheduler::new(|_, _| f64::NAN);
    assert!(error(model.fit(&x, &y, quiet().callback(bad))).starts_with("`learning_rate`"));
    let decay = ExponentialDecay::new(0.1, 10, 0.5);
    model
        .compile(Sgd::new(decay), MeanSquaredError::new(), ())
        .unwrap();
    let scheduler = LearningRateScheduler::new(|_, rate| rate);
    assert_eq!(
        error(model.fit(&x, &y, quiet().callback(scheduler))),
        "callback `LearningRateScheduler`: `learning_rate`: expected an optimizer whose learning rate is a number, got a schedule: compile with a number as the learning rate to change it"
    );
}

#[test]
fn arguments_out_of_range_are_errors_before_the_first_epoch() {
    let start = |callback: Box<dyn Callback>| {
        let mut callback = callback;
        error(fitted(&[1.0], &mut *callback))
    };
    assert_eq!(
        start(Box::new(ReduceLROnPlateau::new().factor(1.0))),
        "`factor`: expected a number from 0 up to, but not including, 1, got 1: 0.1 is Keras's default"
    );
    assert!(start(Box::new(ReduceLROnPlateau::new().min_lr(-1.0))).starts_with("`min_lr`"));
    assert!(start(Box::new(EarlyStopping::new().min_delta(f64::NAN))).starts_with("`min_delta`"));
    assert!(start(Box::new(EarlyStopping::new().baseline(f64::NAN))).starts_with("`baseline`"));
    let checkpoint = || ModelCheckpoint::new("weights.safetensors");
    assert_eq!(
        start(Box::new(checkpoint().save_freq(SaveFreq::Batches(0)))),
        "`save_freq`: expected at least 1 batch, got 0: 1 saves after every batch, SaveFreq::Epoch after every epoch"
    );
    for name in ["model.h5", "model"] {
        assert_eq!(
            start(Box::new(ModelCheckpoint::new(name))),
            format!(
                "`filepath`: expected a name that ends in .keras, .weights.h5 or .safetensors, got {name}: the first is of a whole model, the others of its weights"
            )
        );
    }
    let broken = ModelCheckpoint::new("{epoch:x}.safetensors");
    assert!(start(Box::new(broken)).starts_with("`filepath at {epoch:x}`"));
    assert!(start(Box::new(CSVLogger::new("log").separator('"'))).starts_with("`separator`"));
    assert!(!Path::new("log").exists());
}

fn names(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<String> = names.collect();
    names.sort();
    names
}

#[test]
fn a_checkpoint_of_every_epoch_fills_in_its_names_and_holds_the_weights_of_then() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder
        .path()
        .join("made/{epoch:02d}-{val_loss:.2f}.safetensors");
    let (x, y) = data();
    let mut model = line(0.01);
    let values = [0.5, 0.256];
    let options = quiet().epochs(2).callback(given("val_loss", &values));
    model
        .fit(&x, &y, options.callback(ModelCheckpoint::new(path)))
        .unwrap();
    let made = folder.path().join("made");
    assert_eq!(names(&made), ["01-0.50.safetensors", "02-0.26.safetensors"]);
    let mut once = line(0.01);
    once.fit(&x, &y, quiet()).unwrap();
    let mut loaded = line(0.01);
    loaded
        .load_weights(made.join("01-0.50.safetensors"))
        .unwrap();
    assert_eq!(bits(&loaded), bits(&once));
    loaded
        .load_weights(made.join("02-0.26.safetensors"))
        .unwrap();
    assert_eq!(bits(&loaded), bits(&model));
}

#[test]
fn a_model_that_could_not_be_loaded_is_no_checkpoint_and_the_one_before_it_stays() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.keras");
    line(1.0).save(&path).unwrap();
    let before = std::fs::read(&path).unwrap();
    let (x, y) = data();
    let checkpoint = ModelCheckpoint::new(&path).save_freq(SaveFreq::Batches(1));
    // The loss of the first step is finite, what it makes of the weight is not.
    let fitted = line(f64::MAX).fit(&x, &y, quiet().callback(checkpoint));
    assert!(error(fitted).contains("finite"));
    assert_eq!(std::fs::read(&path).unwrap(), before);
}

#[test]
fn a_best_model_that_could_not_be_saved_is_not_what_the_next_one_has_to_beat() {
    let folder = tempfile::tempdir().unwrap();
    let best = folder.path().join("models/best.keras");
    let in_the_way = folder.path().join("models");
    std::fs::write(&in_the_way, "no folder").unwrap();
    let mut checkpoint = ModelCheckpoint::new(&best).save_best_only(true);
    let problem = error(fitted(&[1.0], &mut checkpoint));
    assert!(problem.contains("models"), "{problem}");
    assert_eq!(checkpoint.best(), None);
    std::fs::remove_file(&in_the_way).unwrap();
    fitted(&[2.0], &mut checkpoint).unwrap();
    assert_eq!(checkpoint.best(), Some(2.0));
    assert!(best.exists());
}

#[test]
fn a_checkpoint_of_the_best_saves_only_what_is_better_than_all_before() {
    let saved = |checkpoint: fn(ModelCheckpoint) -> ModelCheckpoint| {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("{epoch}.safetensors");
        let checkpoint = checkpoint(ModelCheckpoint::new(path).save_best_only(true));
        fitted_still(&[3.0, 4.0, 2.0, 2.0, 1.0], checkpoint);
        names(folder.path())
    };
    let file = |epoch: &&str| format!("{epoch}.safetensors");
    let files = |epochs: &[&str]| epochs.iter().map(file).collect::<Vec<_>>();
    assert_eq!(saved(|best| best), files(&["1", "3", "5"]));
    assert_eq!(
        saved(|best| best.initial_value_threshold(2.0)),
        files(&["5"])
    );
    assert_eq!(saved(|best| best.mode(Mode::Max)), files(&["1", "2"]));
    // There is no such number: as in Keras, all are saved.
    assert_eq!(saved(|best| best.monitor("val_accuracy")).len(), 5);
}

#[test]
fn a_checkpoint_by_batches_counts_on_from_epoch_to_epoch() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("{epoch}-{batch}.safetensors");
    let checkpoint = ModelCheckpoint::new(path).save_freq(SaveFreq::Batches(3));
    let (x, y) = data();
    let options = quiet().batch_size(1).epochs(3).callback(checkpoint);
    line(0.0).fit(&x, &y, options).unwrap();
    let expected = ["1-3", "2-2", "3-1", "3-4"].map(|name| format!("{name}.safetensors"));
    assert_eq!(names(folder.path()), expected);
}

#[test]
fn weights_files_that_do_not_fit_change_nothing_and_say_what_does_not() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("weights.safetensors");
    let network = |name: &str, units| {
        let model = Sequential::new().add(Input::new(2));
        let model = model
            .add(Dense::new(3).name("base"))
            .add(Dense::new(units).name(name));
        model.build(&Device::Cpu).unwrap()
    };
    let saved = network("head", 2);
    saved.save_weights(&path).unwrap();
    let stored = std::fs::read(&path).unwrap();
    let order = ["base/kernel", "base/bias", "head/kernel", "head/bias"];
    let text = String::from_utf8_lossy(&stored);
    let found: Vec<usize> = order.iter().map(|name| text.find(name).unwrap()).collect();
    assert!(found.is_sorted(), "{found:?}");
    let tensors = candle_keras::candle_core::safetensors::load(&path, &Device::Cpu).unwrap();
    assert_eq!(
        flat(&tensors["head/kernel"]),
        flat(&saved.weight("head/kernel").unwrap())
    );

    let file = path.display();
    let load = |name: &str, units| {
        let mut model = network(name, units);
        let before = bits(&model);
        let text = error(model.load_weights(&path));
        assert_eq!(bits(&model), before);
        text
    };
    let advice = "load it into a model of the same layers as the one that was saved";
    assert_eq!(
        load("head", 4),
        format!("{file}: `head/kernel`: expected shape (3, 4), got (3, 2): {advice}")
    );
    assert_eq!(
        load("other", 2),
        format!("{file}: expected a weight `other/kernel` of shape (3, 2), got none: {advice}")
    );
    let mut smaller = network("head", 2)
        .pop()
        .unwrap()
        .build(&Device::Cpu)
        .unwrap();
    assert_eq!(
        error(smaller.load_weights(&path)),
        format!("{file}: `head/bias` is a weight that the model does not have: {advice}")
    );
    std::fs::write(&path, &stored[..stored.len() - 4]).unwrap();
    assert!(
        load("head", 2).starts_with(&format!("{file}: no safetensors file that can be read: "))
    );
    let mut not_finite = stored.clone();
    let end = not_finite.len();
    not_finite[end - 4..].copy_from_slice(&f32::NAN.to_le_bytes());
    std::fs::write(&path, &not_finite).unwrap();
    assert_eq!(
        load("head", 2),
        format!(
            "{file}: `head/bias`: holds a number that is not finite: save weights that are finite"
        )
    );
    assert!(
        error(saved.save_weights("weights.h5")).starts_with("`path`: expected a name that ends")
    );
}

#[test]
fn a_csv_log_has_keras_bytes_and_a_row_as_soon_as_its_epoch_ends() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("log.csv");
    let (x, y) = data();
    let x = x.zeros_like().unwrap();
    let seen = RefCell::new(Vec::new());
    let look = LambdaCallback::new().on_epoch_end(|_, _, _| {
        seen.borrow_mut()
            .push(std::fs::read_to_string(&file).unwrap());
        Ok(())
    });
    let values = [1.0, 1e-5];
    let options = quiet().epochs(2).callback(given("a,b", &values));
    line(0.0)
        .fit(
            &x,
            &y,
            options.callback(CSVLogger::new(&file)).callback(look),
        )
        .unwrap();
    // The header and rows that Python's csv writes; no key begins with val_.
    let header = "epoch,\"a,b\",accuracy,loss,\"val_a,b\",val_accuracy,val_loss\r\n";
    let first = format!("{header}0,1.0,1.0,0.0,NA,NA,NA\r\n");
    let both = format!("{first}1,1e-05,1.0,0.0,NA,NA,NA\r\n");
    assert_eq!(*seen.borrow(), [first, both.clone()]);

    let append = || CSVLogger::new(&file).append(true).separator(';');
    let options = quiet().callback(append()).validation_data(&x, &y);
    line(0.0).fit(&x, &y, options).unwrap();
    let appended = std::fs::read_to_string(&file).unwrap();
    assert_eq!(appended, format!("{both}0;1.0;0.0;1.0;0.0\r\n"));
    std::fs::remove_file(&file).unwrap();
    line(0.0).fit(&x, &y, quiet().callback(append())).unwrap();
    let begun = std::fs::read_to_string(&file).unwrap();
    assert!(
        begun.starts_with("epoch;accuracy;loss;val_accuracy;val_loss\r\n0;"),
        "{begun}"
    );
    let missing = CSVLogger::new(folder.path().join("missing/log.csv"));
    assert!(line(0.0).fit(&x, &y, quiet().callback(missing)).is_err());
}

#[test]
fn a_loss_that_is_not_finite_ends_the_training_and_its_epoch_is_logged() {
    let x = Tensor::new(&[[1f32], [f32::NAN], [1.0]], &Device::Cpu).unwrap();
    let batches = RefCell::new(0);
    let count = LambdaCallback::new().on_train_batch_end(|_, _| {
        *batches.borrow_mut() += 1;
        Ok(())
    });
    let options = quiet()
        .epochs(3)
        .batch_size(1)
        .callback(TerminateOnNaN::new())
        .callback(count);
    let mut model = line(0.1);
    let history = model.fit(&x, &x, options).unwrap();
    assert_eq!(history.epochs(), [0]);
    assert!(history["loss"][0].is_nan());
    assert_eq!(*batches.borrow(), 2);
    let raising = TerminateOnNaN::new().raise_error(true);
    assert!(
        model
            .fit(&x, &x, quiet().batch_size(1).callback(raising))
            .is_err()
    );
    let both = quiet()
        .batch_size(1)
        .callback(TerminateOnNaN::new())
        .callback(raising);
    assert!(error(model.fit(&x, &x, both)).contains("NaN or Inf loss encountered at batch 1."));
}

/// A callback that notes the hooks of evaluations and predictions.
fn noting(calls: &RefCell<Vec<String>>) -> LambdaCallback<'_> {
    let note = |call: String| {
        calls.borrow_mut().push(call);
        Ok(())
    };
    LambdaCallback::new()
        .on_test_begin(move |_| note("test_begin".to_string()))
        .on_test_batch_begin(move |batch, _| note(format!("test_batch_begin {batch}")))
        .on_test_batch_end(move |batch, _| note(format!("test_batch_end {batch}")))
        .on_test_end(move |logs, _| note(format!("test_end {}", logs["loss"])))
        .on_predict_begin(move |_| note("predict_begin".to_string()))
        .on_predict_batch_begin(move |batch, _| note(format!("predict_batch_begin {batch}")))
        .on_predict_batch_end(move |batch, outputs, _| {
            note(format!("predict_batch_end {batch} {:?}", flat(outputs)))
        })
        .on_predict_end(move |_| note("predict_end".to_string()))
}

#[test]
fn evaluations_and_predictions_call_their_hooks_in_keras_order() {
    let (x, y) = data();
    let calls = RefCell::new(Vec::new());
    let model = line(0.0);
    let options = Evaluate::new()
        .batch_size(2)
        .verbose(0)
        .callback(noting(&calls));
    model.evaluate_with(&x, &y, options).unwrap();
    let expected = [
        "test_begin",
        "test_batch_begin 0",
        "test_batch_end 0",
        "test_batch_begin 1",
        "test_batch_end 1",
        "test_end 7.5",
    ];
    assert_eq!(calls.take(), expected);
    let options = Predict::new()
        .batch_size(3)
        .verbose(0)
        .callback(noting(&calls));
    model.predict_with(&x, options).unwrap();
    let expected = [
        "predict_begin",
        "predict_batch_begin 0",
        "predict_batch_end 0 [1.0, 2.0, 3.0]",
        "predict_batch_begin 1",
        "predict_batch_end 1 [4.0]",
        "predict_end",
    ];
    assert_eq!(calls.take(), expected);
}

#[test]
fn many_predicted_batches_are_called_for_in_order() {
    let x = numbers(&[64, 1], "x");
    let mut batches = Vec::new();
    let noted = LambdaCallback::new().on_predict_batch_end(|batch, _, _| {
        batches.push(batch);
        Ok(())
    });
    let options = Predict::new().batch_size(1).verbose(0).callback(noted);
    line(0.0).predict_with(&x, options).unwrap();
    assert_eq!(batches, (0..64).collect::<Vec<_>>());
}

#[test]
fn callbacks_of_several_kinds_are_given_in_boxes() {
    let mut stopping = EarlyStopping::new().patience(1);
    let terminating = TerminateOnNaN::new();
    let boxes: [Box<dyn Callback + '_>; 2] = [Box::new(&mut stopping), Box::new(terminating)];
    assert!(boxes[1].accepts_not_finite());
    let (x, y) = data();
    let values = [1.0, 2.0, 3.0, 4.0];
    let options = quiet().epochs(4).callback(given("val_loss", &values));
    let options = boxes.into_iter().fold(options, Fit::callback);
    let history = line(0.0).fit(&x, &y, options).unwrap();
    assert_eq!(history.epochs().len(), 2);
    assert_eq!(stopping.best(), Some(1.0));
}
