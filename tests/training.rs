//! What `fit`, `evaluate` and `predict` do, as Keras does it.

mod common;

use candle_keras::{
    Error, Result,
    callbacks::Callback,
    initializers::{Constant, Ones},
    layers::{Layer, Pass},
    losses::Loss,
    optimizers::Optimizer,
    prelude::*,
};
use common::{assert_close, bits, flat, labels, numbers};
use std::sync::{Arc, Mutex};

fn quiet() -> Fit<'static> {
    Fit::new().verbose(0)
}

fn column(values: &[f32]) -> Tensor {
    let values = Tensor::new(values, &Device::Cpu).unwrap();
    values.reshape(((), 1)).unwrap()
}

/// y = w·x with w = 1 at first.
fn line(optimizer: impl Into<Box<dyn Optimizer>>) -> Sequential {
    let layer = Dense::new(1).use_bias(false).kernel_initializer(Ones);
    let mut model = Sequential::new()
        .seed(1)
        .add(Input::new(1))
        .add(layer)
        .build(&Device::Cpu)
        .unwrap();
    let loss = MeanSquaredError::new();
    model.compile(optimizer, loss, ()).unwrap();
    model
}

/// A small classifier with dropout, so that seed, steps and order all count.
fn classifier() -> Sequential {
    seeded(Sequential::new().seed(5))
}

fn seeded(model: Sequential) -> Sequential {
    let mut model = model
        .add(Input::new(6))
        .add(Dense::new(16).activation(Relu))
        .add(Dropout::new(0.3))
        .add(Dense::new(3).activation(Softmax))
        .build(&Device::Cpu)
        .unwrap();
    let loss = SparseCategoricalCrossentropy::new();
    model.compile(Adam::new(0.01), loss, [Accuracy]).unwrap();
    model
}

/// Notes every call.
#[derive(Default)]
struct Calls(Vec<String>);

impl Calls {
    fn note(&mut self, call: impl Into<String>) -> Result<()> {
        self.0.push(call.into());
        Ok(())
    }
}

fn names(logs: &Logs) -> String {
    let names: Vec<&str> = logs.iter().map(|(name, _)| name).collect();
    names.join(" ")
}

impl Callback for Calls {
    fn on_train_begin(&mut self, _model: &mut Sequential) -> Result<()> {
        self.note("train_begin")
    }
    fn on_train_end(&mut self, _model: &mut Sequential) -> Result<()> {
        self.note("train_end")
    }
    fn on_epoch_begin(&mut self, epoch: usize, _model: &mut Sequential) -> Result<()> {
        self.note(format!("epoch_begin {epoch}"))
    }
    fn on_epoch_end(
        &mut self,
        epoch: usize,
        logs: &mut Logs,
        _model: &mut Sequential,
    ) -> Result<()> {
        self.note(format!("epoch_end {epoch}: {}", names(logs)))
    }
    fn on_train_batch_begin(&mut self, batch: usize, _model: &mut Sequential) -> Result<()> {
        self.note(format!("train_batch_begin {batch}"))
    }
    fn on_train_batch_end(&mut self, batch: usize, model: &mut Sequential) -> Result<()> {
        let logs = names(&model.running_logs()?);
        self.note(format!("train_batch_end {batch}: {logs}"))
    }
    fn on_test_begin(&mut self, _model: &Sequential) -> Result<()> {
        self.note("test_begin")
    }
    fn on_test_batch_begin(&mut self, batch: usize, _model: &Sequential) -> Result<()> {
        self.note(format!("test_batch_begin {batch}"))
    }
    fn on_test_batch_end(&mut self, batch: usize, _model: &Sequential) -> Result<()> {
        self.note(format!("test_batch_end {batch}"))
    }
    fn on_test_end(&mut self, logs: &Logs, _model: &Sequential) -> Result<()> {
        self.note(format!("test_end: {}", names(logs)))
    }
}

