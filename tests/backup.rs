//! A training that was ended in its middle, and started again, is one that never ended.

mod common;

use candle_keras::{
    Error, Result,
    callbacks::{BackupAndRestore, Callback, SaveFreq, State},
    metrics::{Auc, F1Score, Metric, Precision, R2Score, RootMeanSquaredError, from_fn},
    optimizers::Optimizer,
    prelude::*,
};
use common::{bits, numbers};
use serde_json::{Value, json};
use std::{
    fs,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

/// Dropout, batch normalisation and shuffling: all that draws or remembers.
fn network(optimizer: impl Into<Box<dyn Optimizer>>) -> Sequential {
    let mut model = Sequential::new()
        .seed(7)
        .add(Input::new(6))
        .add(Dense::new(5).activation(Relu))
        .add(BatchNormalization::new().momentum(0.8))
        .add(Dropout::new(0.3))
        .add(Dense::new(3).activation(Softmax))
        .build(&Device::Cpu)
        .unwrap();
    let metrics = (Accuracy, F1Score::new(), Auc::new());
    model
        .compile(optimizer, CategoricalCrossentropy::new(), metrics)
        .unwrap();
    model
}

fn data() -> (Tensor, Tensor) {
    let y = to_categorical(&common::labels(28, 3), 3).unwrap();
    (numbers(&[28, 6], "x"), y)
}

/// Ends a training with an error after a batch, counted over all epochs; what is in memory is lost then
/// as by a kill.
struct Kill(Option<usize>);

impl Callback for Kill {
    fn on_train_batch_begin(&mut self, _batch: usize, _model: &mut Sequential) -> Result<()> {
        match &mut self.0 {
            Some(0) => Err(Error::callback("killed")),
            Some(left) => {
                *left -= 1;
                Ok(())
            }
            None => Ok(()),
        }
    }
}

/// What a training comes to.
#[derive(Debug, PartialEq)]
struct End {
    bits: Vec<u64>,
    history: History,
    learning_rate: f64,
    rows: String,
    best: Vec<u64>,
    stopping: (Option<usize>, Option<usize>, Option<u64>),
}

/// A program with every callback that remembers something.
fn program(folder: &Path, backups: Option<BackupAndRestore>, kill: Option<usize>) -> Result<End> {
    let mut model = network(Adam::new(0.02));
    let (x, y) = data();
    let mut stopping = EarlyStopping::new().patience(3).restore_best_weights(true);
    let best = folder.join("best.keras");
    let rows = folder.join("rows.csv");
    let reduction = ReduceLROnPlateau::new().patience(1).factor(0.7);
    let mut options = Fit::new()
        .epochs(9)
        .batch_size(6)
        .validation_split(0.3)
        .verbose(0)
        .callback(Kill(kill))
        .callback(LearningRateScheduler::new(|_, rate| rate * 0.99))
        .callback(CSVLogger::new(&rows))
        .callback(ModelCheckpoint::new(&best).save_best_only(true))
        .callback(&mut stopping)
        .callback(reduction);
    if let Some(backups) = backups {
        options = options.callback(backups);
    }
    let history = model.fit(&x, &y, options)?;
    Ok(End {
        bits: bits(&model),
        history,
        learning_rate: model.learning_rate()?,
        rows: fs::read_to_string(rows).unwrap(),
        best: bits(&Sequential::load(best, &Device::Cpu)?),
        stopping: (
            stopping.stopped_epoch(),
            stopping.best_epoch(),
            stopping.best().map(f64::to_bits),
        ),
    })
}

fn text<T>(result: Result<T>) -> String {
    result.map(drop).unwrap_err().to_string()
}

#[test]
fn a_training_that_was_killed_ends_with_the_bits_of_one_that_never_was() {
    let unbroken = {
        let folder = tempfile::tempdir().unwrap();
        program(folder.path(), None, None).unwrap()
    };
    let epochs = unbroken.history.epochs().len();
    assert_eq!(unbroken.stopping.0, Some(epochs - 1));
    assert!(unbroken.learning_rate < 0.02 * 0.99f64.powi(epochs as i32));
    for save_freq in [SaveFreq::Epoch, SaveFreq::Batches(1), SaveFreq::Batches(3)] {
        for kill in [0, 1, 4, 5, 7, 8, 11] {
            let temporary = tempfile::tempdir().unwrap();
            let folder = temporary.path().join("backup");
            let backups = BackupAndRestore::new(&folder).save_freq(save_freq);
            // Killed three times, and after none to two backups each.
            for kill in [kill, 1, 3] {
                let killed = program(temporary.path(), Some(backups.clone()), Some(kill));
                assert_eq!(text(killed), "callback: killed", "{save_freq:?} {kill}");
                Sequential::load(folder.join("latest.keras"), &Device::Cpu).unwrap();
            }
            let end = program(temporary.path(), Some(backups), None).unwrap();
            assert_eq!(end, unbroken, "{save_freq:?}, {kill}");
            assert!(!folder.exists());
        }
    }
}

/// A training with options of its own, killed after `kill` batches and started again.
fn resumed(
    optimizer: impl Fn() -> Box<dyn Optimizer>,
    fit: impl Fn(&mut Sequential, Fit<'_>) -> Result<History>,
    save_freq: SaveFreq,
    kill: usize,
) {
    let temporary = tempfile::tempdir().unwrap();
    let run = |kill, backups: Option<BackupAndRestore>| {
        let mut model = network(optimizer());
        let mut options = Fit::new().verbose(0).callback(Kill(kill));
        if let Some(backups) = backups {
            options = options.callback(backups);
        }
        let history = fit(&mut model, options)?;
        Ok::<_, Error>((bits(&model), history))
    };
    let unbroken = run(None, None).unwrap();
    let backups = BackupAndRestore::new(temporary.path().join("backup")).save_freq(save_freq);
    assert!(run(Some(kill), Some(backups.clone())).is_err());
    let end = run(None, Some(backups)).unwrap();
    assert_eq!(end, unbroken, "{save_freq:?}, {kill}");
}

#[test]
fn epochs_that_are_a_part_of_the_data_and_batches_of_a_source_are_taken_up_where_they_were() {
    let (x, y) = data();
    let (x, y) = (&x, &y);
    let source = || {
        candle_keras::batches(move || {
            (0..7).map(move |batch| {
                let part = |tensor: &Tensor| tensor.narrow(0, 4 * batch, 4);
                Ok(Batch::new(part(x)?, part(y)?))
            })
        })
    };
    for save_freq in [SaveFreq::Epoch, SaveFreq::Batches(2)] {
        for kill in [1, 4, 6, 8, 12] {
            resumed(
                || Adam::new(0.01).into(),
                |model, options| {
                    model.fit(x, y, options.batch_size(4).steps_per_epoch(3).epochs(5))
                },
                save_freq,
                kill,
            );
            resumed(
                || Adam::new(0.01).into(),
                |model, options| model.fit_batches(source(), options.steps_per_epoch(3).epochs(5)),
                save_freq,
                kill,
            );
            resumed(
                || Adam::new(0.01).into(),
                |model, options| model.fit_batches(source(), options.epochs(2)),
                save_freq,
                kill,
            );
        }
    }
}

#[test]
fn averages_and_sums_of_gradients_are_taken_up_as_well() {
    let (x, y) = data();
    let optimizer = || {
        let sgd = Sgd::new(0.05).momentum(0.9).use_ema(true);
        sgd.gradient_accumulation_steps(3).into()
    };
    for kill in [2, 5, 7] {
        let fit = |model: &mut Sequential, options: Fit<'_>| {
            model.fit(&x, &y, options.batch_size(8).epochs(3))
        };
        resumed(optimizer, fit, SaveFreq::Batches(1), kill);
    }
}

#[test]
fn a_program_without_a_seed_goes_on_with_the_one_it_drew() {
    let temporary = tempfile::tempdir().unwrap();
    let folder = temporary.path().join("backup");
    let (x, y) = data();
    let run = |kill| {
        let network = Sequential::new().add(Input::new(6)).add(Dropout::new(0.5));
        let mut model = network.add(Dense::new(3)).build(&Device::Cpu)?;
        model.compile(Adam::new(0.01), MeanSquaredError::new(), ())?;
        let seed = model.current_seed();
        let options = Fit::new().verbose(0).callback(Kill(kill));
        let fitted = model.fit(&x, &y, options.callback(BackupAndRestore::new(&folder)));
        Ok::<_, Error>((seed, fitted.map(|_| model)))
    };
    let (seed, killed) = run(Some(0)).unwrap();
    assert!(killed.is_err());
    let (other, resumed) = run(None).unwrap();
    assert_ne!(other, seed);
    assert_eq!(resumed.unwrap().current_seed(), seed);
}

/// A callback of the user's own: the sum of the losses, and the first weights.
#[derive(Default)]
struct Own {
    sum: f64,
    first: Vec<Tensor>,
    hooks: Vec<&'static str>,
}

impl Callback for Own {
    fn on_train_begin(&mut self, model: &mut Sequential) -> Result<()> {
        self.first = model.get_weights()?;
        // And of nothing, which a long run of tests/hostile.rs found to be an error.
        self.first
            .push(Tensor::zeros((2, 0), DType::F32, &Device::Cpu)?);
        self.hooks.push("begin");
        Ok(())
    }
    fn on_epoch_end(&mut self, _: usize, logs: &mut Logs, _: &mut Sequential) -> Result<()> {
        self.sum += logs["loss"];
        Ok(())
    }
    fn state(&self) -> Result<State> {
        Ok(State::of(self.sum)?.tensors(self.first.clone()))
    }
    fn on_train_resume(&mut self, state: State, _model: &mut Sequential) -> Result<()> {
        self.sum = state.read()?;
        self.first = state.tensors;
        self.hooks.push("resume");
        Ok(())
    }
}

#[test]
fn a_callback_of_the_users_own_gets_back_what_it_gave() {
    let temporary = tempfile::tempdir().unwrap();
    let (x, y) = data();
    let run = |name: &str, kill| {
        let mut own = Own::default();
        let mut model = network(Sgd::new(0.1));
        let backups = BackupAndRestore::new(temporary.path().join(name));
        let options = Fit::new().epochs(4).verbose(0).callback(Kill(kill));
        let fitted = model.fit(&x, &y, options.callback(&mut own).callback(backups));
        let shaped = |tensor: &Tensor| (tensor.dims().to_vec(), common::flat(tensor));
        let first: Vec<_> = own.first.iter().map(shaped).collect();
        (fitted.is_ok(), own.sum.to_bits(), first, own.hooks)
    };
    let (_, sum, first, hooks) = run("unbroken", None);
    assert_eq!(hooks, ["begin"]);
    assert!(!run("killed", Some(3)).0);
    assert_eq!(run("killed", None), (true, sum, first, vec!["resume"]));
}

#[test]
fn what_a_metric_has_counted_is_taken_up() {
    let metrics: Vec<Box<dyn Metric>> = vec![
        Box::new(Accuracy),
        Box::new(candle_keras::metrics::MeanSquaredError::new()),
        Box::new(RootMeanSquaredError::new()),
        Box::new(from_fn("mine", |_, y_pred| Ok(y_pred.max(1)?))),
        Box::new(Precision::new().thresholds([0.2, 0.5])),
        Box::new(Auc::new().multi_label()),
        Box::new(F1Score::new()),
        Box::new(candle_keras::metrics::OneHotMeanIoU::new(3)),
        Box::new(R2Score::new()),
    ];
    let (_, y) = data();
    let outputs = numbers(&[28, 3], "outputs").abs().unwrap();
    let part = |tensor: &Tensor, half: usize| tensor.narrow(0, 14 * half, 14).unwrap();
    for metric in metrics {
        let name = metric.name();
        let mut unbroken = metric.counter();
        // A state before the first sample is one as well.
        let nothing = unbroken.state().unwrap().expect("a state");
        assert!(metric.counter().restore(&nothing), "{name}");
        let count = |counter: &mut Box<dyn candle_keras::metrics::Counter>, half: usize| {
            let (y_true, y_pred) = (part(&y, half), part(&outputs, half));
            counter.update(&y_true, &y_pred, None).unwrap();
        };
        count(&mut unbroken, 0);
        let mut again = metric.counter();
        assert!(again.restore(&unbroken.state().unwrap().unwrap()), "{name}");
        count(&mut unbroken, 1);
        count(&mut again, 1);
        assert_eq!(
            again.values().unwrap(),
            unbroken.values().unwrap(),
            "{name}"
        );
        let other_counts = [&[1.0; 5][..], &[1.0, 1.0, 1e300], &[1.0, 1.0, 0.5]];
        for counts in other_counts {
            assert!(!metric.counter().restore(counts), "{name} {counts:?}");
        }
    }
}

#[test]
fn the_backup_of_another_program_is_an_error_that_says_so() {
    let temporary = tempfile::tempdir().unwrap();
    let folder = temporary.path().join("backup");
    let backups = || BackupAndRestore::new(&folder);
    let latest = folder.join("latest.keras");
    let (x, y) = data();
    let fit = |mut model: Sequential, options: Fit<'_>| {
        model.fit(&x, &y, options.verbose(0).callback(backups()))
    };
    let killed = Fit::new().callback(Kill(Some(0)));
    assert!(fit(network(Adam::new(0.01)), killed).is_err());
    let advice = "start the program as it was, or remove the backup to begin anew";
    let latest = latest.display();
    assert_eq!(
        text(fit(
            network(Sgd::new(0.01)),
            Fit::new().callback(Kill(None))
        )),
        format!(
            "{latest}: the backup of a model with other layers, or compiled otherwise: {advice}"
        )
    );
    assert_eq!(
        text(fit(network(Adam::new(0.01)), Fit::new())),
        format!("{latest}: the backup of a fit with 2 callbacks, got 1: {advice}")
    );
    let other = Fit::new().callback(Kill(None)).batch_size(7);
    assert_eq!(
        text(fit(network(Adam::new(0.01)), other)),
        format!("{latest}: the backup of a fit with 1 batches in an epoch, got 4: {advice}")
    );
    let two = Fit::new().callback(backups());
    assert_eq!(
        text(fit(network(Adam::new(0.01)), two)),
        "`callbacks`: expected one BackupAndRestore, got two: keep one: its double_checkpoint(true) keeps two backups"
    );
    // A model that was saved by itself says nothing of a fit.
    let model = network(Adam::new(0.01));
    model.save(folder.join("latest.keras")).unwrap();
    assert_eq!(
        text(fit(model, Fit::new())),
        format!("{latest}: a model that is no backup of a running fit: remove it to begin anew")
    );
    let none = backups().save_freq(SaveFreq::Batches(0));
    let fitted = network(Adam::new(0.01)).fit(&x, &y, Fit::new().callback(none));
    assert!(text(fitted).starts_with("`save_freq`: expected at least 1 batch, got 0"));
}

