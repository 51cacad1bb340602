//! The options of `fit` and `evaluate`, batches from a source, single batches, and layers that are
//! frozen, read and changed after `build`.

mod common;

use candle_keras::{
    Batch, BatchSource, OnBatch, Result, batches, callbacks::Callback, losses::Loss,
    metrics::Weighted, prelude::*,
};
use common::{assert_close, bits, flat, numbers};
use std::cell::RefCell;

/// y = w·x with w = 1 at first, of which the loss is w²·x² for targets of 0.
fn line(metrics: impl candle_keras::metrics::Metrics) -> Sequential {
    let dense = Dense::new(1).use_bias(false);
    let dense = dense.kernel_initializer(candle_keras::initializers::Ones);
    let model = Sequential::new().seed(1).add(Input::new(1)).add(dense);
    let mut model = model.build(&Device::Cpu).unwrap();
    model
        .compile(Sgd::new(0.01), MeanSquaredError::new(), metrics)
        .unwrap();
    model
}

fn column(values: &[f32]) -> Tensor {
    Tensor::from_slice(values, (values.len(), 1), &Device::Cpu).unwrap()
}

fn row(values: &[f32]) -> Tensor {
    Tensor::new(values, &Device::Cpu).unwrap()
}

fn quiet<'a>() -> Fit<'a> {
    Fit::new().verbose(0).shuffle(false)
}

fn error<T>(result: Result<T>) -> String {
    match result {
        Ok(_) => panic!("expected an error"),
        Err(error) => error.to_string(),
    }
}

#[test]
fn the_weighted_loss_is_divided_by_the_samples_and_a_weighted_metric_by_the_weights() {
    // Keras: residuals 1..5, weights 1, 0, 1, 0, 2: loss 12, mse 11, weighted mse 15.
    let x = column(&[1.0, 2.0, 3.0, 4.0, 5.0]);
    let y = column(&[0.0; 5]);
    let weights = row(&[1.0, 0.0, 1.0, 0.0, 2.0]);
    let squared = || candle_keras::metrics::MeanSquaredError::new();
    for batch_size in [1, 2, 5] {
        let model = line((squared(), Weighted(squared())));
        let options = Evaluate::new().batch_size(batch_size).verbose(0);
        let scores = model
            .evaluate_with(&x, &y, options.sample_weight(&weights))
            .unwrap();
        let names: Vec<&str> = scores.iter().map(|(name, _)| name).collect();
        assert_eq!(
            names,
            ["loss", "mean_squared_error", "weighted_mean_squared_error"]
        );
        let values: Vec<f64> = scores.iter().map(|(_, value)| value).collect();
        assert_close("scores", &values, &[12.0, 11.0, 15.0], 1e-6, 0.0);
    }
}

#[test]
fn class_weights_are_the_weights_of_the_samples_of_a_class() {
    let x = numbers(&[6, 1], "x");
    let y = column(&[0.0, 1.0, 1.0, 0.0, 1.0, 0.0]);
    let train = |options: Fit<'_>| {
        let mut model = line(());
        model.fit(&x, &y, options.batch_size(2)).unwrap();
        bits(&model)
    };
    let by_sample = train(quiet().sample_weight(row(&[1.0, 3.0, 3.0, 1.0, 3.0, 1.0])));
    assert_eq!(train(quiet().class_weight([(1, 3.0)])), by_sample);
    assert_ne!(train(quiet()), by_sample);
}

#[test]
fn class_weights_of_one_hot_targets_go_by_the_class() {
    let x = numbers(&[4, 3], "x");
    let labels = row(&[0.0, 2.0, 1.0, 2.0]);
    let one_hot = to_categorical(&labels, 3).unwrap();
    let train = |options: Fit<'_>| {
        let model = Sequential::new().seed(1).add(Input::new(3));
        let model = model.add(Dense::new(3).activation(Softmax));
        let mut model = model.build(&Device::Cpu).unwrap();
        model
            .compile(Sgd::new(0.1), CategoricalCrossentropy::new(), ())
            .unwrap();
        model.fit(&x, &one_hot, options).unwrap();
        bits(&model)
    };
    let by_sample = train(quiet().sample_weight(row(&[1.0, 5.0, 0.5, 5.0])));
    assert_eq!(train(quiet().class_weight([(1, 0.5), (2, 5.0)])), by_sample);
}