#[test]
fn callbacks_are_called_in_keras_order() {
    let mut calls = Calls::default();
    let (x, y) = (numbers(&[6, 6], "x"), labels(6, 3));
    let options = quiet().epochs(2).batch_size(3).validation_split(0.3);
    classifier()
        .fit(&x, &y, options.callback(&mut calls))
        .unwrap();
    let epoch = |epoch| {
        [
            format!("epoch_begin {epoch}"),
            "train_batch_begin 0".to_string(),
            "train_batch_end 0: accuracy loss".to_string(),
            "train_batch_begin 1".to_string(),
            "train_batch_end 1: accuracy loss".to_string(),
            "test_begin".to_string(),
            "test_batch_begin 0".to_string(),
            "test_batch_end 0".to_string(),
            "test_end: accuracy loss".to_string(),
            format!("epoch_end {epoch}: accuracy loss val_accuracy val_loss"),
        ]
    };
    let mut expected = vec!["train_begin".to_string()];
    expected.extend(epoch(0));
    expected.extend(epoch(1));
    expected.push("train_end".to_string());
    assert_eq!(calls.0, expected);
}

#[test]
fn after_an_error_on_train_end_is_not_called() {
    let mut calls = Calls::default();
    let x = column(&[1.0, f32::NAN]);
    let options = quiet().callback(&mut calls);
    assert!(line(Sgd::new(0.1)).fit(&x, &x, options).is_err());
    assert_eq!(
        calls.0,
        ["train_begin", "epoch_begin 0", "train_batch_begin 0"]
    );
}