#[test]
fn where_the_latest_backup_is_damaged_the_one_before_it_is_taken_up() {
    let temporary = tempfile::tempdir().unwrap();
    let run = |double, kill| {
        let folder = temporary.path().join("backup");
        let backups = BackupAndRestore::new(folder).double_checkpoint(double);
        program(temporary.path(), Some(backups), kill)
    };
    let unbroken = run(true, None).unwrap();
    let file = |name: &str| temporary.path().join("backup").join(name);
    for whole in [0, 100, 2000] {
        assert!(run(true, Some(9)).is_err());
        assert!(file("previous.keras").exists());
        let bytes = fs::read(file("latest.keras")).unwrap();
        fs::write(file("latest.keras"), &bytes[..whole]).unwrap();
        // Killed before the next backup: the damaged one is not in the way of the other.
        let other = fs::read(file("previous.keras")).unwrap();
        assert!(run(true, Some(0)).is_err());
        assert!(!file("latest.keras").exists());
        assert_eq!(fs::read(file("damaged.keras")).unwrap(), bytes[..whole]);
        assert_eq!(fs::read(file("previous.keras")).unwrap(), other);
        assert_eq!(run(true, None).unwrap(), unbroken);
        assert!(!temporary.path().join("backup").exists());
    }
    // Killed between the two renames, and started again by a program that keeps one.
    for double in [true, false] {
        assert!(run(true, Some(9)).is_err());
        fs::rename(file("latest.keras"), file("previous.keras")).unwrap();
        assert_eq!(run(double, None).unwrap(), unbroken);
        assert!(!temporary.path().join("backup").exists());
    }
    // One alone that is damaged is an error.
    assert!(run(false, Some(9)).is_err());
    fs::write(file("latest.keras"), "damaged").unwrap();
    let error = text(run(false, None));
    assert!(
        error.contains("not a .keras file that can be read"),
        "{error}"
    );
}

