use super::{Callback, SaveFreq};
use crate::{Error, Result, saving::Backups};
use std::{
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

/// Keeps a backup of the training, so that a program that was killed goes on when it is started
/// again, and ends with the bits of one that was never interrupted.
///
/// `<backup_dir>/latest.keras` is written when training begins and then after every epoch, or after
/// so many batches. A `fit` that finds one there takes it up: the weights, what the optimizer keeps,
/// the learning rate, the seed and all that is drawn from it, which layers are frozen, the epoch and
/// the batch in it, the counts of the loss and the metrics, the history, and the state of the other
/// callbacks. [`History`](crate::History) then has the epochs before the interruption as well. When
/// `fit` has come to its end, the backup is removed: where the model must not be lost before it is in a file,
/// keep it by [`delete_checkpoint(false)`](Self::delete_checkpoint), `save`, and remove the folder.
///
/// The program must be the same: the same layers, compilation, data, options and callbacks, as far as
/// that can be seen; another is an error that says to remove the backup. Each `fit` of a program needs
/// a folder of its own. What is not in a backup: a callback of your own that gives no
/// [`state`](Callback::state); the counts of a metric of your own that gives none
/// ([`Counter::state`](crate::metrics::Counter::state)), which begin anew at the batch; and the position of a source of batches, which is taken from its
/// beginning again, and its batches passed over. Where a number is not finite in an epoch that was
/// taken up in its middle, the model goes back to the backup, not to the epoch's beginning.
///
/// Loaded with [`Sequential::load`](crate::Sequential::load), or in Keras, a backup is the model as it was.
///
/// # Defaults
/// `save_freq` [`SaveFreq::Epoch`], `double_checkpoint` false, `delete_checkpoint` true.
///
/// ```
/// use candle_keras::{callbacks::{BackupAndRestore, LambdaCallback}, prelude::*, Error};
/// # fn main() -> anyhow::Result<()> {
/// # let x = Tensor::ones((8, 1), DType::F32, &Device::Cpu)?;
/// # let temporary = tempfile::tempdir()?;
/// # let folder = temporary.path().join("backup");
/// let mut killed = true; // in the first run, in its third epoch
/// let mut program = || {
///     let mut model = Sequential::new().add(Input::new(1)).add(Dense::new(1)).build(&Device::Cpu)?;
///     model.compile(Adam::new(0.1), MeanSquaredError::new(), ())?;
///     let kill = LambdaCallback::new().on_epoch_begin(|epoch, _| match epoch {
///         2 if std::mem::take(&mut killed) => Err(Error::callback("killed")),
///         _ => Ok(()),
///     });
///     let options = Fit::new().epochs(5).verbose(0).callback(kill);
///     model.fit(&x, &x, options.callback(BackupAndRestore::new(&folder)))
/// };
/// assert!(program().is_err());
/// assert!(folder.join("latest.keras").exists());
/// let history = program()?;
/// assert_eq!(history.epochs(), [0, 1, 2, 3, 4]); // two of them in the first run
/// assert!(!folder.exists());
/// # Ok(()) }
/// ```
///
/// # Errors
/// `fit` fails when `save_freq` is 0 batches, there are two of these callbacks, the model is one that
/// [`save`](crate::Sequential::save) cannot write, the backup that is there is of another program or
/// damaged, or a backup cannot be written. The model then keeps the weights that it has, so that they
/// can be saved elsewhere, and the last backup stays whole.
///
/// Keras: `BackupAndRestore`, which restores the weights, the optimizer and the epoch alone, gives a
/// history without the earlier epochs, and removes all of the folder at the end.
#[derive(Debug, Clone)]
pub struct BackupAndRestore {
    backup_dir: PathBuf,
    save_freq: SaveFreq,
    double_checkpoint: bool,
    delete_checkpoint: bool,
    interrupted: Option<Arc<AtomicBool>>,
    /// Batches since the last backup.
    batches: usize,
}

impl BackupAndRestore {
    /// After every epoch, into a folder that is made where there is none.
    pub fn new(backup_dir: impl Into<PathBuf>) -> Self {
        Self {
            backup_dir: backup_dir.into(),
            save_freq: SaveFreq::Epoch,
            double_checkpoint: false,
            delete_checkpoint: true,
            interrupted: None,
            batches: 0,
        }
    }

    /// When there is a backup: after every epoch, or after so many batches.
    pub fn save_freq(mut self, save_freq: SaveFreq) -> Self {
        self.save_freq = save_freq;
        self
    }

    /// Whether the backup before the latest one is kept as well, `previous.keras`: it is taken up
    /// where the latest one is damaged.
    pub fn double_checkpoint(mut self, double_checkpoint: bool) -> Self {
        self.double_checkpoint = double_checkpoint;
        self
    }

    /// Whether backups are removed at the end of `fit`, and the folder if it is empty then. Where they
    /// are kept, the next `fit` of more epochs goes on from the last one, and one of as many gives the
    /// trained model at once.
    pub fn delete_checkpoint(mut self, delete_checkpoint: bool) -> Self {
        self.delete_checkpoint = delete_checkpoint;
        self
    }

    /// A flag that ends training, once it is set, after the running batch: a backup is written, unless a
    /// weight is not finite, and `fit` gives [`Error::Interrupted`]. `examples/resume.rs` sets it on Ctrl-C.
    pub fn interrupted_by(mut self, flag: Arc<AtomicBool>) -> Self {
        self.interrupted = Some(flag);
        self
    }

    /// The folder of the backups.
    pub fn backup_dir(&self) -> &Path {
        &self.backup_dir
    }

    pub(crate) fn check(&self) -> Result<()> {
        self.save_freq.check()
    }

    pub(crate) fn files(&self) -> Backups {
        Backups::new(&self.backup_dir, self.double_checkpoint)
    }

    pub(crate) fn is_interrupted(&self) -> bool {
        let flag = self.interrupted.as_ref();
        flag.is_some_and(|flag| flag.load(Ordering::Relaxed))
    }

    /// Counts a batch; whether there is to be a backup after it.
    pub(crate) fn is_due_after_batch(&mut self) -> bool {
        self.batches += 1;
        match self.save_freq {
            SaveFreq::Batches(every) if self.batches >= every => true,
            _ => self.is_interrupted(),
        }
    }

    /// Whether there is to be a backup after an epoch.
    pub(crate) fn is_due_after_epoch(&self) -> bool {
        self.save_freq == SaveFreq::Epoch || self.is_interrupted()
    }

    /// A backup was written, or could not be of these weights.
    pub(crate) fn handled(&mut self) {
        self.batches = 0;
    }

    /// The fit has come to its end.
    pub(crate) fn finish(&self) -> Result<()> {
        match self.delete_checkpoint {
            true => self.files().remove(),
            false => Ok(()),
        }
    }
}

impl Callback for BackupAndRestore {
    fn backups(&mut self) -> Option<&mut BackupAndRestore> {
        Some(self)
    }
}

impl SaveFreq {
    /// An error for 0 batches.
    pub(super) fn check(self) -> Result<()> {
        if self != Self::Batches(0) {
            return Ok(());
        }
        let advice = "1 saves after every batch, SaveFreq::Epoch after every epoch";
        Err(Error::argument("save_freq", "at least 1 batch", 0, advice))
    }
}