#[test]
fn labels_are_rounded_to_their_classes_of_which_any_whole_number_may_have_a_weight() {
    let y = column(&[-1.0, 2.6, 1.5, 2.5, 0.4]);
    let mut model = line(());
    let zero = Tensor::zeros((1, 1), DType::F32, &Device::Cpu).unwrap();
    model.set_weight("dense/kernel", &zero).unwrap();
    let weights = [(-1, 10.0), (3, 100.0), (2, 1000.0), (0, 10_000.0)];
    let options = quiet().class_weight(weights);
    let loss = model.fit(column(&[1.0; 5]), &y, options).unwrap()["loss"][0];
    // Keras 3.15.1: 1.5 and 2.5 are of class 2.
    assert_close("loss", &[loss], &[2157.199951171875], 1e-6, 0.0);
    for label in [f32::NAN, f32::INFINITY] {
        let y = column(&[0.0, label]);
        let text = error(line(()).fit(&y, &y, quiet().class_weight([(0u32, 2.0)])));
        assert_eq!(
            text,
            format!(
                "`y`: expected labels that are finite, to weight them by their classes, got {label}: mend or remove the samples"
            )
        );
    }
}

#[test]
fn every_step_has_the_weight_of_its_class_whatever_its_place() {
    let labels = Tensor::new(&[[0u32, 1], [1, 2], [0, 0]], &Device::Cpu).unwrap();
    let one_hot = to_categorical(&labels.flatten_all().unwrap(), 3).unwrap();
    let one_hot = one_hot.reshape((3, 2, 3)).unwrap();
    let by_step = Tensor::new(&[[2f32, 3.0], [3.0, 5.0], [2.0, 2.0]], &Device::Cpu).unwrap();
    let x = numbers(&[3, 2, 4], "x");
    let train = |loss: Box<dyn Loss>, y: &Tensor, options: Fit<'_>| {
        let model = Sequential::new().seed(1).add(Input::new((2, 4)));
        let model = model.add(Dense::new(3).activation(Softmax));
        let mut model = model.build(&Device::Cpu).unwrap();
        model.compile(Sgd::new(0.1), loss, ()).unwrap();
        model.fit(&x, y, options).unwrap();
        bits(&model)
    };
    let classes = || quiet().class_weight([(0, 2.0), (1, 3.0), (2, 5.0)]);
    let sparse = || SparseCategoricalCrossentropy::new().into();
    let expected = train(sparse(), &labels, quiet().sample_weight(&by_step));
    assert_eq!(train(sparse(), &labels, classes()), expected);
    let column = labels.unsqueeze(2).unwrap();
    assert_eq!(train(sparse(), &column, classes()), expected);
    let dense = || CategoricalCrossentropy::new().into();
    let expected = train(dense(), &one_hot, quiet().sample_weight(&by_step));
    assert_eq!(train(dense(), &one_hot, classes()), expected);
}

#[test]
fn weights_that_do_not_fit_are_errors() {
    let (x, y) = (column(&[1.0, 2.0]), column(&[0.0, 1.0]));
    let fit = |options: Fit<'_>| error(line(()).fit(&x, &y, options));
    assert_eq!(
        fit(quiet()
            .class_weight([(0, 1.0)])
            .sample_weight(row(&[1.0, 1.0]))),
        "`class_weight`: expected class_weight or sample_weight, got both: multiply the samples' weights by those of their classes"
    );
    assert_eq!(
        fit(quiet().sample_weight(row(&[1.0]))),
        "`sample_weight`: expected shape (2,), got (1,): give a weight for each sample"
    );
    assert_eq!(
        fit(quiet().class_weight([(3, -1.0)])),
        "`class_weight of class 3`: expected a finite number of at least 0, got -1: 1 counts a sample once"
    );
}

#[test]
fn initial_epoch_numbers_the_epochs_as_if_the_ones_before_were_trained() {
    let (x, y) = (column(&[1.0, 2.0]), column(&[0.0, 0.0]));
    let mut model = line(());
    let history = model
        .fit(&x, &y, quiet().initial_epoch(3).epochs(5))
        .unwrap();
    assert_eq!(history.epochs(), [3, 4]);
    assert_eq!(
        error(model.fit(&x, &y, quiet().initial_epoch(6).epochs(5))),
        "`initial_epoch`: expected at most epochs, 5, got 6: epochs is the number of the last one, not how many are added"
    );
}