#[test]
#[cfg(unix)]
fn a_latest_backup_that_the_system_does_not_give_is_an_error_and_stays() {
    let temporary = tempfile::tempdir().unwrap();
    let run = |kill| {
        let folder = temporary.path().join("backup");
        let backups = BackupAndRestore::new(folder).double_checkpoint(true);
        program(temporary.path(), Some(backups), kill)
    };
    assert!(run(Some(9)).is_err());
    // A socket in its place is there, and cannot be opened.
    let latest = temporary.path().join("backup/latest.keras");
    fs::remove_file(&latest).unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(&latest).unwrap();
    assert!(matches!(run(None), Err(Error::File { path, .. }) if path == latest));
    assert!(latest.exists() && latest.with_file_name("previous.keras").exists());
}

/// A fit of three epochs with a backup in `folder` after every batch; its error, if it is killed.
fn fit_with_backups(folder: &Path, options: Fit<'_>, kill: Option<usize>) -> Result<History> {
    let (x, y) = data();
    let backups = BackupAndRestore::new(folder).save_freq(SaveFreq::Batches(1));
    let options = options.epochs(3).batch_size(6).verbose(0);
    let options = options.callback(Kill(kill)).callback(backups);
    network(Adam::new(0.01)).fit(&x, &y, options)
}

