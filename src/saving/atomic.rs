//! Files that are there whole or not at all.

use super::early_sync::EarlySync;
use crate::{Error, Result};
use std::{
    ffi::OsString,
    fs::{self, File, OpenOptions},
    io::{self, BufWriter},
    path::{Path, PathBuf},
    sync::atomic::{AtomicU64, Ordering},
};

/// The folder that a file is in.
pub(super) fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

/// Writes a file by `write`, in place of one that may be there: into a temporary file in its folder
/// that is then renamed, so that whoever reads `path`, or finds it after a crash, has the old
/// contents or the new.
///
/// # Errors
/// When `write` fails, or the system; what was at `path` is as it was.
pub(super) fn write(
    path: &Path,
    write: impl FnOnce(&mut BufWriter<EarlySync>) -> Result<()>,
) -> Result<()> {
    let of_file = |error| Error::File {
        path: path.to_path_buf(),
        error,
    };
    remove_left_behind(path);
    let (temporary, file) = temporary_beside(path).map_err(of_file)?;
    let mut writer = BufWriter::new(EarlySync::new(file));
    let written =
        write(&mut writer).and_then(|()| settle(writer, &temporary, path).map_err(of_file));
    if written.is_err() {
        // It may be renamed already; the first error says what is wrong.
        let _ = fs::remove_file(&temporary);
    }
    written
}

/// What the names of the temporary files of `path` begin with.
fn hidden(path: &Path) -> Option<OsString> {
    let mut hidden = OsString::from(".");
    hidden.push(path.file_name()?);
    hidden.push(".");
    Some(hidden)
}

/// A new file in the folder of `path`, locked as long as it is written.
fn temporary_beside(path: &Path) -> io::Result<(PathBuf, File)> {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let Some(hidden) = hidden(path) else {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "no name of a file",
        ));
    };
    loop {
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let mut hidden = hidden.clone();
        hidden.push(format!("{}-{number}.tmp", std::process::id()));
        let temporary = folder_of(path).join(hidden);
        match OpenOptions::new()
            .write(true)
            .create_new(true)
            .open(&temporary)
        {
            // Left behind by a process of the same number that was killed.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => continue,
            Err(error) => return Err(error),
            Ok(file) => {
                // Some file systems have no locks: there nothing is removed that was left behind.
                let _ = file.lock();
                // Another process may have taken it for left behind before the lock was there.
                if temporary.exists() {
                    return Ok((temporary, file));
                }
            }
        }
    }
}

/// Removes the temporary files of `path` that processes left behind when they were killed: those that
/// nobody holds a lock of. What cannot be removed does no harm.
fn remove_left_behind(path: &Path) {
    let (Some(hidden), Ok(entries)) = (hidden(path), fs::read_dir(folder_of(path))) else {
        return;
    };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let number = name.as_encoded_bytes();
        let number = number.strip_prefix(hidden.as_encoded_bytes());
        let number = number.and_then(|number| number.strip_suffix(b".tmp"));
        let is_number = |byte: &u8| byte.is_ascii_digit() || *byte == b'-';
        if !number.is_some_and(|number| number.iter().all(is_number)) {
            continue;
        }
        let opened = OpenOptions::new().write(true).open(entry.path());
        if opened.is_ok_and(|file| file.try_lock().is_ok()) {
            let _ = fs::remove_file(entry.path());
        }
    }
}

/// Brings all to the disk, then gives the file its name.
fn settle(writer: BufWriter<EarlySync>, temporary: &Path, path: &Path) -> io::Result<()> {
    let _file = writer.into_inner()?.finish()?;
    // Still open, and so still locked: another process would take it for one left behind.
    fs::rename(temporary, path)?;
    sync_folder(folder_of(path))
}

/// Brings a folder's names to the disk.
#[cfg(unix)]
fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

/// Elsewhere a folder cannot be opened as a file.
#[cfg(not(unix))]
fn sync_folder(_folder: &Path) -> io::Result<()> {
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn names(folder: &Path) -> Vec<OsString> {
        let entries = fs::read_dir(folder).unwrap();
        entries.map(|entry| entry.unwrap().file_name()).collect()
    }

    #[test]
    fn a_file_is_replaced_whole_and_nothing_is_left_beside_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        for text in ["first", "second"] {
            write(&path, |file| {
                file.write_all(text.as_bytes()).unwrap();
                Ok(())
            })
            .unwrap();
            assert_eq!(fs::read_to_string(&path).unwrap(), text);
        }
        let failed = write(&path, |file| {
            file.write_all(b"third").unwrap();
            Err(Error::NoLayers)
        });
        assert!(failed.is_err());
        assert_eq!(fs::read_to_string(&path).unwrap(), "second");
        assert_eq!(names(folder.path()), ["file"]);
    }

    #[test]
    fn what_a_killed_process_left_behind_goes_with_the_next_file_and_what_one_writes_stays() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        let others = [
            ".file.tmp.tmp",
            ".file.12",
            ".other.12-0.tmp",
            "file.12-0.tmp",
        ];
        for name in others
            .iter()
            .chain(&[".file.12-0.tmp", ".file.4194304-17.tmp"])
        {
            fs::write(folder.path().join(name), "cut off").unwrap();
        }
        let (running, _locked) = temporary_beside(&path).unwrap();
        write(&path, |_| Ok(())).unwrap();
        let mut left = names(folder.path());
        left.sort();
        let mut expected: Vec<OsString> = others.iter().map(OsString::from).collect();
        expected.extend(["file".into(), running.file_name().unwrap().into()]);
        expected.sort();
        assert_eq!(left, expected);
    }

    #[test]
    fn where_no_file_can_be_the_error_names_it_and_nothing_is_left() {
        let folder = tempfile::tempdir().unwrap();
        let taken = folder.path().join("taken");
        fs::create_dir(&taken).unwrap();
        let error = write(&taken, |_| Ok(())).unwrap_err().to_string();
        assert!(
            error.starts_with(&format!("{}: ", taken.display())),
            "{error}"
        );
        assert_eq!(names(folder.path()), ["taken"]);
        let missing = folder.path().join("missing/file");
        assert!(
            matches!(write(&missing, |_| Ok(())), Err(Error::File { path, .. }) if path == missing)
        );
        assert!(write(Path::new(".."), |_| Ok(())).is_err());
    }
}