#[test]
fn a_training_that_is_already_done_trains_nothing_and_gives_an_empty_history() {
    let (x, y) = (column(&[1.0, 2.0]), column(&[0.0, 0.0]));
    let mut model = line(());
    let optimizer = Sgd::new(0.1).use_ema(true);
    model
        .compile(optimizer, MeanSquaredError::new(), ())
        .unwrap();
    model.set_weight("dense/kernel", &column(&[3.0])).unwrap();
    let mut counted = Counted::default();
    let calls = RefCell::new(Vec::new());
    let note = |call| {
        calls.borrow_mut().push(call);
        Ok(())
    };
    let lambda = LambdaCallback::new()
        .on_train_begin(|_| note("begin"))
        .on_train_end(|_| note("end"));
    let options = quiet().initial_epoch(5).epochs(5).callback(lambda);
    let options = options.callback(&mut counted);
    let history = model.fit(&x, &y, options).unwrap();
    assert!(history.epochs().is_empty());
    assert_eq!(history.names().count(), 0);
    assert_eq!(*calls.borrow(), ["begin", "end"]);
    assert!(counted.0.is_empty());
    assert_eq!(flat(&model.weight("dense/kernel").unwrap()), [3.0]);
}

/// Notes the batches of each epoch.
#[derive(Default)]
struct Counted(Vec<usize>);

impl Callback for Counted {
    fn on_epoch_begin(&mut self, _: usize, _: &mut Sequential) -> Result<()> {
        self.0.push(0);
        Ok(())
    }
    fn on_train_batch_end(&mut self, _: usize, _: &mut Sequential) -> Result<()> {
        *self.0.last_mut().unwrap() += 1;
        Ok(())
    }
}

#[test]
fn steps_per_epoch_goes_on_where_the_epoch_before_ended_and_stops_where_the_data_do() {
    let (x, y) = (numbers(&[5, 1], "x"), numbers(&[5, 1], "y"));
    let mut counted = Counted::default();
    let options = quiet().batch_size(1).steps_per_epoch(2).epochs(3);
    let mut steps = line(());
    steps.fit(&x, &y, options.callback(&mut counted)).unwrap();
    assert_eq!(counted.0, [2, 2, 1]);
    let mut whole = line(());
    whole.fit(&x, &y, quiet().batch_size(1)).unwrap();
    assert_eq!(bits(&steps), bits(&whole));
}

#[test]
fn an_epoch_begins_with_the_first_batch_where_the_one_before_took_the_last() {
    // Keras 3.15.1 on TensorFlow has the same counts.
    let (x, y) = (numbers(&[8, 1], "x"), numbers(&[8, 1], "y"));
    for (steps, epochs, expected) in [
        (2, 4, &[2, 2, 2, 2][..]),
        (3, 4, &[3, 1, 3, 1]),
        (4, 3, &[4, 4, 4]),
        (8, 2, &[4, 4]),
    ] {
        let mut counted = Counted::default();
        let options = || quiet().batch_size(2).steps_per_epoch(steps).epochs(epochs);
        let mut model = line(());
        let history = model.fit(&x, &y, options().callback(&mut counted)).unwrap();
        assert_eq!(counted.0, expected);
        assert!(history["loss"].iter().all(|loss| loss.is_finite()));
        let mut counted = Counted::default();
        let source = in_parts(&x, &y, 2);
        let options = quiet().steps_per_epoch(steps).epochs(epochs);
        let options = options.callback(&mut counted);
        let mut streamed = line(());
        streamed.fit_batches(source, options).unwrap();
        assert_eq!(counted.0, expected);
        assert_eq!(bits(&streamed), bits(&model));
    }
}

#[test]
fn a_bad_number_in_an_epoch_that_goes_on_in_the_data_is_looked_for_in_its_own_batch() {
    let x = column(&[1.0, 1.0, 1.0, f32::NAN]);
    let options = quiet().batch_size(1).steps_per_epoch(2).epochs(2);
    let text = error(line(()).fit(&x, column(&[0.0; 4]), options));
    let start = "epoch 2, step 2: x holds a number that is not finite";
    assert!(text.starts_with(start), "{text}");
}