#[test]
fn a_position_that_no_fit_comes_to_is_an_error_that_names_file_and_number() {
    let temporary = tempfile::tempdir().unwrap();
    let folder = temporary.path();
    let latest = folder.join("latest.keras");
    // In the second epoch, after the second of its five batches.
    assert!(fit_with_backups(folder, Fit::new(), Some(7)).is_err());
    let whole = fs::read(&latest).unwrap();
    let most = u64::MAX;
    let before = "the batches that were `taken`";
    let cases = [
        (
            "taken",
            json!(6),
            "`taken`: expected at most 5, the batches of the data, got 6".to_string(),
        ),
        (
            "taken",
            json!(most),
            format!("`taken`: expected at most 5, the batches of the data, got {most}"),
        ),
        (
            "taken",
            Value::Null,
            format!("`batch`: expected at most 0, {before}, got 2"),
        ),
        (
            "batch",
            json!(3),
            format!("`batch`: expected at most 2, {before}, got 3"),
        ),
        (
            "batch",
            json!(most),
            format!("`batch`: expected at most 2, {before}, got {most}"),
        ),
        (
            "epoch",
            json!(most),
            format!("`epoch`: expected 1, the one after `epochs`, got {most}"),
        ),
        (
            "epochs",
            json!([]),
            "`epoch`: expected 0, the first one of this fit, got 1".to_string(),
        ),
        (
            "epochs",
            json!([most, 0]),
            format!("`epochs`: expected one after the other, got 0 after {most}"),
        ),
        (
            "history/0/1",
            json!([1, 2]),
            "`history`: expected at most 1 numbers of `accuracy`, one for each epoch, got 2"
                .to_string(),
        ),
        (
            "counters",
            json!([]),
            "`counters`: expected 4, of the loss and of each metric, got 0".to_string(),
        ),
        (
            "counters/0",
            Value::Null,
            "`counters`: expected numbers that the loss has counted, got 0 that it has not"
                .to_string(),
        ),
        (
            "counters/0/2",
            json!(1e300),
            "`counters`: expected numbers that the loss has counted, got 3 that it has not"
                .to_string(),
        ),
        (
            "counters/3",
            json!([1, 2, 3]),
            "`counters`: expected numbers that the metric `auc` has counted, got 3 that it has not"
                .to_string(),
        ),
    ];
    let advice = "start the program as it was, or remove the backup to begin anew";
    for (key, value, problem) in cases {
        fs::write(&latest, &whole).unwrap();
        common::rewrite(&latest, "metadata.json", |metadata| {
            let pointer = format!("/candle_keras/fit/{key}");
            *metadata.pointer_mut(&pointer).unwrap() = value;
        });
        let error = text(fit_with_backups(folder, Fit::new(), None));
        let expected = format!("{}: metadata.json: {problem}: {advice}", latest.display());
        assert_eq!(error, expected);
    }
    // Nothing of this is wrong with a metric that gives no numbers, nor with the file as it was.
    fs::write(&latest, &whole).unwrap();
    common::rewrite(&latest, "metadata.json", |metadata| {
        metadata["candle_keras"]["fit"]["counters"][3] = Value::Null;
    });
    let history = fit_with_backups(folder, Fit::new(), None).unwrap();
    assert_eq!(history.epochs(), [0, 1, 2]);
}

