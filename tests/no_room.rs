//! A full disk, a limit on files and a folder that cannot be written to: a clear error, the old file
//! whole, and the training in the model. Each in a process of its own, as it changes what a process may do.
#![cfg(unix)]

mod common;

use candle_keras::{
    Error, Result,
    callbacks::{BackupAndRestore, ModelCheckpoint},
    prelude::*,
};
use common::{bits, numbers};
use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Command,
};

/// What keeps files from being written.
#[derive(Debug, Clone, Copy)]
enum Trouble {
    Limit,
    FullDisk,
    ReadOnly,
}

use Trouble::{FullDisk, Limit, ReadOnly};

impl Trouble {
    /// The system's words for it.
    fn problem(self) -> &'static str {
        match self {
            Limit => "File too large",
            FullDisk => "No space left on device",
            ReadOnly => "Permission denied",
        }
    }

    /// A shell's line that runs the command `"$@"` where there can be this trouble, or why there cannot.
    fn line(self) -> std::result::Result<String, &'static str> {
        match self {
            Limit if !may("prlimit --version") => Err("no prlimit to limit the size of files"),
            Limit => Ok("trap '' XFSZ; exec \"$@\"".to_string()),
            FullDisk if !may("unshare -m sh -c 'mount -t tmpfs tmpfs /mnt'") => {
                Err("no right to mount a small disk")
            }
            FullDisk => Ok(
                "exec unshare -m sh -c 'mount -t tmpfs -o size=512k tmpfs \"$CANDLE_KERAS_ROOM\" \
                 && exec \"$@\"' sh \"$@\""
                    .to_string(),
            ),
            // Root may write everywhere.
            ReadOnly if may("test \"$(id -u)\" = 0") => {
                let nobody = "setpriv --reuid 65534 --regid 65534 --clear-groups";
                let binary = std::env::current_exe().unwrap();
                match may(&format!("{nobody} test -x '{}'", binary.display())) {
                    true => Ok(format!("exec {nobody} \"$@\"")),
                    false => Err("no other user to run as, who may read the test"),
                }
            }
            ReadOnly => Ok("exec \"$@\"".to_string()),
        }
    }

    /// From now on no file can be written in `folder`.
    fn begin(self, folder: &Path) {
        match self {
            Limit => limit_files("512:"),
            FullDisk => {
                let ballast = fs::File::create(ballast()).unwrap();
                let full = std::io::copy(&mut std::io::repeat(0), &mut &ballast).unwrap_err();
                assert_eq!(full.kind(), std::io::ErrorKind::StorageFull);
            }
            ReadOnly => set_mode(folder, 0o555),
        }
    }

    fn end(self, folder: &Path) {
        match self {
            Limit => limit_files("unlimited:"),
            FullDisk => fs::remove_file(ballast()).unwrap(),
            ReadOnly => set_mode(folder, 0o755),
        }
    }
}

/// What `ulimit -S -f` does, for this process.
fn limit_files(bytes: &str) {
    let process = std::process::id();
    assert!(may(&format!("prlimit --pid {process} --fsize={bytes}")));
}