#[test]
fn validation_takes_the_steps_and_the_epochs_that_were_asked_for() {
    let (x, y) = (column(&[1.0, 2.0, 3.0, 4.0]), column(&[0.0; 4]));
    let validated = |options: Fit<'_>| {
        let mut model = line(());
        let options = options.validation_data(&x, &y).batch_size(2).epochs(4);
        model.fit(&x, &y, options).unwrap()
    };
    let every_second = validated(quiet().validation_freq(2));
    assert_eq!(every_second["val_loss"].len(), 2);
    let these = validated(quiet().validation_epochs([1, 4]));
    assert_eq!(these["val_loss"].len(), 2);
    let all = validated(quiet());
    assert_eq!(these["val_loss"], [all["val_loss"][0], all["val_loss"][3]]);
    assert_eq!(
        every_second["val_loss"],
        [all["val_loss"][1], all["val_loss"][3]]
    );
    // Of 1, 2, 3, 4 the first batch has the smaller squares.
    let first_batch = validated(quiet().validation_steps(1));
    assert_close(
        "ratio",
        &[first_batch["val_loss"][0] / all["val_loss"][0]],
        &[2.5 / 7.5],
        1e-6,
        0.0,
    );
}

fn sixteen() -> (Tensor, Tensor) {
    (numbers(&[16, 1], "x"), numbers(&[16, 1], "y"))
}

/// The batches of four of [`sixteen`], as a source.
fn in_fours() -> impl BatchSource {
    let (x, y) = sixteen();
    in_parts(&x, &y, 4)
}

/// These samples in batches of `size`, as a source.
fn in_parts(x: &Tensor, y: &Tensor, size: usize) -> impl BatchSource + use<> {
    let (x, y) = (x.clone(), y.clone());
    batches(move || {
        let (x, y) = (x.clone(), y.clone());
        (0..x.dims()[0] / size).map(move |batch| {
            let part = |all: &Tensor| all.narrow(0, size * batch, size);
            Ok(Batch::new(part(&x)?, part(&y)?))
        })
    })
}

#[test]
fn batches_from_a_source_train_and_score_as_the_same_samples_at_hand() {
    let (x, y) = sixteen();
    let (mut at_hand, mut streamed) = (line(()), line(()));
    let options = || quiet().epochs(3);
    let first = at_hand
        .fit(&x, &y, options().batch_size(4).validation_data(&x, &y))
        .unwrap();
    let second = streamed.fit_batches(in_fours(), options().validation_batches(in_fours()));
    assert_eq!(first, second.unwrap());
    assert_eq!(bits(&at_hand), bits(&streamed));
    let quiet = || Evaluate::new().verbose(0);
    let scores = at_hand
        .evaluate_with(&x, &y, quiet().batch_size(4))
        .unwrap();
    assert_eq!(
        streamed.evaluate_batches(in_fours(), quiet()).unwrap(),
        scores
    );
}

#[test]
fn an_endless_source_gives_as_many_steps_as_an_epoch_asks_for_and_is_not_begun_again() {
    struct Endless(u64);
    impl BatchSource for &mut Endless {
        fn next_batch(&mut self) -> Result<Option<Batch>> {
            self.0 += 1;
            Ok(Some(Batch::new(
                numbers(&[2, 1], "x"),
                numbers(&[2, 1], "y"),
            )))
        }
        fn restart(&mut self) -> Result<()> {
            assert_eq!(self.0, 0, "begun only once");
            Ok(())
        }
    }
    let mut source = Endless(0);
    let mut counted = Counted::default();
    let options = quiet().steps_per_epoch(5).epochs(3).callback(&mut counted);
    line(()).fit_batches(&mut source, options).unwrap();
    assert_eq!(counted.0, [5, 5, 5]);
    assert_eq!(source.0, 15);
}

#[test]
fn a_source_without_batches_or_with_a_bad_one_is_an_error() {
    let empty = batches(std::iter::empty::<Result<Batch>>);
    assert_eq!(
        error(line(()).fit_batches(empty, quiet())),
        "`batches` holds no samples, expected at least one: check how it was loaded or sliced"
    );
    let wide =
        batches(|| std::iter::once(Ok(Batch::new(numbers(&[2, 3], "x"), column(&[0.0; 2])))));
    let text = error(line(()).fit_batches(wide, quiet()));
    assert!(
        text.starts_with("batch `0`: `x`: expected shape (n, 1), got (2, 3)"),
        "{text}"
    );
    let text = error(line(()).fit_batches(in_fours(), quiet().batch_size(4)));
    assert_eq!(
        text,
        "`batch_size`: expected no such option with batches from a source, got one: let the source give batches as they are wanted, or call fit"
    );
}

