use super::{
    Callback, Mode, State,
    file_name::{FileName, Number as Filled},
    monitor::{Monitor, check_finite},
};
use crate::{
    Error, Logs, Result, Sequential,
    printing::{say, warn},
    python, saving,
    saving::Number,
};
use std::path::{Path, PathBuf};

/// When a [`ModelCheckpoint`] or a [`BackupAndRestore`](super::BackupAndRestore) saves.
///
/// Keras: the argument `save_freq`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum SaveFreq {
    /// After every epoch.
    #[default]
    Epoch,
    /// After so many batches, which are counted on from epoch to epoch.
    Batches(usize),
}

/// Saves the model, or its weights, while it trains: after every epoch, after so many batches, or
/// whenever it is better than before.
///
/// The file's name says what: `.keras` for the whole model, as by [`Sequential::save`]; `.weights.h5`
/// or `.safetensors` for its weights, as by [`Sequential::save_weights`], and those alone may be
/// with `save_weights_only`. Folders that do not exist are made. In its name placeholders stand for numbers as in Python's `format`:
/// `{epoch:02d}`, counted from 1, `{val_loss:.2f}` and all other names of the logs, and `{batch}`,
/// counted from 1, where it saves by batches. A width, 0 before it for zeros, a precision and the
/// kinds `d`, `f` and `e` are known.
///
/// # Defaults
/// `monitor` "val_loss", `verbose` 0, `save_best_only` false, `save_weights_only` false, `mode`
/// [`Mode::Auto`], `save_freq` [`SaveFreq::Epoch`], no `initial_value_threshold`.
///
/// ```
/// use candle_keras::{callbacks::ModelCheckpoint, prelude::*};
/// # fn main() -> anyhow::Result<()> {
/// # let x = Tensor::ones((8, 1), DType::F32, &Device::Cpu)?;
/// # let mut model = Sequential::new().add(Input::new(1)).add(Dense::new(1)).build(&Device::Cpu)?;
/// # model.compile(Sgd::new(0.1), MeanSquaredError::new(), ())?;
/// # let temporary = tempfile::tempdir()?;
/// # let folder = temporary.path();
/// let every = ModelCheckpoint::new(folder.join("weights-{epoch:02d}.safetensors"));
/// let best = ModelCheckpoint::new(folder.join("best.keras")).save_best_only(true);
/// let options = Fit::new().epochs(2).validation_split(0.25).verbose(0);
/// model.fit(&x, &x, options.callback(every).callback(best))?;
/// model.load_weights(folder.join("weights-01.safetensors"))?;
/// let best = Sequential::load(folder.join("best.keras"), &Device::Cpu)?;
/// # Ok(()) }
/// ```
///
/// # Errors
/// `fit` fails when the name ends in none of these, has a placeholder of a name that the
/// logs do not have or of a format that does not fit, `save_freq` is 0 batches,
/// `initial_value_threshold` is not finite, `mode` is [`Mode::Auto`] and no loss or metric of the
/// name that is monitored says which way is better, or the file cannot be written. Where
/// `save_best_only` finds no number of that name in the logs, it saves, after a warning on standard
/// error. A model of which a weight is not finite is not saved, after another: the file before it stays.
///
/// Keras: `ModelCheckpoint`. As there, the best number is kept from one `fit` to the next.
#[derive(Debug, Clone)]
pub struct ModelCheckpoint {
    filepath: PathBuf,
    monitor: Monitor,
    verbose: u8,
    save_best_only: bool,
    save_weights_only: bool,
    save_freq: SaveFreq,
    initial_value_threshold: Option<f64>,
    epoch: usize,
    /// Batches since it last saved.
    batches: usize,
}

impl ModelCheckpoint {
    /// After every epoch, into a file that may have placeholders in its name.
    pub fn new(filepath: impl Into<PathBuf>) -> Self {
        Self {
            filepath: filepath.into(),
            monitor: Monitor::new(0.0),
            verbose: 0,
            save_best_only: false,
            save_weights_only: false,
            save_freq: SaveFreq::Epoch,
            initial_value_threshold: None,
            epoch: 0,
            batches: 0,
        }
    }

    /// The name of the number that says which model is best: `loss`, `val_accuracy`.
    pub fn monitor(mut self, name: impl Into<String>) -> Self {
        self.monitor.rename(name);
        self
    }

    /// Whether it says on standard output what it does: 0 not, 1 it does.
    pub fn verbose(mut self, verbose: u8) -> Self {
        self.verbose = verbose;
        self
    }

    /// Whether it saves only a model that is better than all before it.
    pub fn save_best_only(mut self, save_best_only: bool) -> Self {
        self.save_best_only = save_best_only;
        self
    }

    /// Whether weights alone are saved. The file's name says the same: a `.safetensors` file holds
    /// weights alone in either case, and this version writes no other.
    pub fn save_weights_only(mut self, save_weights_only: bool) -> Self {
        self.save_weights_only = save_weights_only;
        self
    }

    /// Which way is better.
    pub fn mode(mut self, mode: Mode) -> Self {
        self.monitor.mode(mode);
        self
    }

    /// When it saves.
    pub fn save_freq(mut self, save_freq: SaveFreq) -> Self {
        self.save_freq = save_freq;
        self
    }