fn ballast() -> PathBuf {
    room().join("ballast")
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

fn may(line: &str) -> bool {
    let ran = Command::new("sh").args(["-c", line]).output();
    ran.is_ok_and(|output| output.status.success())
}

fn variable(name: &str) -> String {
    std::env::var(name).expect("the parent gives it")
}

fn room() -> PathBuf {
    variable("CANDLE_KERAS_ROOM").into()
}

/// The trouble of this process, and a folder for its files.
fn trouble() -> (Trouble, PathBuf) {
    let name = variable("CANDLE_KERAS_TROUBLE");
    let mut all = [Limit, FullDisk, ReadOnly].into_iter();
    let trouble = all.find(|trouble| format!("{trouble:?}") == name);
    let folder = room().join("files");
    fs::create_dir(&folder).unwrap();
    (trouble.unwrap(), folder)
}

fn network() -> Sequential {
    let mut model = Sequential::new()
        .seed(3)
        .add(Input::new(6))
        .add(Dense::new(32).activation(Relu))
        .add(Dense::new(1))
        .build(&Device::Cpu)
        .unwrap();
    model
        .compile(Adam::new(0.01), MeanSquaredError::new(), ())
        .unwrap();
    model
}

fn data() -> (Tensor, Tensor) {
    (numbers(&[20, 6], "x"), numbers(&[20, 1], "y"))
}

/// The files of a folder, and what they hold.
fn files(folder: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let entries = fs::read_dir(folder).into_iter().flatten();
    let paths = entries.map(|entry| entry.unwrap().path());
    let mut files: Vec<_> = paths
        .map(|path| (path.clone(), fs::read(path).unwrap()))
        .collect();
    files.sort();
    files
}

/// The model can be saved where there is room.
fn assert_can_be_saved(model: &Sequential) {
    let elsewhere = tempfile::tempdir().unwrap();
    let path = elsewhere.path().join("model.keras");
    model.save(&path).unwrap();
    let saved = Sequential::load(&path, &Device::Cpu).unwrap();
    assert_eq!(bits(&saved), bits(model));
}

/// Trains an epoch, and then writes a checkpoint.
fn checkpoint(model: &mut Sequential, path: &Path) -> Result<()> {
    let (x, y) = data();
    let weights_only = path.extension().is_some_and(|ending| ending != "keras");
    let checkpoint = ModelCheckpoint::new(path).save_weights_only(weights_only);
    let options = Fit::new().verbose(0).callback(checkpoint);
    model.fit(&x, &y, options).map(drop)
}

type Write = fn(&mut Sequential, &Path) -> Result<()>;

/// Everything that writes a file in one go.
const WAYS: [(&str, Write); 7] = [
    ("model.keras", |model, path| model.save(path)),
    ("model.weights.h5", |model, path| model.save_weights(path)),
    ("model.safetensors", |model, path| model.save_weights(path)),
    ("model.onnx", |model, path| model.export_onnx(path)),
    ("checkpoint.keras", checkpoint),
    ("checkpoint.weights.h5", checkpoint),
    ("checkpoint.safetensors", checkpoint),
];

#[test]
#[ignore = "a process that cannot write, which the tests of this file start"]
fn child_that_writes_files() {
    let (trouble, folder) = trouble();
    println!("BEGIN");
    for (name, write) in WAYS {
        let path = folder.join(name);
        // What the model is where nothing fails.
        let mut twin = network();
        for _ in 0..2 {
            write(&mut twin, &path).unwrap();
        }
        let mut model = network();
        write(&mut model, &path).unwrap();
        let old = files(&folder);
        assert_eq!(old.len(), 1);
        trouble.begin(&folder);
        let error = write(&mut model, &path).unwrap_err();
        trouble.end(&folder);
        assert!(files(&folder) == old, "{name}: not as it was");
        assert_eq!(bits(&model), bits(&twin), "{name}");
        assert_can_be_saved(&model);
        if let ReadOnly = trouble {
            // The file alone, in a folder in which another could take its place.
            set_mode(&path, 0o444);
            assert!(write(&mut network(), &path).is_err(), "{name}");
            set_mode(&path, 0o644);
            assert!(files(&folder) == old, "{name}: not as it was");
        }
        write(&mut model, &path).unwrap(); // now there is room
        fs::remove_file(path).unwrap();
        println!("{error}");
    }
    println!("END");
}

/// Trains until a backup cannot be written, because of a trouble that begins with the third epoch.
#[test]
#[ignore = "a process that cannot write, which the tests of this file start"]
fn child_that_keeps_backups() {
    let (trouble, folder) = trouble();
    let (x, y) = data();
    let mut model = network();
    let mut old = Vec::new();
    let begin = LambdaCallback::new().on_epoch_begin(|epoch, _| {
        if epoch == 2 {
            old = files(&folder);
            trouble.begin(&folder);
        }
        Ok(())
    });
    let stopping = EarlyStopping::new()
        .monitor("loss")
        .restore_best_weights(true);
    let backups = BackupAndRestore::new(&folder).double_checkpoint(true);
    let options = Fit::new().epochs(5).verbose(0).callback(begin);
    let options = options.callback(stopping).callback(backups);
    let error = model.fit(&x, &y, options).unwrap_err();
    trouble.end(&folder);
    assert!(matches!(error, Error::Backup { .. }), "{error}");
    // Both backups are whole, and nothing is left of the next one.
    assert_eq!(old.len(), 2);
    assert!(files(&folder) == old, "not as they were");
    let backup = Sequential::load(folder.join("latest.keras"), &Device::Cpu).unwrap();
    // The model has what it learned since then.
    let mut unbroken = network();
    let three_epochs = Fit::new().epochs(3).verbose(0);
    unbroken.fit(&x, &y, three_epochs).unwrap();
    assert_eq!(bits(&model), bits(&unbroken));
    assert_ne!(bits(&model), bits(&backup));
    assert_can_be_saved(&model);
    println!("BEGIN\n{error}\nEND");
}

/// What a child of this trouble prints, in a folder of its own.
fn run(trouble: Trouble, line: &str, name: &str, room: &Path) -> String {
    let output = Command::new("sh")
        .args(["-c", line, "sh"])
        .arg(std::env::current_exe().unwrap())
        .args([name, "--exact", "--ignored", "--nocapture"])
        .env("CANDLE_KERAS_ROOM", room)
        .env("CANDLE_KERAS_TROUBLE", format!("{trouble:?}"))
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout).to_string();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{text}{errors}");
    assert!(!errors.contains("ZipWriter"), "{errors}");
    let (_, text) = text.split_once("BEGIN\n").expect("the child ran");
    text.split_once("\nEND")
        .expect("it came to its end")
        .0
        .to_string()
}

/// Everything that writes files gives an error that says which one and why.
fn assert_says_what_failed(trouble: Trouble) {
    let line = match trouble.line() {
        Ok(line) => line,
        Err(why) => return common::skip(why),
    };
    let run = |name| {
        let room = tempfile::tempdir().unwrap();
        set_mode(room.path(), 0o777); // whoever the child runs as
        let files = room.path().join("files");
        (run(trouble, &line, name, room.path()), files)
    };
    let problem = trouble.problem();
    let (errors, files) = run("child_that_writes_files");
    assert_eq!(errors.lines().count(), WAYS.len(), "{errors}");
    for (error, (name, _)) in errors.lines().zip(WAYS) {
        let start = format!("{}: ", files.join(name).display());
        assert!(error.starts_with(&start), "{error}");
        assert!(error.contains(problem), "{error}");
    }
    let (error, files) = run("child_that_keeps_backups");
    let latest = files.join("latest.keras");
    let start = format!("the backup after epoch 3 failed: {}: ", latest.display());
    assert!(error.starts_with(&start), "{error}");
    assert!(error.contains(problem), "{error}");
    let advice = "save it elsewhere with model.save(..)";
    assert!(error.contains(advice), "{error}");
}

#[test]
fn a_file_that_may_not_grow_is_an_error_and_the_old_one_stays() {
    assert_says_what_failed(Limit);
}

#[test]
fn a_full_disk_is_an_error_and_the_old_file_stays() {
    assert_says_what_failed(FullDisk);
}

#[test]
fn a_folder_that_became_read_only_is_an_error_and_the_old_file_stays() {
    assert_says_what_failed(ReadOnly);
}
