//! A process that trains is killed at random moments: what is on the disk is always whole, and goes on to
//! the bits of a training that was never interrupted.

mod common;

use candle_keras::{
    Error,
    callbacks::{BackupAndRestore, SaveFreq},
    metrics::Auc,
    prelude::*,
    seed::Stream,
};
use common::{bits, numbers};
use std::{
    fs,
    io::Read,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

/// How the program keeps backups.
#[derive(Clone, Copy)]
struct Keeps {
    two: bool,
    /// Batches between them.
    every: usize,
}

/// The program: dropout, batch normalisation, Adam and every callback that remembers something. How many
/// batches it trained, and what that came to.
fn train(folder: &Path, keeps: Keeps) -> (usize, String) {
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
    let backups = BackupAndRestore::new(folder.join("backup")).double_checkpoint(keeps.two);
    let mut batches = 0;
    let count = LambdaCallback::new().on_train_batch_end(|_, _| {
        batches += 1;
        Ok(())
    });
    // From then on there need not be a backup.
    let end = LambdaCallback::new()
        .on_train_end(|_| fs::write(folder.join("ended"), "").map_err(Error::callback));
    let options = Fit::new()
        .epochs(8)
        .batch_size(8)
        .validation_split(0.25)
        .verbose(0)
        .callback(&mut stopping)
        .callback(ReduceLROnPlateau::new().patience(1).factor(0.7))
        .callback(CSVLogger::new(&rows))
        .callback(ModelCheckpoint::new(&best).save_best_only(true))
        .callback(count)
        .callback(end)
        .callback(backups.save_freq(SaveFreq::Batches(keeps.every)));
    let history = model.fit(&x, &y, options).unwrap();
    let mut numbers: Vec<u64> = bits(&model);
    let columns = history.iter().flat_map(|(_, values)| values);
    numbers.extend(columns.map(|value| value.to_bits()));
    numbers.extend(bits(&Sequential::load(best, &Device::Cpu).unwrap()));
    let hash = common::hash_of(numbers.into_iter().map(f64::from_bits));
    let epochs = history.epochs();
    let rate = model.learning_rate().unwrap();
    let rows = fs::read_to_string(rows).unwrap();
    let best_epoch = stopping.best_epoch();
    let text = format!("{hash:x} {epochs:?} {rate:?} {best_epoch:?} {rows}");
    (batches, text)
}

#[test]
#[ignore = "a process of its own that the tests of this file start and kill"]
fn child_that_trains() {
    let variable = |name| std::env::var(name).expect("the parent says");
    let keeps = Keeps {
        two: variable("CANDLE_KERAS_KILL_TWO").parse().unwrap(),
        every: variable("CANDLE_KERAS_KILL_EVERY").parse().unwrap(),
    };
    let (batches, text) = train(Path::new(&variable("CANDLE_KERAS_KILL")), keeps);
    println!("BEGIN\n{batches} {text}END");
}

fn child(folder: &Path, keeps: Keeps) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["child_that_trains", "--exact", "--ignored", "--nocapture"])
        .env("CANDLE_KERAS_KILL", folder)
        .env("CANDLE_KERAS_KILL_TWO", keeps.two.to_string())
        .env("CANDLE_KERAS_KILL_EVERY", keeps.every.to_string())
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .spawn()
        .unwrap()
}

/// What a child printed that came to its end: the batches that it trained, and what that came to.
fn end_of(mut child: Child) -> (usize, String) {
    let mut text = String::new();
    child
        .stdout
        .take()
        .unwrap()
        .read_to_string(&mut text)
        .unwrap();
    assert!(child.wait().unwrap().success(), "{text}");
    let (_, text) = text.split_once("BEGIN\n").expect("the child ran");
    let (text, _) = text.split_once("END").expect("it came to its end");
    let (batches, text) = text.split_once(' ').unwrap();
    (batches.parse().unwrap(), text.to_string())
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

/// The temporary files that a killed process left in a folder.
fn left_behind(folder: &Path, process: u32) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let paths = entries.map(|entry| entry.path());
    let is_its = |path: &PathBuf| {
        let name = path.file_name().unwrap().to_string_lossy();
        name.ends_with(".tmp") && name.contains(&format!(".{process}-"))
    };
    paths.filter(is_its).collect()
}

fn loads(path: &Path) -> bool {
    Sequential::load(path, &Device::Cpu).is_ok()
}

/// The folder of a training, and what was there once and must be there from then on.
struct Folder {
    temporary: tempfile::TempDir,
    has_backup: bool,
    /// Whether the process that trains has found or written a latest one.
    has_latest: bool,
    has_best: bool,
}

impl Folder {
    fn new() -> Self {
        Self {
            temporary: tempfile::tempdir().unwrap(),
            has_backup: false,
            has_latest: false,
            has_best: false,
        }
    }

    fn at(&self, name: &str) -> PathBuf {
        self.temporary.path().join(name)
    }

    /// The backup that the next process goes on from.
    fn backup(&self) -> Option<PathBuf> {
        let names = ["backup/latest.keras", "backup/previous.keras"];
        let mut files = names.iter().map(|name| self.at(name));
        files.find(|file| file.exists())
    }