#[test]
fn single_batches_train_as_fit_does() {
    let (x, y) = sixteen();
    let (mut fitted, mut stepped) = (line(()), line(()));
    let history = fitted.fit(&x, &y, quiet().batch_size(4)).unwrap();
    let mut losses = 0.0;
    for batch in 0..4 {
        let part = |all: &Tensor| all.narrow(0, 4 * batch, 4).unwrap();
        losses += stepped.train_on_batch(part(&x), part(&y)).unwrap()["loss"];
    }
    assert_close("loss", &[losses / 4.0], &history["loss"], 1e-12, 0.0);
    assert_eq!(bits(&fitted), bits(&stepped));
    let options = OnBatch::new().sample_weight(Tensor::full(2f32, 16, &Device::Cpu).unwrap());
    let doubled = stepped.test_on_batch_with(&x, &y, options).unwrap()["loss"];
    let plain = stepped.test_on_batch(&x, &y).unwrap()["loss"];
    assert_close("doubled", &[doubled], &[2.0 * plain], 1e-6, 0.0);
    let outputs = stepped.predict_on_batch(&x).unwrap();
    assert_eq!(flat(&outputs), flat(&stepped.predict(&x).unwrap()));
}

#[test]
fn single_batches_give_the_loss_and_metrics_of_the_batch_alone() {
    // Keras 3.15.1 on TensorFlow gives these losses, with SGD(0.1).
    let mut model = line([Accuracy]);
    model.set_learning_rate(0.1).unwrap();
    let (x, y) = (column(&[1.0]), column(&[0.0]));
    let trained = (0..3).map(|_| model.train_on_batch(&x, &y).unwrap()["loss"]);
    let trained: Vec<f64> = trained.collect();
    let expected = [1.0, 0.64000004529953, 0.40959998965263367];
    assert_close("trained", &trained, &expected, 1e-6, 0.0);
    let tested = [1.0, 2.0, 3.0].map(|x| model.test_on_batch(column(&[x]), &y).unwrap()["loss"]);
    let expected = [0.26214396953582764, 1.0485758781433105, 2.359295606613159];
    assert_close("tested", &tested, &expected, 1e-6, 0.0);
    let right = column(&[0.0]);
    assert_eq!(model.test_on_batch(&right, &y).unwrap()["accuracy"], 1.0);
    assert_eq!(model.train_on_batch(&x, &y).unwrap()["accuracy"], 0.0);
}

#[test]
fn a_batch_of_numbers_that_are_not_finite_is_an_error_and_changes_no_weight() {
    let mut model = line(());
    let before = bits(&model);
    let text = error(model.train_on_batch(column(&[f32::NAN]), column(&[0.0])));
    assert!(text.contains("mend or remove the samples"), "{text}");
    assert_eq!(bits(&model), before);
}

#[test]
fn a_batch_is_trained_on_whatever_the_batches_before_it_were() {
    let (x, y) = (column(&[1.0]), column(&[0.0]));
    let bad = column(&[f32::NAN]);
    let good_after = |spoil: &dyn Fn(&mut Sequential)| {
        let mut model = line(());
        spoil(&mut model);
        let logs = model.train_on_batch(&x, &y).unwrap();
        (logs["loss"], bits(&model))
    };
    let untouched = good_after(&|_| ());
    assert_eq!(untouched.0, 1.0);
    let tested = good_after(&|model| {
        let logs = model.test_on_batch(&bad, &y).unwrap();
        assert!(logs["loss"].is_nan());
    });
    assert_eq!(tested, untouched);
    let trained = good_after(&|model| drop(error(model.train_on_batch(&bad, &y))));
    assert_eq!(trained, untouched);
    let fitted = good_after(&|model| drop(error(model.fit(&bad, &y, quiet()))));
    assert_eq!(fitted, untouched);
    let terminated = good_after(&|model| {
        let options = quiet().callback(TerminateOnNaN::new());
        drop(model.fit(&bad, &y, options).unwrap());
    });
    assert_eq!(terminated, untouched);
}

#[test]
fn a_callback_that_accepts_a_bad_batch_and_goes_on_trains_the_batches_after_it() {
    struct Accepts;
    impl Callback for Accepts {
        fn accepts_not_finite(&self) -> bool {
            true
        }
    }
    let trained = |values: &[f32]| {
        let mut model = line(());
        let (x, y) = (column(values), column(&vec![0.0; values.len()]));
        let options = quiet().batch_size(1).callback(Accepts);
        let history = model.fit(&x, &y, options).unwrap();
        (history["loss"][0], bits(&model))
    };
    let (loss, bits) = trained(&[1.0, f32::NAN, 2.0]);
    assert!(loss.is_nan(), "the epoch's mean is over all batches");
    assert_eq!(bits, trained(&[1.0, 2.0]).1);
}

