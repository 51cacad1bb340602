//! A file that is brought to the disk while it is written.

use std::{
    fs::File,
    io::{self, Seek, SeekFrom, Write},
    sync::mpsc::{SyncSender, sync_channel},
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
        let Some(Worker { orders, thread }) = self.worker.take() else {
            return Ok(());
        };
        drop(orders);
        let synced = thread.join();
        synced.unwrap_or_else(|_| Err(io::Error::other("a thread failed")))
    }

    /// Has the second thread bring to the disk what is there. Where it is still at it, or there can be
    /// no thread, more is left for the end.
    fn order(&mut self) -> io::Result<()> {
        if self.worker.is_none() {
            let file = self.file.try_clone()?;
            let (orders, taken) = sync_channel(1);
            let work = move || taken.into_iter().try_for_each(|()| file.sync_data());
            let spawned = std::thread::Builder::new().spawn(work);
            self.worker = spawned.ok().map(|thread| Worker { orders, thread });
        }
        if let Some(worker) = &self.worker {
            let _ = worker.orders.try_send(());
        }
        Ok(())
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
        let mut file = EarlySync::new(&file);
        file.at_once = 1;
        file.write_all(b"lost").unwrap();
        assert!(file.finish().is_err());
    }
}