    /// The batches that were trained before it was written.
    fn done(&self) -> usize {
        self.backup().map_or(0, |backup| {
            let metadata = common::entry(&backup, "metadata.json");
            metadata["candle_keras"]["steps"].as_u64().unwrap() as usize
        })
    }

    /// Whether the training has come to its end and its backups may be gone.
    fn has_ended(&self) -> bool {
        self.at("ended").exists()
    }

    /// Looks at the files while a process trains: after the first backup one loads, whenever it is looked at.
    fn watch(&mut self, time: Duration) {
        let started = Instant::now();
        while started.elapsed() < time {
            self.look();
            std::thread::sleep(Duration::from_millis(3).min(time - started.elapsed().min(time)));
        }
    }

    /// What is there loads, and what was there is there.
    fn look(&mut self) {
        // First the one that is only moved away once the other is there.
        let files = ["backup/latest.keras", "backup/previous.keras"].map(|name| self.at(name));
        let loaded = files.iter().any(|file| loads(file));
        assert!(
            loaded || !self.has_backup || self.has_ended(),
            "no backup that loads"
        );
        self.has_backup = loaded;
        self.has_latest |= files[0].exists();
        let best = self.at("best.keras");
        self.has_best |= best.exists();
        assert!(!self.has_best || loads(&best), "no best model");
    }
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

/// Kills a process that trains `kills` times. Whenever they are looked at, the files load; after each kill a copy of
/// the folder goes on from the backup to the unbroken end; the folder itself is gone on with, and killed
/// again.
fn kill(kills: usize, keeps: Keeps) -> Seen {
    let folder = Folder::new();
    let started = Instant::now();
    let (all, unbroken) = end_of(child(folder.temporary.path(), keeps));
    let duration = started.elapsed();
    assert!(!folder.at("backup").exists());
    let mut stream = Stream::new(5, "kills", 0);
    let mut seen = Seen::default();
    while seen.kills < kills {
        let mut folder = Folder::new();
        while seen.kills < kills {
            let done = folder.done();
            let mut child = child(folder.temporary.path(), keeps);
            folder.watch(duration.mul_f32(stream.uniform()));
            if child.try_wait().unwrap().is_some() {
                let (batches, text) = end_of(child);
                assert_eq!((batches, &text), (all - done, &unbroken), "after {seen:?}");
                break;
            }
            child.kill().unwrap(); // SIGKILL
            seen.kills += usize::from(!child.wait().unwrap().success());
            after(&mut folder, &child, &mut seen);
            let copy = tempfile::tempdir().unwrap();
            copy_all(folder.temporary.path(), copy.path());
            let (batches, text) = train(copy.path(), keeps);
            // No batch is trained again that was in the backup, and none is left out.
            let left = all - folder.done();
            assert_eq!((batches, &text), (left, &unbroken), "after {seen:?}");
            assert!(!copy.path().join("backup").exists());
        }
        seen.trainings += 1;
    }
    seen
}

/// What is on the disk after a kill.
fn after(folder: &mut Folder, killed: &Child, seen: &mut Seen) {
    folder.look();
    let in_backups = left_behind(&folder.at("backup"), killed.id());
    let beside = left_behind(folder.temporary.path(), killed.id());
    seen.while_writing += in_backups.len() + beside.len();
    seen.without_backup += usize::from(!folder.has_backup);
    // The latest backup is moved away only for one that is whole.
    let is_latest = folder.at("backup/latest.keras").exists();
    let was_moved = folder.has_latest && folder.has_backup && !is_latest;
    assert!(!was_moved || in_backups.iter().any(|file| loads(file)));
    folder.has_latest = is_latest;
    // A process that was killed after its training leaves one to begin anew.
    let _ = fs::remove_file(folder.at("ended"));
}

#[test]
fn a_training_that_is_killed_at_any_moment_goes_on_to_the_same_bits() {
    let keeps = Keeps {
        two: false,
        every: 2,
    };
    kill(10, keeps);
}

#[test]
fn of_two_backups_one_always_loads() {
    let keeps = Keeps {
        two: true,
        every: 1,
    };
    kill(10, keeps);
}

#[test]
#[ignore = "some minutes: tools/kill/check runs it"]
fn killed_many_times() {
    let kills = std::env::var("CANDLE_KERAS_KILLS").map_or(200, |kills| kills.parse().unwrap());
    for (two, every) in [(false, 2), (true, 1)] {
        let started = Instant::now();
        let Seen {
            kills,
            without_backup,
            while_writing,
            trainings,
        } = kill(kills / 2, Keeps { two, every });
        let time = Duration::from_secs(started.elapsed().as_secs());
        let backups = if two { "two backups" } else { "one backup" };
        println!(
            "{backups}: {kills} kills in {trainings} trainings, {without_backup} of them before the \
             first backup and {while_writing} while a file was written: every file loaded, and every \
             training ended with the bits of the unbroken one, without one batch more ({time:?})"
        );
        assert!(while_writing > 0 && without_backup < kills);
    }
}
