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
pub(super) struct EarlySync {
    file: File,
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

impl EarlySync {
    pub(super) fn new(file: File) -> Self {
        Self {
            file,
            at_once: AT_ONCE,
            written: 0,
            worker: None,
        }
    }

    /// Waits until all that was written is on the disk, and gives back the file.
    pub(super) fn finish(mut self) -> io::Result<File> {
        if let Some(Worker { orders, thread }) = self.worker.take() {
            drop(orders);
            thread
                .join()
                .map_err(|_| io::Error::other("a thread failed"))??;
        }
        self.file.sync_all()?;
        Ok(self.file)
    }

    /// Has the worker bring to the disk what is there; where it is still at it, or there can be no
    /// thread, [`finish`](Self::finish) does.
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

impl Write for EarlySync {
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

impl Seek for EarlySync {
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
        let mut file = EarlySync::new(File::create(&path).unwrap());
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
        let mut file = EarlySync::new(File::options().write(true).open("/dev/null").unwrap());
        file.at_once = 1;
        file.write_all(b"lost").unwrap();
        assert!(file.finish().is_err());
    }
}