#[test]
fn batches_beyond_the_steps_of_an_epoch_or_of_a_source_are_an_error() {
    let temporary = tempfile::tempdir().unwrap();
    let folder = temporary.path().join("backup");
    let latest = folder.join("latest.keras");
    let change = |key: &'static str, value: usize| {
        common::rewrite(&latest, "metadata.json", |metadata| {
            metadata["candle_keras"]["fit"][key] = json!(value);
        });
    };
    let steps = || Fit::new().steps_per_epoch(2);
    assert!(fit_with_backups(&folder, steps(), Some(3)).is_err());
    change("batch", 3);
    let error = text(fit_with_backups(&folder, steps(), None));
    let problem = "`batch`: expected at most 2, the steps of an epoch, got 3";
    assert!(error.contains(problem), "{error}");

    let (x, y) = data();
    let fit = |batches: usize, kill| {
        fs::create_dir_all(&folder).unwrap();
        let source = candle_keras::batches(|| (0..batches).map(|_| Ok(Batch::new(&x, &y))));
        let backups = BackupAndRestore::new(&folder).save_freq(SaveFreq::Batches(1));
        let options = Fit::new().epochs(2).verbose(0).callback(Kill(kill));
        network(Adam::new(0.01)).fit_batches(source, options.callback(backups))
    };
    fs::remove_dir_all(&folder).unwrap();
    assert!(fit(4, Some(3)).is_err());
    let advice = "start the program as it was, or remove the backup to begin anew";
    assert_eq!(
        text(fit(2, None)),
        format!(
            "backup `{}`: `source`: expected at least 3, which it gave before the backup, got 2: {advice}",
            folder.display()
        )
    );
    // Where nobody knows how many there are, it is no more than the model was trained on.
    change("taken", usize::MAX);
    let error = text(fit(usize::MAX, None));
    let problem = format!(
        "`taken`: expected at most 3, the steps of the model, got {}",
        usize::MAX
    );
    assert!(error.contains(&problem), "{error}");
}