fn two_layers() -> Sequential {
    let model = Sequential::new().seed(1).add(Input::new(2));
    let model = model.add(Dense::new(3).name("base").activation(Tanh));
    let mut model = model
        .add(Dense::new(1).name("head"))
        .build(&Device::Cpu)
        .unwrap();
    model
        .compile(Adam::new(0.1), MeanSquaredError::new(), ())
        .unwrap();
    model
}

#[test]
fn a_frozen_layer_keeps_its_weights_and_learns_again_once_it_may() {
    let (x, y) = (numbers(&[8, 2], "x"), numbers(&[8, 1], "y"));
    let mut model = two_layers();
    model.set_trainable("base", false).unwrap();
    let of = |model: &Sequential, path: &str| flat(&model.weight(path).unwrap());
    let (base, head) = (of(&model, "base/kernel"), of(&model, "head/kernel"));
    model.fit(&x, &y, quiet()).unwrap();
    assert_eq!(of(&model, "base/kernel"), base);
    assert_ne!(of(&model, "head/kernel"), head);
    assert!(!model.layer("base").unwrap().trainable());
    let summary = model.summary().to_string();
    assert!(
        summary.contains(" Trainable params: 4 (16.00 B)"),
        "{summary}"
    );
    assert!(
        summary.contains(" Non-trainable params: 9 (36.00 B)"),
        "{summary}"
    );
    model.set_trainable("base", true).unwrap();
    model.fit(&x, &y, quiet()).unwrap();
    assert_ne!(of(&model, "base/kernel"), base);
    assert_eq!(
        error(model.set_trainable("bases", true)),
        "no layer is named `bases`: expected one of `base`, `head`"
    );
}

#[test]
fn a_way_back_behind_a_layers_unfreezing_gives_every_weight_its_own_slots() {
    let (x, y) = (numbers(&[8, 2], "x"), numbers(&[8, 1], "y"));
    let mut values: Vec<f32> = flat(&x).iter().map(|x| *x as f32).collect();
    values[7 * 2] = f32::NAN;
    let bad = Tensor::from_vec(values, (8, 2), &Device::Cpu).unwrap();
    let half_trained = || {
        let mut model = two_layers();
        model.set_trainable("base", false).unwrap();
        model.fit(&x, &y, quiet().epochs(2)).unwrap();
        model
    };
    let mut thrown_back = half_trained();
    let unfreezes = LambdaCallback::new().on_train_batch_begin(|batch, model| match batch {
        1 => model.set_trainable("base", true),
        _ => Ok(()),
    });
    let options = quiet().batch_size(2).callback(unfreezes);
    let text = error(thrown_back.fit(&bad, &y, options));
    assert!(text.starts_with("epoch 1, step 4: x holds"), "{text}");
    assert_eq!(bits(&thrown_back), bits(&half_trained()));
    let mut untouched = half_trained();
    untouched.set_trainable("base", true).unwrap();
    for model in [&mut thrown_back, &mut untouched] {
        model.fit(&x, &y, quiet().epochs(2)).unwrap();
    }
    assert_eq!(bits(&thrown_back), bits(&untouched));
}

#[test]
fn a_layer_that_is_made_untrainable_is_built_so_and_its_penalty_is_dropped() {
    let regularized = |trainable| {
        let dense = Dense::new(1).trainable(trainable);
        let dense = dense.kernel_regularizer(candle_keras::regularizers::L2::new(1.0));
        let dense = dense.kernel_initializer(candle_keras::initializers::Ones);
        let model = Sequential::new().add(Input::new(1)).add(dense);
        let mut model = model.build(&Device::Cpu).unwrap();
        model
            .compile(Sgd::new(0.1), MeanSquaredError::new(), ())
            .unwrap();
        let (x, y) = (column(&[1.0]), column(&[1.0]));
        let loss = model.fit(&x, &y, quiet()).unwrap()["loss"][0];
        (loss, flat(&model.weight("dense/kernel").unwrap()))
    };
    assert_eq!(regularized(true), (1.0, vec![0.800000011920929]));
    assert_eq!(regularized(false), (0.0, vec![1.0]));
}

