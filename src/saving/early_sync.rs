//! A file that is brought to the disk while it is written.

use std::{
    fs::File,
    io::{self, Seek, SeekFrom, Write},
    sync::mpsc::{SyncSender, TrySendError, sync_channel},
    thread::JoinHandle,
};

/// The bytes after which the disk begins: smaller files are there as soon without it.
const AT_ONCE: usize = 64 << 20;

/// A file whose first part goes to the disk on a second thread while the next one is written.
#[derive(Debug)]
pub(super) struct EarlySync<'a> {
    file: &'a File,
    /// After how many bytes the disk begins.
    at_once: usize,
    /// The bytes that nobody has yet asked to be on the disk.
    written: usize,
    worker: Option<Worker>,
}

/// A thread that brings the file to the disk whenever it is told to.
#[derive(Debug)]
struct Worker {
    orders: SyncSender<()>,
    /// The first error: whoever asks the file itself afterwards may not hear of it again.
    thread: JoinHandle<io::Result<()>>,
}

impl<'a> EarlySync<'a> {
    pub(super) fn new(file: &'a File) -> Self {
        Self {
            file,
            at_once: AT_ONCE,
            written: 0,
            worker: None,
        }
    }

    /// Waits for the second thread. What was written last is left for the file's own `sync_all`.
    pub(super) fn finish(mut self) -> io::Result<()> {
        self.worker.take().map_or(Ok(()), Worker::join)
    }

    /// Has the second thread bring to the disk what is there. Where it is still at it, or there can be
    /// no thread, more is left for the end.
    fn order(&mut self) -> io::Result<()> {
        if self.worker.is_none() {
            self.worker = Worker::new(self.file);
        }
        let sent = self
            .worker
            .as_ref()
            .map(|worker| worker.orders.try_send(()));
        match sent {
            // It ends before the file does for an error alone.
            Some(Err(TrySendError::Disconnected(()))) => {
                self.worker.take().map_or(Ok(()), Worker::join)
            }
            _ => Ok(()),
        }
    }
}

impl Worker {
    /// None where the system has no more threads or files to give.
    fn new(file: &File) -> Option<Self> {
        let file = file.try_clone().ok()?;
        let (orders, taken) = sync_channel(1);
        let work = move || taken.into_iter().try_for_each(|()| file.sync_data());
        let thread = std::thread::Builder::new().spawn(work).ok()?;
        Some(Self { orders, thread })
    }

    fn join(self) -> io::Result<()> {
        drop(self.orders);
        let synced = self.thread.join();
        synced.unwrap_or_else(|_| Err(io::Error::other("a thread failed")))
    }
}

/// A file that is given up leaves its room on the disk to the next one, which a thread that still holds
/// it would not.
impl Drop for EarlySync<'_> {
    fn drop(&mut self) {
        if let Some(worker) = self.worker.take() {
            let _ = self.file.set_len(0);
            let _ = worker.join();
        }
    }
}

impl Write for EarlySync<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.file.write(bytes)?;
        self.written += count;
        if self.written >= self.at_once {
            self.written = 0;
            self.order()?;
        }
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl Seek for EarlySync<'_> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.file.seek(to)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn a_file_that_goes_to_the_disk_while_it_is_written_is_whole() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        let bytes: Vec<u8> = (0..100_000u32).flat_map(u32::to_le_bytes).collect();
        let file = File::create(&path).unwrap();
        let mut file = EarlySync::new(&file);
        file.at_once = 1000;
        for piece in bytes.chunks(999) {
            file.write_all(piece).unwrap();
        }
        assert!(file.worker.is_some());
        file.seek(SeekFrom::Start(0)).unwrap();
        file.write_all(b"head").unwrap();
        file.finish().unwrap();
        let written = fs::read(&path).unwrap();
        assert_eq!(written[..4], *b"head");
        assert!(written[4..] == bytes[4..]);
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn what_keeps_a_file_from_the_disk_is_an_error_at_the_end() {
        // It takes all that is written, and has nothing to bring it to.
        let file = File::options().write(true).open("/dev/null").unwrap();
        let begun = || {
            let mut file = EarlySync::new(&file);
            file.at_once = 1;
            file.write_all(b"lost").unwrap();
            file
        };
        assert!(begun().finish().is_err());
        // Or before it, where more is written.
        let mut file = begun();
        assert!((0..100_000).any(|_| file.write_all(b"more").is_err()));
    }

    #[test]
    fn a_file_that_is_given_up_takes_no_room() {
        let path = tempfile::NamedTempFile::new().unwrap();
        let file = File::create(path.path()).unwrap();
        let mut writer = EarlySync::new(&file);
        writer.at_once = 10;
        writer.write_all(&[1; 10_000]).unwrap();
        drop(writer);
        assert_eq!(file.metadata().unwrap().len(), 0);
    }
}