#[test]
fn both_backups_stay_where_the_next_one_cannot_be_written() {
    /// Its state is too large for a file from the fourth epoch on.
    struct Grows(usize);
    impl Callback for Grows {
        fn on_epoch_begin(&mut self, epoch: usize, _model: &mut Sequential) -> Result<()> {
            self.0 = epoch;
            Ok(())
        }
        fn state(&self) -> Result<State> {
            State::of("x".repeat(if self.0 < 3 { 1 } else { 17 << 20 }))
        }
    }
    let temporary = tempfile::tempdir().unwrap();
    let (x, y) = data();
    let kept = std::cell::RefCell::new(Vec::new());
    let files = || ["latest.keras", "previous.keras"].map(|name| temporary.path().join(name));
    let keep = LambdaCallback::new().on_epoch_begin(|epoch, _| {
        if epoch == 3 {
            kept.replace(files().map(|file| fs::read(file).unwrap()).into());
        }
        Ok(())
    });
    let backups = BackupAndRestore::new(temporary.path()).double_checkpoint(true);
    let options = Fit::new().epochs(5).verbose(0).callback(Grows(0));
    let options = options.callback(keep).callback(backups);
    let error = text(network(Adam::new(0.01)).fit(&x, &y, options));
    assert!(
        error.starts_with("the backup after epoch 4 failed: ")
            && error.contains("at most 16777216 bytes"),
        "{error}"
    );
    let kept = kept.into_inner();
    assert_ne!(kept[0], kept[1]);
    for (file, bytes) in files().iter().zip(kept) {
        assert!(fs::read(file).unwrap() == bytes, "{}", file.display());
    }
}

#[test]
fn a_backup_that_is_kept_goes_on_to_more_epochs_and_one_at_its_end_trains_no_more() {
    let temporary = tempfile::tempdir().unwrap();
    let (x, y) = data();
    let run = |epochs, name: &str| {
        let mut model = network(Adam::new(0.01));
        let backups = BackupAndRestore::new(temporary.path().join(name)).delete_checkpoint(false);
        let options = Fit::new().epochs(epochs).verbose(0).callback(backups);
        let history = model.fit(&x, &y, options)?;
        Ok::<_, Error>((bits(&model), history))
    };
    let three = run(3, "kept").unwrap();
    assert_eq!(run(3, "kept").unwrap(), three);
    assert!(text(run(2, "kept")).contains("`epochs`: expected at least 3"));
    assert_eq!(run(5, "kept").unwrap(), run(5, "other").unwrap());
    assert_eq!(run(5, "kept").unwrap().1.epochs(), [0, 1, 2, 3, 4]);
}

#[test]
fn a_backup_of_more_epochs_than_are_asked_for_is_an_error_and_stays() {
    let temporary = tempfile::tempdir().unwrap();
    let folder = temporary.path().join("backup");
    // In its third epoch.
    assert!(fit_with_backups(&folder, Fit::new(), Some(12)).is_err());
    let bytes = fs::read(folder.join("latest.keras")).unwrap();
    let (x, y) = data();
    let options = Fit::new().epochs(2).batch_size(6).verbose(0);
    let options = options
        .callback(Kill(None))
        .callback(BackupAndRestore::new(&folder));
    let error = text(network(Adam::new(0.01)).fit(&x, &y, options));
    let expected = "`epochs`: expected at least 3, as far as the backup has come, got 2";
    assert!(error.contains(expected), "{error}");
    assert_eq!(fs::read(folder.join("latest.keras")).unwrap(), bytes);
}

#[test]
fn a_training_that_a_callback_had_ended_stays_ended() {
    /// Ends the training in the middle of an epoch, and fails in a hook.
    struct Stop(&'static str);
    impl Stop {
        fn fail(&self, hook: &str) -> Result<()> {
            match self.0 == hook {
                true => Err(Error::callback("killed")),
                false => Ok(()),
            }
        }
    }
    impl Callback for Stop {
        fn on_train_batch_end(&mut self, batch: usize, model: &mut Sequential) -> Result<()> {
            if batch == 1 {
                model.stop_training();
            }
            Ok(())
        }
        fn on_epoch_end(&mut self, _: usize, _: &mut Logs, _: &mut Sequential) -> Result<()> {
            self.fail("on_epoch_end")
        }
        fn on_train_end(&mut self, _model: &mut Sequential) -> Result<()> {
            self.fail("on_train_end")
        }
    }
    let temporary = tempfile::tempdir().unwrap();
    let (x, y) = data();
    for save_freq in [SaveFreq::Epoch, SaveFreq::Batches(1)] {
        let run = |name: &str, fails: &'static str| {
            let mut model = network(Adam::new(0.01));
            let backups = BackupAndRestore::new(temporary.path().join(name));
            let options = Fit::new().epochs(4).batch_size(6).verbose(0);
            let options = options.callback(Stop(fails));
            let history = model.fit(&x, &y, options.callback(backups.save_freq(save_freq)))?;
            Ok::<_, Error>((bits(&model), history))
        };
        let unbroken = run("unbroken", "").unwrap();
        assert_eq!(unbroken.1.epochs(), [0]);
        for hook in ["on_epoch_end", "on_train_end"] {
            assert!(run("killed", hook).is_err());
            assert_eq!(run("killed", "").unwrap(), unbroken, "{hook}");
        }
    }
}

