//! Files that are there whole or not at all.

use super::early_sync::EarlySync;
use crate::Result;
use std::{
    ffi::OsString,
    fs::{self, File, OpenOptions},
    hash::{DefaultHasher, Hash, Hasher},
    io::{self, BufWriter, ErrorKind},
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
/// contents or the new. A link stays, and the file that it names is replaced; permissions are kept.
///
/// # Errors
/// When `write` fails, or the system. What was at `path` is as it was, unless the error says that the
/// new file is in place.
pub(super) fn write(
    path: &Path,
    write: impl FnOnce(&mut BufWriter<EarlySync<'_>>) -> Result<()>,
) -> Result<()> {
    prepare(path, write)?.put_in_place()
}

/// The first half of [`write`]: a file that is whole and on the disk, beside the place of its name.
///
/// # Errors
/// When `write` fails, or the system; what was at `path` is as it was.
pub(super) fn prepare(
    path: &Path,
    write: impl FnOnce(&mut BufWriter<EarlySync<'_>>) -> Result<()>,
) -> Result<Prepared> {
    let of_file = |error| super::of_file(path, error);
    let target = target(path).map_err(of_file)?;
    remove_left_behind(&target);
    let prepared =
        Prepared::beside(path, target).map_err(|error| of_file(explained(path, error)))?;
    let mut writer = BufWriter::new(EarlySync::new(&prepared.file));
    write(&mut writer)?;
    let written = writer.into_inner().map_err(|error| error.into_error());
    written.and_then(EarlySync::finish).map_err(of_file)?;
    prepared.settle().map_err(of_file)?;
    Ok(prepared)
}

/// Why no file can be made, where it is for want of a folder.
fn explained(path: &Path, error: io::Error) -> io::Error {
    let folder = folder_of(path);
    if error.kind() != ErrorKind::NotFound || folder.is_dir() {
        return error;
    }
    let problem = format!(
        "the folder {} does not exist: make it first",
        folder.display()
    );
    io::Error::new(ErrorKind::NotFound, problem)
}

/// A file under the name of a temporary one, which is removed where it is not put in its place.
#[derive(Debug)]
pub(super) struct Prepared {
    /// As it was asked for.
    path: PathBuf,
    /// The file that this names.
    target: PathBuf,
    temporary: PathBuf,
    /// Open, and so locked: another process would take it for one left behind.
    file: File,
    in_place: bool,
}

impl Prepared {
    /// A new file in the folder of `target`.
    fn beside(path: &Path, target: PathBuf) -> io::Result<Self> {
        let (temporary, file) = temporary_beside(&target)?;
        Ok(Self {
            path: path.to_path_buf(),
            target,
            temporary,
            file,
            in_place: false,
        })
    }

    /// Brings all to the disk, with the permissions of the file that is replaced.
    fn settle(&self) -> io::Result<()> {
        #[cfg(unix)]
        if let Ok(replaced) = fs::metadata(&self.target) {
            keep_permissions(&self.file, &replaced)?;
        }
        note("sync the file");
        self.file.sync_all()
    }

    /// Gives the file its name, in place of one that may be there.
    ///
    /// # Errors
    /// When the system fails: what was there is as it was, unless the error says that the new file is
    /// in place.
    pub(super) fn put_in_place(mut self) -> Result<()> {
        let placed = self.rename();
        placed.map_err(|error| super::of_file(&self.path, error))
    }

    fn rename(&mut self) -> io::Result<()> {
        let folder = open_folder(folder_of(&self.target))?;
        note("rename");
        fs::rename(&self.temporary, &self.target)?;
        self.in_place = true;
        note("sync the folder");
        folder_synced(folder.map_or(Ok(()), |folder| folder.sync_all()))
    }
}

/// Gives a file the owner, the group and the permissions of the one that it replaces. Where the system
/// does not let another group have it, no group may read it.
#[cfg(unix)]
fn keep_permissions(file: &File, replaced: &fs::Metadata) -> io::Result<()> {
    use std::os::unix::fs::{MetadataExt, PermissionsExt, fchown};
    let new = file.metadata()?;
    let mut mode = replaced.mode();
    if (new.uid(), new.gid()) != (replaced.uid(), replaced.gid()) {
        // Root may give it away; others may give it to a group of theirs.
        let given = fchown(file, Some(replaced.uid()), Some(replaced.gid()))
            .or_else(|_| fchown(file, None, Some(replaced.gid())));
        if given.is_err() && new.gid() != replaced.gid() {
            mode &= !0o070;
        }
    }
    // A file system without permissions has none to keep.
    let _ = file.set_permissions(fs::Permissions::from_mode(mode));
    Ok(())
}

/// Keeps what is done in which order, for the tests: what a crash finds cannot be seen otherwise.
fn note(_what: &'static str) {
    #[cfg(test)]
    tests::NOTED.with_borrow_mut(|noted| noted.push(_what));
}

impl Drop for Prepared {
    fn drop(&mut self) {
        if !self.in_place {
            // The first error says what is wrong.
            let _ = fs::remove_file(&self.temporary);
        }
    }
}

/// The file that a path names: where it is a link, the one that this points to, which need not be there.
fn target(path: &Path) -> io::Result<PathBuf> {
    /// As many as Linux follows.
    const MOST_LINKS: usize = 40;
    let mut target = path.to_path_buf();
    for _ in 0..MOST_LINKS {
        let Ok(link) = fs::read_link(&target) else {
            return check_replaceable(&target).map(|()| target);
        };
        target = folder_of(&target).join(link);
    }
    Err(io::Error::new(
        ErrorKind::InvalidInput,
        "links that lead to each other",
    ))
}

/// An error where something other than a file is: nobody wants a model in place of a device.
fn check_replaceable(target: &Path) -> io::Result<()> {
    let problem = match fs::metadata(target) {
        Ok(there) if there.is_dir() => "expected a file or none, got a folder",
        Ok(there) if !there.is_file() => {
            "expected a file or none, got a device, a pipe or a socket"
        }
        // A file that may not be written to is not replaced either: whoever said so meant its contents.
        Ok(_) => return OpenOptions::new().write(true).open(target).map(drop),
        Err(_) => return Ok(()),
    };
    Err(io::Error::new(ErrorKind::InvalidInput, problem))
}

/// What the names of the temporary files of `target` begin with. They are longer than its own name, of
/// which a long one, that would leave no room, is there as a number.
fn hidden(target: &Path) -> Option<OsString> {
    const LONG: usize = 200;
    let name = target.file_name()?;
    let mut hidden = OsString::from(".");
    match name.len() {
        0..=LONG => hidden.push(name),
        _ => {
            let mut hasher = DefaultHasher::new();
            name.hash(&mut hasher);
            hidden.push(format!("{:016x}", hasher.finish()));
        }
    }
    hidden.push(".");
    Some(hidden)
}

/// A new file in the folder of `target`, locked as long as it is written.
fn temporary_beside(target: &Path) -> io::Result<(PathBuf, File)> {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let Some(hidden) = hidden(target) else {
        return Err(io::Error::new(ErrorKind::InvalidInput, "no name of a file"));
    };
    let options = options(target);
    loop {
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let mut hidden = hidden.clone();
        hidden.push(format!("{}-{number}.tmp", std::process::id()));
        let temporary = folder_of(target).join(hidden);
        match options.open(&temporary) {
            // Left behind by a process of the same number that was killed.
            Err(error) if error.kind() == ErrorKind::AlreadyExists => continue,
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

/// How a temporary file of `target` is made.
fn options(target: &Path) -> OpenOptions {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    if target.exists() {
        // At no time may anybody read the new contents who may not read the old ones.
        keep_from_others(&mut options);
    }
    options
}

#[cfg(unix)]
fn keep_from_others(options: &mut OpenOptions) {
    std::os::unix::fs::OpenOptionsExt::mode(options, 0o600);
}

/// Elsewhere a folder decides who may read its files.
#[cfg(not(unix))]
fn keep_from_others(_options: &mut OpenOptions) {}

/// Removes the temporary files of `target` that processes left behind when they were killed: those that
/// nobody holds a lock of. What cannot be removed does no harm.
fn remove_left_behind(target: &Path) {
    let (Some(hidden), Ok(entries)) = (hidden(target), fs::read_dir(folder_of(target))) else {
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
        // Locked until it is gone: whoever has just made it would take it for his own.
        if let Ok(file) = opened
            && file.try_lock().is_ok()
        {
            let _ = fs::remove_file(entry.path());
        }
    }
}

/// Makes a folder and those that it is in, where there are none, and brings their names to the disk: a
/// file is as safe as the folders around it.
pub(super) fn make_folder(folder: &Path) -> io::Result<()> {
    if folder.is_dir() {
        return Ok(());
    }
    let around = folder_of(folder);
    make_folder(around)?;
    match fs::create_dir(folder) {
        // Another process was first.
        Err(_) if folder.is_dir() => {}
        made => made?,
    }
    note("sync the folder around");
    folder_synced(open_folder(around)?.map_or(Ok(()), |around| around.sync_all()))
}

/// A folder, to bring its names to the disk; none where it can be written to but not opened.
#[cfg(unix)]
fn open_folder(folder: &Path) -> io::Result<Option<File>> {
    match File::open(folder) {
        Err(error) if error.kind() == ErrorKind::PermissionDenied => Ok(None),
        opened => opened.map(Some),
    }
}

/// Elsewhere a folder cannot be opened as a file.
#[cfg(not(unix))]
fn open_folder(_folder: &Path) -> io::Result<Option<File>> {
    Ok(None)
}

/// What it means for a file that has its name already how its folder was brought to the disk.
fn folder_synced(synced: io::Result<()>) -> io::Result<()> {
    let Err(error) = synced else {
        return Ok(());
    };
    match error.kind() {
        // A file system that does not do this for folders.
        ErrorKind::InvalidInput | ErrorKind::Unsupported => Ok(()),
        kind => Err(io::Error::new(
            kind,
            format!("the new file is in place, but a power cut may undo that: {error}"),
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Error;
    use std::{cell::RefCell, io::Write};

    thread_local! {
        pub(super) static NOTED: RefCell<Vec<&'static str>> = const { RefCell::new(Vec::new()) };
    }

    fn write_text(path: &Path, text: &str) -> Result<()> {
        write(path, |file| {
            file.write_all(text.as_bytes()).unwrap();
            Ok(())
        })
    }

    fn names(folder: &Path) -> Vec<OsString> {
        let entries = fs::read_dir(folder).unwrap();
        entries.map(|entry| entry.unwrap().file_name()).collect()
    }

    #[test]
    fn a_file_is_replaced_whole_and_nothing_is_left_beside_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        for text in ["first", "second"] {
            write_text(&path, text).unwrap();
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
    fn a_file_is_on_the_disk_before_it_has_its_name_and_its_name_before_it_is_said_to_be_saved() {
        let folder = tempfile::tempdir().unwrap();
        NOTED.take();
        write_text(&folder.path().join("file"), "text").unwrap();
        let expected = ["sync the file", "rename", "sync the folder"];
        assert_eq!(NOTED.take(), expected);
        make_folder(&folder.path().join("a/b")).unwrap();
        assert_eq!(NOTED.take(), ["sync the folder around"; 2]);
        make_folder(&folder.path().join("a/b")).unwrap();
        assert_eq!(NOTED.take(), [""; 0]);
    }

    #[test]
    fn a_name_may_be_as_long_as_the_system_allows() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(format!("{}.keras", "n".repeat(249)));
        fs::write(folder.path().join("plain"), "").unwrap();
        write_text(&path, "text").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "text");
    }

    #[test]
    fn threads_that_save_to_one_path_do_not_take_each_other_s_file_for_one_left_behind() {
        // In memory where that can be: a disk would take seconds for so many.
        let memory = tempfile::tempdir_in("/dev/shm");
        let folder = memory.or_else(|_| tempfile::tempdir()).unwrap();
        let path = folder.path().join("file");
        std::thread::scope(|scope| {
            for text in ["first", "second", "third"] {
                let path = &path;
                scope.spawn(move || (0..500).for_each(|_| write_text(path, text).unwrap()));
            }
        });
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

    #[test]
    fn a_prepared_file_is_whole_beside_the_old_one_and_goes_where_it_is_not_put_in_place() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        fs::write(&path, "old").unwrap();
        let new = |path: &Path| {
            prepare(path, |file| {
                file.write_all(b"new").unwrap();
                Ok(())
            })
        };
        let prepared = new(&path).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "old");
        assert_eq!(fs::read_to_string(&prepared.temporary).unwrap(), "new");
        drop(prepared);
        assert_eq!(names(folder.path()), ["file"]);
        assert_eq!(fs::read_to_string(&path).unwrap(), "old");
        new(&path).unwrap().put_in_place().unwrap();
        assert_eq!(names(folder.path()), ["file"]);
        assert_eq!(fs::read_to_string(&path).unwrap(), "new");
    }

    #[cfg(unix)]
    #[test]
    fn a_link_stays_and_the_file_that_it_names_is_replaced_or_made() {
        use std::os::unix::fs::symlink;
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::create_dir(at("far")).unwrap();
        fs::write(at("far/there"), "old").unwrap();
        symlink("far/there", at("link")).unwrap();
        symlink(at("link"), at("link of a link")).unwrap();
        symlink("far/not yet there", at("dangling")).unwrap();
        for (link, file) in [
            ("link", "far/there"),
            ("link of a link", "far/there"),
            ("dangling", "far/not yet there"),
        ] {
            write_text(&at(link), link).unwrap();
            assert!(at(link).is_symlink(), "{link}");
            assert_eq!(fs::read_to_string(at(file)).unwrap(), link);
        }
        let mut left = names(&at("far"));
        left.sort();
        assert_eq!(left, ["not yet there", "there"]);
        // Nowhere to write to: the error names the link.
        symlink("circle", at("circle")).unwrap();
        symlink("/dev/null", at("device")).unwrap();
        for (link, problem) in [
            ("circle", "links that lead to each other"),
            ("device", "expected a file or none, got a device"),
        ] {
            let error = write_text(&at(link), link).unwrap_err().to_string();
            let start = format!("{}: {problem}", at(link).display());
            assert!(error.starts_with(&start), "{error}");
        }
    }

    #[cfg(unix)]
    #[test]
    fn the_permissions_of_a_file_that_is_replaced_are_kept_and_are_never_wider() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let mode_of = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        let path = folder.path().join("file");
        for mode in [0o600, 0o640, 0o666] {
            fs::write(&path, "old").unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            let while_written = || {
                let others = names(folder.path());
                let temporary = others.iter().find(|name| *name != "file").unwrap();
                mode_of(&folder.path().join(temporary))
            };
            write(&path, |_| {
                assert_eq!(while_written(), 0o600, "{mode:o}");
                Ok(())
            })
            .unwrap();
            assert_eq!(mode_of(&path), mode, "{mode:o}");
            fs::remove_file(&path).unwrap();
        }
        // A file where none was has what the process gives to files.
        write_text(&path, "new").unwrap();
        let other = folder.path().join("other");
        fs::write(&other, "").unwrap();
        assert_eq!(mode_of(&path), mode_of(&other));
    }

    #[cfg(unix)]
    #[test]
    fn a_folder_that_cannot_be_brought_to_the_disk_is_an_error_that_says_what_is_in_place() {
        let of_code = |code| folder_synced(Err(io::Error::from_raw_os_error(code)));
        assert!(folder_synced(Ok(())).is_ok());
        let (einval, eio) = (22, 5);
        assert!(of_code(einval).is_ok(), "not for folders");
        assert!(folder_synced(Err(ErrorKind::Unsupported.into())).is_ok());
        let error = of_code(eio).unwrap_err().to_string();
        let start = "the new file is in place, but a power cut may undo that: ";
        assert!(error.starts_with(start), "{error}");
    }
}
