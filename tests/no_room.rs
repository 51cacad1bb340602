//! A full disk, a limit on files and a folder that cannot be written to: a clear error, the old file
//! whole, and the training in the model. Each in a process of its own, as it changes what a process may do.
#![cfg(unix)]

mod common;

use candle_keras::{Error, callbacks::BackupAndRestore, prelude::*};
use common::{bits, numbers};
use std::{fs, os::unix::fs::PermissionsExt, path::Path, process::Command};

/// Trains until a backup cannot be written, because of what `spoil` does before the third epoch, and
/// says which error that gave.
fn train(folder: &Path, spoil: impl FnMut() -> std::io::Result<()>) -> String {
    let mut spoil = spoil;
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
    let (x, y) = (numbers(&[20, 6], "x"), numbers(&[20, 1], "y"));
    let stopping = EarlyStopping::new()
        .monitor("loss")
        .restore_best_weights(true);
    let spoiling = LambdaCallback::new().on_epoch_begin(|epoch, _| match epoch {
        2 => spoil().map_err(Error::callback),
        _ => Ok(()),
    });
    let options = Fit::new()
        .epochs(5)
        .verbose(0)
        .callback(spoiling)
        .callback(stopping);
    let backups = BackupAndRestore::new(folder.join("backup"));
    let error = model.fit(&x, &y, options.callback(backups)).unwrap_err();
    assert!(matches!(error, Error::Backup { .. }), "{error}");
    // The last backup is whole, and nothing is left of the next one.
    let latest = folder.join("backup/latest.keras");
    let backup = Sequential::load(&latest, &Device::Cpu).unwrap();
    let names: Vec<_> = fs::read_dir(folder.join("backup")).unwrap().collect();
    assert_eq!(names.len(), 1, "{names:?}");
    assert_ne!(bits(&backup), bits(&model));
    // The model has what it learned since then, and can be saved where there is room.
    let elsewhere = tempfile::tempdir().unwrap();
    let elsewhere = elsewhere.path().join("model.safetensors");
    model.save_weights(&elsewhere).unwrap();
    let saved = candle_core_load(&elsewhere);
    let kernel = model.weight("dense/kernel").unwrap();
    assert_eq!(common::flat(&saved["dense/kernel"]), common::flat(&kernel));
    error.to_string()
}

fn candle_core_load(path: &Path) -> std::collections::HashMap<String, Tensor> {
    candle_keras::candle_core::safetensors::load(path, &Device::Cpu).unwrap()
}

fn folder() -> std::path::PathBuf {
    std::env::var_os("CANDLE_KERAS_ROOM")
        .expect("the parent names a folder")
        .into()
}

fn report(error: &str) {
    println!("BEGIN\n{error}\nEND");
}

#[test]
#[ignore = "a process with a limit on files, which a test of this file starts"]
fn child_with_a_limit() {
    // The first backup fits; the second one holds EarlyStopping's best weights as well.
    report(&train(&folder(), || Ok(())));
}

#[test]
#[ignore = "a process on a small disk, which a test of this file starts"]
fn child_on_a_full_disk() {
    let folder = folder();
    let fill = || {
        let ballast = fs::File::create(folder.join("ballast"))?;
        let full = std::io::copy(&mut std::io::repeat(0), &mut &ballast).unwrap_err();
        assert_eq!(full.kind(), std::io::ErrorKind::StorageFull);
        Ok(())
    };
    report(&train(&folder, fill));
}

#[test]
#[ignore = "a process of a user that may not write, which a test of this file starts"]
fn child_in_a_read_only_folder() {
    let folder = folder();
    let mode = |mode| {
        let backups = folder.join("backup");
        fs::set_permissions(backups, fs::Permissions::from_mode(mode))
    };
    let error = train(&folder, || mode(0o555));
    mode(0o755).unwrap();
    fs::remove_dir_all(folder.join("backup")).unwrap();
    report(&error);
}

/// Runs a child by a shell's line, in which `"$@"` is its command; what it reported.
fn run(line: &str, name: &str, folder: &Path) -> String {
    let output = Command::new("sh")
        .args(["-c", line, "sh"])
        .arg(std::env::current_exe().unwrap())
        .args([name, "--exact", "--ignored", "--nocapture"])
        .env("CANDLE_KERAS_ROOM", folder)
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

fn may(line: &str) -> bool {
    let ran = Command::new("sh").args(["-c", line]).output();
    ran.is_ok_and(|output| output.status.success())
}

fn assert_says(error: &str, when: &str, folder: &Path, problem: &str) {
    let file = folder.join("backup/latest.keras");
    let start = format!("the backup {when} failed: {}: ", file.display());
    assert!(
        error.starts_with(&start) && error.contains(problem),
        "{error}"
    );
    assert!(
        error.contains("save it elsewhere with model.save(..)"),
        "{error}"
    );
}

#[test]
fn a_file_that_may_not_grow_is_an_error_and_the_old_one_stays() {
    let folder = tempfile::tempdir().unwrap();
    let size = {
        // What the first backup takes, in the shell's blocks of 512 bytes, rounded up.
        let probe = tempfile::tempdir().unwrap();
        let mut model = Sequential::new()
            .add(Input::new(6))
            .add(Dense::new(32).activation(Relu))
            .add(Dense::new(1))
            .build(&Device::Cpu)
            .unwrap();
        model
            .compile(Adam::new(0.01), MeanSquaredError::new(), ())
            .unwrap();
        model.save(probe.path().join("model.keras")).unwrap();
        fs::metadata(probe.path().join("model.keras"))
            .unwrap()
            .len()
    };
    let blocks = size / 512 + 2;
    let line = format!("trap '' XFSZ; ulimit -f {blocks}; exec \"$@\"");
    let error = run(&line, "child_with_a_limit", folder.path());
    assert_says(&error, "after epoch 1", folder.path(), "File too large");
}

#[test]
fn a_full_disk_is_an_error_and_the_old_file_stays() {
    if !may("unshare -m sh -c 'mount -t tmpfs tmpfs /mnt'") {
        common::skip("no right to mount a small disk");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let line = "exec unshare -m sh -c 'mount -t tmpfs -o size=256k tmpfs \"$CANDLE_KERAS_ROOM\" && exec \"$@\"' sh \"$@\"";
    let error = run(line, "child_on_a_full_disk", folder.path());
    assert_says(
        &error,
        "after epoch 3",
        folder.path(),
        "No space left on device",
    );
}

#[test]
fn a_folder_that_became_read_only_is_an_error_and_the_old_file_stays() {
    let folder = tempfile::tempdir().unwrap();
    let is_root = may("test \"$(id -u)\" = 0");
    let nobody = "setpriv --reuid 65534 --regid 65534 --clear-groups";
    if is_root {
        let binary = std::env::current_exe().unwrap();
        if !may(&format!("{nobody} test -x '{}'", binary.display())) {
            common::skip("no other user to run as, who may read the test");
            return;
        }
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o777)).unwrap();
    }
    let line = format!("exec {} \"$@\"", if is_root { nobody } else { "" });
    let error = run(&line, "child_in_a_read_only_folder", folder.path());
    assert_says(&error, "after epoch 3", folder.path(), "Permission denied");
}