    /// What the first model has to be better than to be saved, with `save_best_only`.
    pub fn initial_value_threshold(mut self, value: f64) -> Self {
        self.initial_value_threshold = Some(value);
        self.monitor.best = Some(value);
        self
    }

    /// The best number so far.
    pub fn best(&self) -> Option<f64> {
        self.monitor.best
    }

    fn check(&self) -> Result<()> {
        self.save_freq.check()?;
        if let Some(value) = self.initial_value_threshold {
            check_finite("initial_value_threshold", value)?;
        }
        self.check_format()?;
        FileName::new(&self.filepath).map(|_| ())
    }

    /// An error unless the file's name is one of a format: of weights where only they are asked for.
    fn check_format(&self) -> Result<()> {
        let (name, path) = ("filepath", &self.filepath);
        let weights = saving::WeightsFormat::of(name, path).map(drop);
        if self.save_weights_only || weights.is_ok() {
            return weights;
        }
        saving::check_model_file(name, path).map_err(|_| {
            let expected = "a name that ends in .keras, .weights.h5 or .safetensors";
            let advice = "the first is of a whole model, the others of its weights";
            Error::argument(name, expected, path.display(), advice)
        })
    }

    /// The file to save to now.
    fn file(&self, batch: Option<usize>, logs: &Logs) -> Result<PathBuf> {
        let mut numbers = vec![("epoch", Filled::Whole(self.epoch + 1))];
        numbers.extend(batch.map(|batch| ("batch", Filled::Whole(batch + 1))));
        numbers.extend(logs.iter().map(|(name, value)| (name, Filled::Real(value))));
        FileName::new(&self.filepath)?.fill(&numbers)
    }

    /// Saves, if the model is to be saved.
    fn save(&mut self, batch: Option<usize>, logs: &Logs, model: &Sequential) -> Result<()> {
        let file = self.file(batch, logs)?;
        let best = self.monitor.best;
        if !self.is_wanted(logs, &file) {
            return Ok(());
        }
        if let Some(weight) = model.weight_not_finite()? {
            // Before `fit` finds it, at the end of the epoch.
            self.monitor.best = best;
            let file = file.display();
            warn(&format!(
                "{file}: not saved, as `{weight}` holds a number that is not finite"
            ));
            return Ok(());
        }
        if let Err(error) = write(&file, model) {
            // The next one has to be better than what is in a file.
            self.monitor.best = best;
            return Err(error);
        }
        self.say(&format!("finished saving model to {}", file.display()));
        Ok(())
    }

    /// Whether the model is to be saved.
    fn is_wanted(&mut self, logs: &Logs, file: &Path) -> bool {
        let file = file.display();
        if !self.save_best_only {
            self.say(&format!("saving model to {file}"));
            return true;
        }
        let name = self.monitor.name().to_string();
        let warning = format!("Can save best model only with {name} available.");
        let Some(value) = self.monitor.value(logs, warning) else {
            return true;
        };
        let best = self
            .monitor
            .best
            .map_or("None".to_string(), |best| python::fixed(best, 5));
        let improved = self.monitor.improve(value);
        if improved {
            let value = python::fixed(value, 5);
            self.say(&format!(
                "{name} improved from {best} to {value}, saving model to {file}"
            ));
        } else {
            self.say(&format!("{name} did not improve from {best}"));
        }
        improved
    }

    fn say(&self, what: &str) {
        if self.verbose > 0 {
            say(&format!("\nEpoch {}: {what}", self.epoch + 1));
        }
    }
}

/// Writes the format that the file's name says.
fn write(file: &Path, model: &Sequential) -> Result<()> {
    saving::make_folder_of(file)?;
    match saving::check_model_file("filepath", file) {
        Ok(()) => model.save(file),
        Err(_) => model.save_weights(file),
    }
}

impl Callback for ModelCheckpoint {
    fn on_train_begin(&mut self, model: &mut Sequential) -> Result<()> {
        self.check()?;
        self.monitor.begin(model)
    }

    fn state(&self) -> Result<State> {
        State::of((self.epoch, self.batches, self.monitor.best.map(Number)))
    }

    fn on_train_resume(&mut self, state: State, model: &mut Sequential) -> Result<()> {
        self.on_train_begin(model)?;
        let best: Option<Number>;
        (self.epoch, self.batches, best) = state.read()?;
        self.monitor.best = best.map(|Number(best)| best);
        Ok(())
    }

    fn on_epoch_begin(&mut self, epoch: usize, _model: &mut Sequential) -> Result<()> {
        self.epoch = epoch;
        Ok(())
    }

    fn on_train_batch_end(&mut self, batch: usize, model: &mut Sequential) -> Result<()> {
        let SaveFreq::Batches(every) = self.save_freq else {
            return Ok(());
        };
        self.batches += 1;
        if self.batches < every {
            return Ok(());
        }
        self.batches = 0;
        let logs = model.running_logs()?;
        self.save(Some(batch), &logs, model)
    }

    fn on_epoch_end(
        &mut self,
        _epoch: usize,
        logs: &mut Logs,
        model: &mut Sequential,
    ) -> Result<()> {
        match self.save_freq {
            SaveFreq::Epoch => self.save(None, logs, model),
            SaveFreq::Batches(_) => Ok(()),
        }
    }
}