/// A callback freezes a layer after the first epoch and lets it be trained again after epoch `until`: a
/// training that is killed meanwhile ends with the bits of one that is not.
fn frozen(until: usize) {
    let temporary = tempfile::tempdir().unwrap();
    let (x, y) = data();
    let run = |name: &str, kill| {
        let mut model = network(Adam::new(0.01));
        let freeze = LambdaCallback::new()
            .on_epoch_end(|epoch, _, model| model.set_trainable("dense", epoch >= until));
        let backups = BackupAndRestore::new(temporary.path().join(name));
        let options = Fit::new().epochs(4).verbose(0).callback(Kill(kill));
        model.fit(&x, &y, options.callback(freeze).callback(backups))?;
        Ok::<_, Error>(bits(&model))
    };
    let unbroken = run("unbroken", None).unwrap();
    assert!(run("killed", Some(2)).is_err());
    assert_eq!(run("killed", None).unwrap(), unbroken);
}

#[test]
fn layers_that_a_callback_froze_stay_frozen() {
    frozen(usize::MAX);
}

#[test]
fn what_the_optimizer_kept_of_a_layer_that_was_frozen_is_there_when_it_is_trained_again() {
    frozen(2);
}

#[test]
fn an_interrupted_training_is_backed_up_after_the_running_batch() {
    let temporary = tempfile::tempdir().unwrap();
    let folder = temporary.path().join("backup");
    let (x, y) = data();
    let run = |interrupt: Option<(usize, usize)>| {
        let flag = Arc::new(AtomicBool::new(false));
        let mut model = network(Adam::new(0.01));
        let mut epoch_now = 0;
        let set = LambdaCallback::new().on_train_batch_begin(|batch, _| {
            epoch_now += usize::from(batch == 0);
            flag.store(interrupt == Some((epoch_now, batch + 1)), Ordering::Relaxed);
            Ok(())
        });
        let backups = BackupAndRestore::new(&folder).interrupted_by(Arc::clone(&flag));
        let options = Fit::new().epochs(3).batch_size(7).verbose(0);
        let fitted = model.fit(&x, &y, options.callback(set).callback(backups));
        fitted.map(|history| (bits(&model), history))
    };
    let unbroken = run(None).unwrap();
    let error = run(Some((2, 3))).unwrap_err();
    assert!(matches!(error, Error::Interrupted { .. }));
    assert_eq!(
        error.to_string(),
        format!(
            "training was interrupted in epoch 2, after batch 3: start the program again to go on from {}",
            folder.join("latest.keras").display()
        )
    );
    assert_eq!(run(None).unwrap(), unbroken);
}

#[test]
fn an_interrupted_training_whose_weights_are_not_finite_says_which_backup_there_is() {
    let temporary = tempfile::tempdir().unwrap();
    let (x, y) = data();
    let run = |folder: &Path, from_the_start: bool| {
        let flag = Arc::new(AtomicBool::new(false));
        let mut model = network(Adam::new(0.01));
        let spoil = |model: &mut Sequential| -> Result<()> {
            let bias = model
                .weights()
                .last()
                .map(|weight| weight.variable().clone());
            let bias = bias.unwrap();
            bias.set(&(bias.as_tensor() * f64::NAN)?)?;
            flag.store(true, Ordering::Relaxed);
            Ok(())
        };
        if from_the_start {
            spoil(&mut model).unwrap();
        }
        let spoil = LambdaCallback::new().on_train_batch_end(|_, model| spoil(model));
        let backups = BackupAndRestore::new(folder).interrupted_by(Arc::clone(&flag));
        let options = Fit::new().verbose(0).callback(spoil);
        model.fit(&x, &y, options.callback(backups)).unwrap_err()
    };
    let folder = temporary.path().join("backup");
    let latest = folder.join("latest.keras");
    let error = run(&folder, false);
    assert_eq!(
        error.to_string(),
        format!(
            "training was interrupted in epoch 1, after batch 1: a weight is not finite, so that the last backup is an earlier one: start the program again to go on from {}",
            latest.display()
        )
    );
    assert!(matches!(error, Error::Interrupted { backup: Some(path), .. } if path == latest));
    Sequential::load(&latest, &Device::Cpu).unwrap();
    let folder = temporary.path().join("other");
    let error = run(&folder, true);
    assert_eq!(
        error.to_string(),
        "training was interrupted before the first epoch: a weight is not finite, so that there is no backup: begin with other weights"
    );
    assert!(matches!(error, Error::Interrupted { backup: None, .. }));
    assert!(!folder.exists());
}

