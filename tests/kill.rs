//! A process that trains is killed at random moments: what is on the disk is always whole, and goes on to
//! the bits of a training that was never interrupted.

mod common;

use candle_keras::{
    callbacks::{BackupAndRestore, SaveFreq},
    metrics::Auc,
    prelude::*,
    seed::Stream,
};
use common::{bits, numbers};
use std::{
    fs,
    io::Read,
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

/// The program: dropout, batch normalisation, Adam and every callback that remembers something.
fn train(folder: &Path) -> String {
    let mut model = Sequential::new()
        .seed(11)
        .add(Input::new(6))
        .add(Dense::new(16).activation(Relu))
        .add(BatchNormalization::new().momentum(0.8))
        .add(Dropout::new(0.3))
        .add(Dense::new(3).activation(Softmax))
        .build(&Device::Cpu)
        .unwrap();
    let loss = CategoricalCrossentropy::new();
    let optimizer = Adam::new(0.02);
    model
        .compile(optimizer, loss, (Accuracy, Auc::new()))
        .unwrap();
    let y = to_categorical(&common::labels(64, 3), 3).unwrap();
    let x = numbers(&[64, 6], "x");
    let rows = folder.join("rows.csv");
    let best = folder.join("best.keras");
    let mut stopping = EarlyStopping::new().patience(6).restore_best_weights(true);
    let backups = BackupAndRestore::new(folder.join("backup"));
    let options = Fit::new()
        .epochs(8)
        .batch_size(8)
        .validation_split(0.25)
        .verbose(0)
        .callback(&mut stopping)
        .callback(ReduceLROnPlateau::new().patience(1).factor(0.7))
        .callback(CSVLogger::new(&rows))
        .callback(ModelCheckpoint::new(&best).save_best_only(true))
        .callback(backups.save_freq(SaveFreq::Batches(2)));
    let history = model.fit(&x, &y, options).unwrap();
    let mut numbers: Vec<u64> = bits(&model);
    let columns = history.iter().flat_map(|(_, values)| values);
    numbers.extend(columns.map(|value| value.to_bits()));
    numbers.extend(bits(&Sequential::load(best, &Device::Cpu).unwrap()));
    let hash = common::hash_of(numbers.into_iter().map(f64::from_bits));
    let epochs = history.epochs();
    let rate = model.learning_rate().unwrap();
    let rows = fs::read_to_string(rows).unwrap();
    format!(
        "{hash:x} {epochs:?} {rate:?} {:?} {rows}",
        stopping.best_epoch()
    )
}

#[test]
#[ignore = "a process of its own that the tests of this file start and kill"]
fn child_that_trains() {
    let folder = std::env::var_os("CANDLE_KERAS_KILL").expect("the parent names a folder");
    println!("BEGIN\n{}END", train(Path::new(&folder)));
}

fn child(folder: &Path) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["child_that_trains", "--exact", "--ignored", "--nocapture"])
        .env("CANDLE_KERAS_KILL", folder)
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .spawn()
        .unwrap()
}

/// What a child printed that came to its end.
fn end_of(mut child: Child) -> String {
    let mut text = String::new();
    child
        .stdout
        .take()
        .unwrap()
        .read_to_string(&mut text)
        .unwrap();
    assert!(child.wait().unwrap().success(), "{text}");
    let (_, text) = text.split_once("BEGIN\n").expect("the child ran");
    text.split_once("END")
        .expect("it came to its end")
        .0
        .to_string()
}

fn copy_all(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let to = to.join(entry.file_name());
        match entry.file_type().unwrap().is_dir() {
            true => copy_all(&entry.path(), &to),
            false => drop(fs::copy(entry.path(), to).unwrap()),
        }
    }
}

/// Temporary files that a killed process left in a folder.
fn left_behind(folder: &Path) -> usize {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries
        .filter(|entry| entry.file_name().to_string_lossy().ends_with(".tmp"))
        .count()
}

/// What was seen of the kills.
#[derive(Default, Debug)]
struct Seen {
    kills: usize,
    /// Of those: before the first backup, and while a file was written.
    without_backup: usize,
    while_writing: usize,
    /// Trainings that were killed until they came to their end.
    trainings: usize,
}

/// Kills a process that trains `kills` times. After each the files load, and a copy of the folder
/// goes on to the unbroken end; the folder itself is gone on with, and killed again.
fn kill(kills: usize) -> Seen {
    let unbroken_folder = tempfile::tempdir().unwrap();
    let started = Instant::now();
    let unbroken = end_of(child(unbroken_folder.path()));
    let duration = started.elapsed();
    assert!(!unbroken_folder.path().join("backup").exists());
    let mut stream = Stream::new(5, "kills", 0);
    let mut seen = Seen::default();
    while seen.kills < kills {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        loop {
            let mut child = child(folder);
            std::thread::sleep(duration.mul_f32(stream.uniform()));
            if let Some(status) = child.try_wait().unwrap() {
                assert!(status.success());
                assert_eq!(end_of(child), unbroken, "after {seen:?}");
                break;
            }
            child.kill().unwrap(); // SIGKILL
            let was_running = !child.wait().unwrap().success();
            seen.kills += usize::from(was_running);
            let backup = folder.join("backup");
            let latest = backup.join("latest.keras");
            for file in [&latest, &folder.join("best.keras")] {
                if file.exists() {
                    Sequential::load(file, &Device::Cpu).unwrap();
                }
            }
            seen.without_backup += usize::from(!latest.exists());
            seen.while_writing += left_behind(&backup) + left_behind(folder);
            let copy = tempfile::tempdir().unwrap();
            copy_all(folder, copy.path());
            assert_eq!(train(copy.path()), unbroken, "after {seen:?}");
            assert!(!copy.path().join("backup").exists());
            if seen.kills >= kills {
                break;
            }
        }
        seen.trainings += 1;
    }
    seen
}

#[test]
fn a_training_that_is_killed_at_any_moment_goes_on_to_the_same_bits() {
    assert_eq!(kill(10).kills, 10);
}

#[test]
#[ignore = "some minutes: tools/kill/check runs it"]
fn killed_many_times() {
    let kills = std::env::var("CANDLE_KERAS_KILLS").map_or(200, |kills| kills.parse().unwrap());
    let started = Instant::now();
    let seen = kill(kills);
    let Seen {
        kills,
        without_backup,
        while_writing,
        trainings,
    } = seen;
    let time = Duration::from_secs(started.elapsed().as_secs());
    println!(
        "{kills} kills in {trainings} trainings, {without_backup} of them before the first backup and \
         {while_writing} while a file was written: every file loaded, and every training ended with the \
         bits of the unbroken one ({time:?})"
    );
}