/// Puts a number into the logs of every epoch, or of those after the first.
struct Adds(&'static str, bool);

impl Callback for Adds {
    fn on_epoch_end(
        &mut self,
        epoch: usize,
        logs: &mut Logs,
        _model: &mut Sequential,
    ) -> Result<()> {
        if self.1 || epoch > 0 {
            logs.insert(self.0, epoch as f64);
        }
        Ok(())
    }
}

#[test]
fn what_a_callback_adds_to_the_logs_stands_last_in_the_history_and_is_seen_by_later_callbacks() {
    let mut calls = Calls::default();
    let (x, y) = (numbers(&[6, 6], "x"), labels(6, 3));
    let options = quiet()
        .epochs(2)
        .validation_split(0.5)
        .callback(Adds("a_first", true))
        .callback(Adds("learning_rate", false))
        .callback(&mut calls);
    let history = classifier().fit(&x, &y, options).unwrap();
    let names: Vec<&str> = history.names().collect();
    assert_eq!(
        names,
        [
            "accuracy",
            "loss",
            "val_accuracy",
            "val_loss",
            "a_first",
            "learning_rate"
        ]
    );
    assert_eq!(history["a_first"], [0.0, 1.0]);
    assert_eq!(history["learning_rate"], [1.0]);
    assert_eq!(history.epochs(), [0, 1]);
    let seen: Vec<&String> = calls
        .0
        .iter()
        .filter(|call| call.starts_with("epoch_end"))
        .collect();
    assert_eq!(
        seen,
        [
            "epoch_end 0: accuracy loss val_accuracy val_loss a_first",
            "epoch_end 1: accuracy loss val_accuracy val_loss a_first learning_rate",
        ]
    );
}

#[test]
fn metrics_of_one_name_are_numbered() {
    let mut model = classifier();
    let loss = SparseCategoricalCrossentropy::new();
    model
        .compile(Sgd::new(0.1), loss, (Accuracy, Accuracy))
        .unwrap();
    let scores = model
        .evaluate_with(
            numbers(&[6, 6], "x"),
            labels(6, 3),
            Evaluate::new().verbose(0),
        )
        .unwrap();
    assert_eq!(names(&scores), "accuracy accuracy_1 loss");
    assert_eq!(scores["accuracy"], scores["accuracy_1"]);
}

#[test]
fn an_epochs_loss_is_the_mean_over_samples_each_before_its_batchs_update_the_last_batch_included() {
    // Keras 3.15.1 (JAX, CPU) gives 8.050781 and 0.35625.
    let x = column(&[1.0, 2.0, 3.0, 4.0, 5.0]);
    let mut model = line(Sgd::new(0.01));
    let options = quiet().batch_size(2).shuffle(false);
    let history = model.fit(&x, column(&[0.0; 5]), options).unwrap();
    assert_close("loss", &history["loss"], &[8.050781], 1e-6, 0.0);
    let kernel = flat(&model.weight("dense/kernel").unwrap());
    assert_close("kernel", &kernel, &[0.35625], 1e-6, 0.0);
}

#[test]
fn running_logs_are_means_over_the_samples_so_far() {
    struct Losses(Vec<f64>);
    impl Callback for Losses {
        fn on_train_batch_end(&mut self, _batch: usize, model: &mut Sequential) -> Result<()> {
            self.0.push(model.running_logs()?["loss"]);
            Ok(())
        }
    }
    // A learning rate of 0 keeps w = 1, so that each sample's loss is x².
    let mut losses = Losses(Vec::new());
    let x = column(&[1.0, 2.0, 3.0, 4.0, 5.0]);
    let options = quiet().batch_size(2).shuffle(false).epochs(2);
    line(Sgd::new(0.0))
        .fit(&x, column(&[0.0; 5]), options.callback(&mut losses))
        .unwrap();
    let epoch = [5.0 / 2.0, 30.0 / 4.0, 55.0 / 5.0];
    assert_eq!(losses.0, [epoch, epoch].concat());
}

#[test]
fn validation_numbers_are_taken_after_the_epochs_last_update() {
    let x = column(&[1.0, 2.0, 3.0]);
    let y = column(&[0.0; 3]);
    let mut model = line(Sgd::new(0.01));
    let options = quiet().validation_data(&x, &y);
    let history = model.fit(&x, &y, options).unwrap();
    let scores = model.evaluate_with(&x, &y, Evaluate::new().verbose(0));
    assert_eq!(history["val_loss"], [scores.unwrap()["loss"]]);
    assert!(history["val_loss"][0] < history["loss"][0]);
}

#[test]
fn two_fits_are_one_of_as_many_epochs_bit_for_bit() {
    let (x, y) = (numbers(&[50, 6], "x"), labels(50, 3));
    let mut once = classifier();
    let whole = once.fit(&x, &y, quiet().epochs(4).batch_size(8)).unwrap();
    let mut twice = classifier();
    let first = twice.fit(&x, &y, quiet().epochs(2).batch_size(8)).unwrap();
    let second = twice.fit(&x, &y, quiet().epochs(2).batch_size(8)).unwrap();
    assert_eq!(
        whole["loss"],
        [first["loss"].to_vec(), second["loss"].to_vec()].concat()
    );
    assert_eq!(bits(&once), bits(&twice));
    assert_eq!(second.epochs(), [0, 1]);
}

#[test]
fn compiling_again_forgets_the_optimizers_state_and_keeps_the_weights() {
    let (x, y) = (numbers(&[8, 1], "x"), numbers(&[8, 1], "y"));
    let mut model = line(Sgd::new(0.1).momentum(0.9));
    model.fit(&x, &y, quiet().epochs(3)).unwrap();
    let weights = bits(&model);
    let loss = MeanSquaredError::new();
    model
        .compile(Sgd::new(0.0).momentum(0.9), loss, ())
        .unwrap();
    assert_eq!(bits(&model), weights);
    // Without a learning rate only a remembered momentum could move a weight.
    model.fit(&x, &y, quiet()).unwrap();
    assert_eq!(bits(&model), weights);
}

#[test]
fn stop_training_ends_after_the_running_batch() {
    struct StopAt(usize, usize);
    impl Callback for StopAt {
        fn on_train_batch_end(&mut self, batch: usize, model: &mut Sequential) -> Result<()> {
            self.1 += 1;
            if batch == 0 && self.1 > 2 * self.0 {
                model.stop_training();
            }
            Ok(())
        }
    }
    let (x, y) = (numbers(&[8, 1], "x"), numbers(&[8, 1], "y"));
    let mut model = line(Sgd::new(0.1));
    let mut stop = StopAt(1, 0);
    let mut calls = Calls::default();
    let options = quiet().epochs(5).batch_size(4);
    let options = options.callback(&mut stop).callback(&mut calls);
    let history = model.fit(&x, &y, options).unwrap();
    assert_eq!(history.epochs(), [0, 1]);
    assert_eq!(
        stop.1, 3,
        "the epoch that stops ends with the batch that stopped it"
    );
    assert_eq!(calls.0.last().unwrap(), "train_end");
    let again = model.fit(&x, &y, quiet().epochs(2)).unwrap();
    assert_eq!(again.epochs(), [0, 1], "the next fit is not stopped");
}

/// A loss that notes the targets it sees, which serve as the samples' numbers.
#[derive(Debug, Clone, Default)]
struct Seen(Arc<Mutex<Vec<f64>>>);

impl Seen {
    fn take(&self) -> Vec<f64> {
        std::mem::take(&mut self.0.lock().unwrap())
    }
}

impl Loss for Seen {
    fn name(&self) -> &str {
        "seen"
    }
    fn call(&self, y_true: &Tensor, y_pred: &Tensor) -> Result<Tensor> {
        self.0.lock().unwrap().extend(flat(y_true));
        MeanSquaredError::new().call(y_true, y_pred)
    }
}

/// A model, and what it is shown; every sample's x and y are its index.
fn watched(count: usize) -> (Sequential, Seen, Tensor) {
    let mut model = line(Sgd::new(0.0));
    let seen = Seen::default();
    model.compile(Sgd::new(0.0), seen.clone(), ()).unwrap();
    let indices: Vec<f32> = (0..count).map(|index| index as f32).collect();
    (model, seen, column(&indices))
}

fn range(from: usize, to: usize) -> Vec<f64> {
    (from..to).map(|index| index as f64).collect()
}

#[test]
fn a_shuffled_epoch_visits_every_sample_once_in_an_order_of_its_own() {
    let (mut model, seen, x) = watched(100);
    let mut orders = Vec::new();
    for _ in 0..2 {
        // One epoch a call, so that the shuffling has to go on rather than begin again.
        model.fit(&x, &x, quiet().batch_size(7)).unwrap();
        orders.push(seen.take());
    }
    model.fit(&x, &x, quiet().batch_size(7).epochs(2)).unwrap();
    let both = seen.take();
    orders.extend(both.chunks(100).map(<[f64]>::to_vec));
    assert_eq!(orders.len(), 4);
    for (index, order) in orders.iter().enumerate() {
        assert!(!orders[..index].contains(order), "epoch {index} repeats");
        let mut sorted = order.clone();
        sorted.sort_by(f64::total_cmp);
        assert_eq!(sorted, range(0, 100));
        assert_ne!(*order, sorted);
    }
}

#[test]
fn an_unshuffled_epoch_visits_the_samples_in_their_order() {
    let (mut model, seen, x) = watched(10);
    let options = quiet().batch_size(4).epochs(2).shuffle(false);
    model.fit(&x, &x, options).unwrap();
    assert_eq!(seen.take(), [range(0, 10), range(0, 10)].concat());
}

#[test]
fn shuffling_keeps_every_sample_with_its_target() {
    // w = 1 and y = x: any sample with another's target would have a loss.
    let (mut model, _, x) = watched(100);
    let history = model.fit(&x, &x, quiet().batch_size(7)).unwrap();
    assert_eq!(history["loss"], [0.0]);
}

#[test]
fn a_validation_split_holds_back_the_unshuffled_tail_with_keras_rounding() {
    for (count, split, train) in [(10, 0.1, 9), (5, 0.1, 4), (10, 0.8, 1), (10, 0.25, 7)] {
        let (mut model, seen, x) = watched(count);
        let options = quiet().batch_size(count).epochs(2);
        model.fit(&x, &x, options.validation_split(split)).unwrap();
        let seen = seen.take();
        for epoch in seen.chunks(count) {
            let mut trained = epoch[..train].to_vec();
            trained.sort_by(f64::total_cmp);
            assert_eq!(trained, range(0, train), "{count} by {split}");
            assert_eq!(epoch[train..], range(train, count), "{count} by {split}");
        }
        assert_eq!(seen.len(), 2 * count);
    }
}

#[test]
fn a_validation_split_of_which_nothing_is_left_to_train_on_is_refused() {
    let (mut model, seen, x) = watched(10);
    let options = quiet().validation_split(0.9);
    assert!(matches!(
        model.fit(&x, &x, options),
        Err(Error::Argument { argument, .. }) if argument == "validation_split"
    ));
    assert_eq!(seen.take(), [0.0; 0]);
}

#[test]
fn validation_data_go_before_validation_split() {
    let (mut model, seen, x) = watched(4);
    let other = column(&[7.0, 8.0, 9.0]);
    let options = quiet()
        .shuffle(false)
        .validation_split(0.5)
        .validation_data(&other, &other)
        .validation_batch_size(2);
    model.fit(&x, &x, options).unwrap();
    let mut seen = seen.take();
    // Batches that only count are computed on several threads, in whatever order.
    seen[4..].sort_by(f64::total_cmp);
    assert_eq!(seen, [0.0, 1.0, 2.0, 3.0, 7.0, 8.0, 9.0]);
}

#[test]
fn bytes_train_to_the_same_bits_as_the_floats_that_they_stand_for() {
    let bytes: Vec<u8> = (0..40 * 6).map(|i| (i * 37 % 256) as u8).collect();
    let floats: Vec<f32> = bytes.iter().map(|byte| f32::from(*byte) / 255.0).collect();
    let bytes = Tensor::from_vec(bytes, (40, 2, 3), &Device::Cpu).unwrap();
    let bytes = Data::from(&bytes).flatten().scale(1.0 / 255.0).unwrap();
    let floats = Tensor::from_vec(floats, (40, 6), &Device::Cpu).unwrap();
    let y = labels(40, 3);
    let small_y = y.to_dtype(DType::U8).unwrap();
    let options = || quiet().epochs(2).batch_size(7).validation_split(0.2);
    let (mut a, mut b) = (classifier(), classifier());
    let of_bytes = a.fit(&bytes, &small_y, options()).unwrap();
    let of_floats = b.fit(&floats, &y, options()).unwrap();
    assert_eq!(of_bytes, of_floats);
    assert_eq!(bits(&a), bits(&b));
    assert_eq!(
        flat(&a.predict(&bytes).unwrap()),
        flat(&a.predict(&floats).unwrap())
    );
}

#[test]
fn an_evaluation_does_not_depend_on_the_batch_size() {
    let (x, y) = (numbers(&[101, 6], "x"), labels(101, 3));
    let model = classifier();
    let scores = |batch_size| {
        let options = Evaluate::new().batch_size(batch_size).verbose(0);
        model.evaluate_with(&x, &y, options).unwrap()
    };
    let expected = scores(101);
    for batch_size in [1, 2, 32, 100, 1000] {
        let got = scores(batch_size);
        // Products of other sizes are summed in other orders: f32's rounding.
        assert_close("loss", &[got["loss"]], &[expected["loss"]], 1e-6, 0.0);
        assert_eq!(got["accuracy"], expected["accuracy"]);
    }
}

#[test]
fn any_number_of_samples_is_predicted_as_all_at_once() {
    let model = classifier();
    for count in [1, 31, 32, 33, 64, 65] {
        let x = numbers(&[count, 6], "x");
        let outputs = model.predict(&x).unwrap();
        assert_eq!(outputs.dims(), [count, 3]);
        let at_once = model
            .predict_with(&x, Predict::new().batch_size(count))
            .unwrap();
        assert_close("outputs", &flat(&outputs), &flat(&at_once), 1e-6, 1e-7);
        let one_by_one = model
            .predict_with(&x, Predict::new().batch_size(1))
            .unwrap();
        assert_close("outputs", &flat(&one_by_one), &flat(&at_once), 1e-6, 1e-7);
    }
}

#[test]
fn targets_without_an_axis_of_outputs_are_aligned_with_outputs_that_have_one() {
    let x = column(&[1.0, 2.0, 3.0]);
    let y = Tensor::new(&[1f32, 0.0, 5.0], &Device::Cpu).unwrap();
    let fit = |y: &Tensor| {
        let mut model = line(Sgd::new(0.01));
        let history = model.fit(&x, y, quiet()).unwrap();
        (history["loss"][0], bits(&model))
    };
    let flat_targets = fit(&y);
    assert_eq!(flat_targets, fit(&y.unsqueeze(1).unwrap()));
    // (0² + 2² + 2²) / 3, not the mean over the nine pairs.
    assert_close("loss", &[flat_targets.0], &[8.0 / 3.0], 1e-6, 0.0);
}

#[test]
fn dropout_drops_its_share_in_training_and_nothing_outside() {
    for rate in [0.0, 0.2, 0.5, 1.0] {
        let mut model = Sequential::new()
            .seed(2)
            .add(Input::new(1000))
            .add(Dropout::new(rate))
            .build(&Device::Cpu)
            .unwrap();
        let x = Tensor::ones((20, 1000), DType::F32, &Device::Cpu).unwrap();
        assert_eq!(flat(&model.predict(&x).unwrap()), [1.0; 20_000]);

        let seen = Outputs::default();
        model.compile(Sgd::new(0.1), seen.clone(), ()).unwrap();
        let options = Evaluate::new().verbose(0);
        model.evaluate_with(&x, &x, options).unwrap();
        assert_eq!(seen.take(), [1.0; 20_000]);

        model.fit(&x, &x, quiet().batch_size(10)).unwrap();
        let outputs = seen.take();
        let kept = 1.0 / (1.0 - rate as f32 as f64);
        assert!(
            outputs.iter().all(|y| *y == 0.0 || (y - kept).abs() < 1e-6),
            "{rate}"
        );
        let fraction = outputs.iter().filter(|y| **y != 0.0).count() as f64 / 20_000.0;
        // The fraction's standard deviation is at most 0.0035: four of them.
        assert!(
            (fraction - (1.0 - rate)).abs() < 0.014,
            "{rate}: {fraction}"
        );
        if rate == 0.5 {
            let [first, second] = [&outputs[..10_000], &outputs[10_000..]];
            assert_ne!(first, second, "every step drops others");
            assert_ne!(first[..1000], first[1000..2000], "and every sample");
        }
    }
}

/// A loss that notes the outputs that it sees.
#[derive(Debug, Clone, Default)]
struct Outputs(Seen);

impl Outputs {
    fn take(&self) -> Vec<f64> {
        self.0.take()
    }
}

impl Loss for Outputs {
    fn name(&self) -> &str {
        "outputs"
    }
    fn call(&self, y_true: &Tensor, y_pred: &Tensor) -> Result<Tensor> {
        self.0.call(y_pred, y_true)
    }
}

#[test]
fn a_layer_knows_whether_it_trains() {
    /// Adds 1 in training.
    #[derive(Debug)]
    struct AddInTraining;
    impl Layer for AddInTraining {
        fn class_name(&self) -> &str {
            "AddInTraining"
        }
        fn output_shape(&self, input_shape: &[usize]) -> Result<Vec<usize>> {
            Ok(input_shape.to_vec())
        }
        fn forward(&self, inputs: &Tensor, pass: &mut Pass<'_>) -> Result<Tensor> {
            let added = if pass.training() { 1.0 } else { 0.0 };
            Ok((inputs + added)?)
        }
    }
    let mut model = Sequential::new()
        .add(Input::new(1))
        .add(AddInTraining)
        .build(&Device::Cpu)
        .unwrap();
    let loss = MeanSquaredError::new();
    model.compile(Sgd::new(0.1), loss, ()).unwrap();
    let x = column(&[3.0, 4.0]);
    let history = model.fit(&x, &x, quiet().validation_data(&x, &x)).unwrap();
    assert_eq!(history["loss"], [1.0]);
    assert_eq!(history["val_loss"], [0.0]);
}

#[test]
fn without_a_seed_two_models_differ_and_each_tells_the_seed_that_reproduces_it() {
    let (x, y) = (numbers(&[40, 6], "x"), labels(40, 3));
    let train = |model: Sequential| {
        let mut model = seeded(model);
        let first = bits(&model);
        model.fit(&x, &y, quiet().batch_size(8).epochs(2)).unwrap();
        (model.current_seed().unwrap(), first, bits(&model))
    };
    let (one, other) = (train(Sequential::new()), train(Sequential::new()));
    assert_ne!(one.0, other.0);
    assert_ne!(one.1, other.1);
    for model in [one, other] {
        assert_eq!(train(Sequential::new().seed(model.0)), model);
    }
    assert_eq!(Sequential::new().current_seed(), None);
}

#[test]
fn a_weight_is_read_as_a_copy_and_set_for_good() {
    let mut model = line(Sgd::new(0.1));
    let before = model.weight("dense/kernel").unwrap();
    model.set_weight("dense/kernel", &column(&[5.0])).unwrap();
    assert_eq!(flat(&before), [1.0]);
    assert_eq!(flat(&model.weight("dense/kernel").unwrap()), [5.0]);
    assert_eq!(flat(&model.predict(column(&[2.0])).unwrap()), [10.0]);
}

#[test]
fn the_learning_rate_can_change_between_steps() {
    struct Rates(Vec<f64>);
    impl Callback for Rates {
        fn on_train_batch_begin(&mut self, batch: usize, model: &mut Sequential) -> Result<()> {
            model.set_learning_rate(self.0[batch])
        }
    }
    // w ← w - η·2w with x = 1 and y = 0: 1, 0.5, 0.5, 0.4.
    let mut model = line(Sgd::new(0.1));
    let (x, y) = (column(&[1.0; 3]), column(&[0.0; 3]));
    let options = quiet().batch_size(1).callback(Rates(vec![0.25, 0.0, 0.1]));
    model.fit(&x, &y, options).unwrap();
    let kernel = flat(&model.weight("dense/kernel").unwrap());
    assert_close("kernel", &kernel, &[0.4], 1e-6, 0.0);
    assert_eq!(model.learning_rate().unwrap(), 0.1);
}

#[test]
fn every_layers_output_can_be_read() {
    let model = Sequential::new()
        .add(Input::new(1))
        .add(Dense::new(1).kernel_initializer(Constant(-2.0)))
        .add(Activation::new(Relu))
        .build(&Device::Cpu)
        .unwrap();
    let outputs = model.layer_outputs(column(&[1.0, -1.0])).unwrap();
    let got: Vec<(&str, Vec<f64>)> = outputs
        .iter()
        .map(|(name, values)| (name.as_str(), flat(values)))
        .collect();
    assert_eq!(
        got,
        [("dense", vec![-2.0, 2.0]), ("activation", vec![0.0, 2.0])]
    );
}