#[test]
fn a_backup_that_cannot_be_written_ends_fit_with_the_model_as_it_is_and_the_last_one_whole() {
    let temporary = tempfile::tempdir().unwrap();
    let path = |name: &str| -> PathBuf { temporary.path().join(name) };
    let (x, y) = data();
    // A file where the folder is to be: seen before the first epoch.
    fs::write(path("file"), "").unwrap();
    let mut model = network(Adam::new(0.01));
    let before = bits(&model);
    let backups = BackupAndRestore::new(path("file"));
    let error = text(model.fit(&x, &y, Fit::new().verbose(0).callback(backups)));
    assert!(
        error.starts_with("the backup before the first epoch failed: "),
        "{error}"
    );
    assert!(error.contains(path("file").to_str().unwrap()), "{error}");
    assert!(
        error.contains("save it elsewhere with model.save(..)"),
        "{error}"
    );
    assert_eq!(bits(&model), before);

    // In the middle of the training: a folder where the file is to be.
    for double in [false, true] {
        let folder = path("backup");
        let latest = folder.join("latest.keras");
        let block = LambdaCallback::new().on_epoch_begin(|epoch, _| {
            if epoch == 2 {
                fs::rename(&latest, path("kept.keras")).unwrap();
                fs::create_dir(&latest).unwrap();
                fs::write(latest.join("something"), "").unwrap();
            }
            Ok(())
        });
        let backups = BackupAndRestore::new(&folder).double_checkpoint(double);
        let mut model = network(Adam::new(0.01));
        let options = Fit::new().epochs(5).verbose(0).callback(block);
        let fitted = model.fit(&x, &y, options.callback(backups));
        assert!(matches!(&fitted, Err(Error::Backup { .. })));
        assert!(text(fitted).starts_with("the backup after epoch 3 failed: "));
        // All three epochs are in the model; it can be saved elsewhere.
        model.save(path("elsewhere.keras")).unwrap();
        let elsewhere = Sequential::load(path("elsewhere.keras"), &Device::Cpu).unwrap();
        let mut unbroken = network(Adam::new(0.01));
        unbroken
            .fit(&x, &y, Fit::new().epochs(3).verbose(0))
            .unwrap();
        assert_eq!(bits(&elsewhere), bits(&unbroken));
        // Nothing is left of the attempt.
        let names: Vec<_> = fs::read_dir(&folder).unwrap().collect();
        assert_eq!(names.len(), 1 + usize::from(double), "{names:?}");
        fs::remove_dir_all(&folder).unwrap();
    }
}

#[test]
fn a_fit_that_does_not_stay_finite_goes_back_to_where_it_was_taken_up() {
    let temporary = tempfile::tempdir().unwrap();
    let (x, y) = data();
    let run = |kill, bad: bool| {
        let mut model = network(Adam::new(0.01));
        let spoil = LambdaCallback::new().on_train_batch_begin(|batch, model| {
            if bad && batch == 3 {
                let bias = model
                    .weights()
                    .last()
                    .map(|weight| weight.variable().clone());
                let bias = bias.unwrap();
                bias.set(&(bias.as_tensor() * f64::NAN)?)?;
            }
            Ok(())
        });
        let backups = BackupAndRestore::new(temporary.path().join("backup"));
        let backups = backups.save_freq(SaveFreq::Batches(1));
        let options = Fit::new().batch_size(6).verbose(0).callback(Kill(kill));
        let fitted = model.fit(&x, &y, options.callback(spoil).callback(backups));
        (bits(&model), fitted)
    };
    assert!(run(Some(2), true).1.is_err());
    let latest = temporary.path().join("backup/latest.keras");
    let saved = bits(&Sequential::load(&latest, &Device::Cpu).unwrap());
    let (kept, fitted) = run(None, true);
    let error = text(fitted);
    assert!(error.contains("keeps the weights of the backup"), "{error}");
    assert_eq!(kept, saved);
    // No backup of weights that are not finite took its place: it can be gone on from.
    Sequential::load(&latest, &Device::Cpu).unwrap();
    run(None, false).1.unwrap();
}