#[test]
fn all_weights_are_read_and_given_in_order_or_none() {
    let (first, mut second) = (two_layers(), two_layers());
    let others = first.get_weights().unwrap().into_iter();
    let others: Vec<Tensor> = others.map(|weight| (weight + 1.0).unwrap()).collect();
    second.set_weights(&others).unwrap();
    assert_ne!(bits(&first), bits(&second));
    second.set_weights(&first.get_weights().unwrap()).unwrap();
    assert_eq!(bits(&first), bits(&second));
    let mut other = first.get_weights().unwrap();
    other[0] = (&other[0] + 1.0).unwrap();
    other[3] = numbers(&[2], "wrong");
    assert_eq!(
        error(second.set_weights(&other)),
        "`head/bias`: expected (1,), got (2,): give as many numbers as the weight has, in its shape"
    );
    assert_eq!(bits(&first), bits(&second), "nothing was changed");
    assert_eq!(
        error(second.set_weights(&other[..2])),
        "`weights`: expected 4 tensors: base/kernel, base/bias, head/kernel, head/bias, got 2: give one for each weight, in order"
    );
}

#[test]
fn layers_are_taken_off_and_put_on_after_build() {
    let model = two_layers().pop().unwrap();
    let model = model
        .add(Dense::new(5).name("wider"))
        .build(&Device::Cpu)
        .unwrap();
    assert_eq!(model.layer_names(), ["base", "wider"]);
    assert_eq!(model.output_shape(), [5]);
    let shapes: Vec<&[usize]> = model.layers().map(|layer| layer.output_shape()).collect();
    assert_eq!(shapes, [&[3][..], &[5]]);
    assert_eq!(model.layer("wider").unwrap().weights().len(), 2);
    let emptied = model.pop().unwrap().pop().unwrap();
    assert!(error(emptied.pop()).starts_with("the model has no layers"));
}

#[test]
fn a_layer_keeps_its_weights_and_whether_it_trains_when_others_come_and_go() {
    let mut trained = two_layers();
    trained.set_trainable("base", false).unwrap();
    let values = |model: &Sequential, path: &str| flat(&model.weight(path).unwrap());
    let kernel = values(&trained, "base/kernel");
    let model = trained.pop().unwrap().add(Dense::new(2).name("head"));
    let model = model.build(&Device::Cpu).unwrap();
    assert_eq!(values(&model, "base/kernel"), kernel);
    assert!(!model.layer("base").unwrap().trainable());
    assert_ne!(values(&model, "head/kernel"), kernel[..2]);
    assert_eq!(values(&model, "head/bias"), [0.0, 0.0], "it is a new layer");
    let again = model.dtype(DType::F64).build(&Device::Cpu).unwrap();
    assert_eq!(values(&again, "base/kernel"), kernel);
    assert_eq!(again.weight("base/kernel").unwrap().dtype(), DType::F64);
}

#[test]
fn penalties_of_weights_and_outputs_are_part_of_the_loss_and_of_the_validations() {
    // w = 1, x = 2: error² 4, penalty of the weight 0.5·1², of the outputs 0.25·(2² + 2²)/2.
    let dense = Dense::new(1)
        .use_bias(false)
        .kernel_initializer(candle_keras::initializers::Ones)
        .kernel_regularizer(candle_keras::regularizers::L2::new(0.5))
        .activity_regularizer(candle_keras::regularizers::L2::new(0.25));
    let model = Sequential::new().add(Input::new(1)).add(dense);
    let mut model = model.build(&Device::Cpu).unwrap();
    model
        .compile(Sgd::new(0.1), MeanSquaredError::new(), ())
        .unwrap();
    let (x, y) = (column(&[2.0, 2.0]), column(&[0.0, 0.0]));
    let scores = model
        .evaluate_with(&x, &y, Evaluate::new().verbose(0))
        .unwrap();
    assert_close("loss", &[scores["loss"]], &[4.0 + 0.5 + 1.0], 1e-6, 0.0);
    // 2·2·2 of the error, 2·0.5·1 of the weight, 0.25·2·2·2 of the outputs.
    let gradients = model.gradients(&x, &y).unwrap();
    assert_close(
        "gradient",
        &flat(&gradients[0].1),
        &[8.0 + 1.0 + 2.0],
        1e-6,
        0.0,
    );
}
