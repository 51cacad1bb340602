//! Whole models as `.keras` files: a zip of `metadata.json`, `config.json` and `model.weights.h5`.

use super::{
    Backup,
    atomic::{self, Prepared},
    backup, check_finite, check_model_file, compiled,
    hdf5::read::{File as Hdf5, FilePart, ReadAt},
    legacy_h5,
    limits::{self, LONGEST_TEXT, MOST_STEPS, most_bytes},
    may_pass, not_hdf5, of_file, unwritten,
    weights_h5::{Layout, Saved, add_tensors, tree},
};
use crate::{CustomObjects, Error, Result, Sequential, printing::warn};
use candle_core::Device;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::{
    fs::File,
    io::{self, BufReader, Read, Seek, SeekFrom, Write},
    path::Path,
    time::{SystemTime, UNIX_EPOCH},
};
use zip::{CompressionMethod, ZipArchive, ZipWriter, result::ZipError, write::SimpleFileOptions};

/// The version of Keras whose files these are.
const KERAS_VERSION: &str = "3.15.1";

/// The bytes that are read at once to check them: a cache of the processor holds them.
const PIECE: usize = 1 << 18;

/// What `metadata.json` holds.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Metadata {
    #[serde(default)]
    keras_version: String,
    #[serde(default)]
    date_saved: String,
    /// What this crate keeps besides, so that training goes on as if it had never stopped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    candle_keras: Option<Progress>,
}

/// How far a model has been trained.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Progress {
    /// Of all that is random.
    pub(super) seed: u64,
    /// Dropout draws by the steps.
    pub(super) steps: u64,
    /// Shuffling draws by the passes over the data.
    pub(super) passes: u64,
    /// What the optimizer leaves out of the weight decay: no configuration of Keras's holds it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    exclude_from_weight_decay: Vec<String>,
    /// Where a `fit` is, in a backup: [`super::Position`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) fit: Option<Value>,
}

impl Sequential {
    /// Saves the model as a `.keras` file: its layers, its weights, what `compile` was given, what the
    /// optimizer keeps, and how far it has been trained. Keras 3 loads it with
    /// `keras.models.load_model`.
    ///
    /// The file is replaced whole or, where something goes wrong, stays as it was; where `path` is a
    /// link, it stays, and the file that it names is replaced. A loss, a metric, an optimizer or a
    /// schedule of your own without a `config`, such as a closure, cannot be written: the model is then
    /// saved as one that is not compiled, after a line on standard error.
    ///
    /// ```
    /// use candle_keras::prelude::*;
    /// # fn main() -> anyhow::Result<()> {
    /// # let x = Tensor::ones((4, 2), DType::F32, &Device::Cpu)?;
    /// # let folder = tempfile::tempdir()?;
    /// # let path = folder.path().join("model.keras");
    /// # let mut model = Sequential::new().add(Input::new(2)).add(Dense::new(2)).build(&Device::Cpu)?;
    /// # model.compile(Adam::new(0.01), MeanSquaredError::new(), ())?;
    /// model.fit(&x, &x, Fit::new().epochs(2).verbose(0))?;
    /// model.save(&path)?;
    /// let mut again = Sequential::load(&path, &Device::Cpu)?;
    /// // Both go on to the same weights, bit for bit.
    /// model.fit(&x, &x, Fit::new().verbose(0))?;
    /// again.fit(&x, &x, Fit::new().verbose(0))?;
    /// # let kernel = |model: &Sequential| Ok::<_, anyhow::Error>(model.weight("dense/kernel")?.to_vec2::<f32>()?);
    /// assert_eq!(kernel(&model)?, kernel(&again)?);
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// When the model is not built, the name does not end in `.keras`, a weight is not finite, a layer of your own, or
    /// an initializer, a regularizer or a constraint in one, gives no `config`, or the file cannot be written.
    ///
    /// Keras: `save`.
    pub fn save(&self, path: impl AsRef<Path>) -> Result<()> {
        let path = path.as_ref();
        self.built("save")?;
        check_model_file("path", path)?;
        check_finite(self, path)?;
        if let Some(Err(error)) = self.compiled.as_ref().map(compiled::object) {
            warn(&format!(
                "{}: saved as not compiled: {error}",
                path.display()
            ));
        }
        self.prepare(path, None)?.put_in_place()
    }

    /// Writes the file, with where a `fit` is in a backup, but does not yet put it in its place.
    pub(super) fn prepare(&self, path: &Path, backup: Option<&Backup>) -> Result<Prepared> {
        let chain = self.built("save")?;
        let position = backup.map(|backup| serde_json::to_value(&backup.position));
        let position = position.transpose();
        let metadata = Metadata {
            keras_version: KERAS_VERSION.to_string(),
            date_saved: date(SystemTime::now()),
            candle_keras: Some(Progress {
                seed: chain.seed,
                steps: self.trained.steps,
                passes: self.trained.passes,
                exclude_from_weight_decay: match &self.compiled {
                    Some(compiled) => compiled.optimizer.rule.settings().excluded.clone(),
                    None => Vec::new(),
                },
                fit: position.map_err(|error| of_file(path, error.into()))?,
            }),
        };
        let config = self.object()?.to_string();
        let metadata =
            serde_json::to_string(&metadata).map_err(|error| of_file(path, error.into()))?;
        // What could not be read again must not replace a file that can.
        for (name, text, advice) in [
            (
                "metadata.json",
                &metadata,
                "leave out the callback or metric whose state is that large",
            ),
            (
                "config.json",
                &config,
                "keep numbers in weights, not in arguments of layers",
            ),
        ] {
            let read = limits::json(text);
            read.map_err(|problem| super::saved(path, format!("{name}: {problem}"), advice))?;
        }
        let mut weights = tree(self).map_err(|error| unwritten(path, error))?;
        for (index, state) in backup
            .iter()
            .flat_map(|backup| backup.states.iter().enumerate())
        {
            add_tensors(&mut weights, &backup::group_of(index), &state.tensors)
                .map_err(|error| unwritten(path, error))?;
        }
        atomic::prepare(path, |file| {
            let mut zip = ZipWriter::new(UntilError {
                file,
                failed: false,
                at: 0,
            });
            let of_zip = |error: ZipError| of_file(path, error.into());
            let options =
                SimpleFileOptions::default().compression_method(CompressionMethod::Stored);
            for (name, text) in [("metadata.json", metadata), ("config.json", config)] {
                zip.start_file(name, options).map_err(of_zip)?;
                let written = zip.write_all(text.as_bytes());
                written.map_err(|error| of_file(path, error))?;
            }
            let options = options.large_file(true);
            zip.start_file("model.weights.h5", options)
                .map_err(of_zip)?;
            weights
                .write(&mut zip)
                .map_err(|error| unwritten(path, error))?;
            zip.finish().map_err(of_zip)?;
            Ok(())
        })
    }

    /// Loads a model from a `.keras` file of this crate or of Keras 3, built on `device` and compiled
    /// as it was saved; or from a `.h5` file of a whole model, Keras's format before it.
    ///
    /// # Errors
    /// When the file cannot be read, is no `.keras` file or is damaged, the model is no `Sequential`,
    /// it holds a layer or an argument of one that the crate does not have, the weights do not fit the
    /// layers, or one holds a number that is not finite. [`load_with`](Self::load_with) takes parts of
    /// your own. A loss, metric or optimizer that is not known leaves the model not compiled, after a
    /// line on standard error; Keras gives an error, or takes `compile=False`.
    ///
    /// A file may come from anywhere. Loading one never writes, and takes no more memory than the
    /// model that the file holds with its optimizer, a few times the file, and 300 MB: a
    /// configuration has at most 16 MB, 131,072 objects and 1,048,576 values, and weights that are
    /// compressed or were never written at most 8 times the bytes in the file and 64 MB.
    ///
    /// Keras: `keras.models.load_model`.
    pub fn load(path: impl AsRef<Path>, device: &Device) -> Result<Self> {
        Self::load_with(path, device, &CustomObjects::new())
    }

    /// The same with parts of your own.
    ///
    /// # Errors
    /// As for [`load`](Self::load).
    pub fn load_with(
        path: impl AsRef<Path>,
        device: &Device,
        custom: &CustomObjects,
    ) -> Result<Self> {
        let path = path.as_ref();
        let is_old = |ending: &std::ffi::OsStr| ending == "h5" || ending == "hdf5";
        if path.extension().is_some_and(is_old) {
            return legacy_h5::load(path, device, custom);
        }
        let mut archive = Archive::open(path)?;
        let config = archive.json("config.json")?;
        let config = config.ok_or_else(|| not_keras(path, "it holds no config.json"))?;
        let progress = archive.progress()?;
        let weights = archive.weights()?;
        let most = most_bytes(weights.in_file());
        let in_file = |error| Error::of_part("file", &path.display().to_string(), error);
        let mut model = Self::from_object(&config, custom).map_err(in_file)?;
        if let Some(progress) = &progress {
            model = model.seed(progress.seed);
        }
        let mut model = model.build_empty(device, most).map_err(in_file)?;
        let source = weights.source();
        // First the weights: with them the file shows that it is worth an optimizer's memory.
        let saved = source.checked(path, |file| {
            let layout = Layout::Classes;
            let saved = Saved { file, path, layout };
            saved.load_fresh(&model).map(|()| saved)
        })?;
        compiled::compile(&mut model, &config["compile_config"], custom, path);
        saved.load_optimizer(&mut model)?;
        if let Some(progress) = progress {
            model.trained.steps = progress.steps;
            model.trained.passes = progress.passes;
            if let Some(compiled) = &mut model.compiled {
                let settings = compiled.optimizer.rule.settings_mut();
                settings.excluded = progress.exclude_from_weight_decay;
            }
        }
        Ok(model)
    }
}

impl Sequential {
    /// Gives the model the weights of a `.keras` file, and its optimizer what that had kept.
    pub(super) fn load_weights_of_model(&mut self, path: &Path) -> Result<()> {
        let source = Archive::open(path)?.weights()?.source();
        // All is checked before a weight is changed, the checksum as well.
        let saved = source.checked(path, |file| {
            let layout = Layout::Classes;
            Ok(Saved { file, path, layout })
        })?;
        saved.load_weights(self)?;
        saved.load_optimizer(self)
    }
}

/// A file that takes everything after an error, as if it were written: `ZipWriter` writes its end when
/// it is dropped, and where it cannot, it says so on standard error in words of its own.
struct UntilError<'a, W> {
    file: &'a mut W,
    failed: bool,
    /// Where it is in the file.
    at: u64,
}

impl<W> UntilError<'_, W> {
    fn unless_failed<T>(
        &mut self,
        after: T,
        call: impl FnOnce(&mut W) -> io::Result<T>,
    ) -> io::Result<T> {
        if self.failed {
            return Ok(after);
        }
        let done = call(self.file);
        self.failed = done
            .as_ref()
            .is_err_and(|error| error.kind() != io::ErrorKind::Interrupted);
        done
    }
}

impl<W: Write> Write for UntilError<'_, W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.unless_failed(bytes.len(), |file| file.write(bytes))?;
        self.at += count as u64;
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.unless_failed((), W::flush)
    }
}

impl<W: Seek> Seek for UntilError<'_, W> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let after = match to {
            SeekFrom::Start(at) => at,
            SeekFrom::Current(by) => self.at.saturating_add_signed(by),
            SeekFrom::End(_) => self.at,
        };
        self.at = self.unless_failed(after, |file| file.seek(to))?;
        Ok(self.at)
    }
}

/// An error unless bytes add up to the zip's checksum: numbers that a disk has changed would be
/// numbers all the same.
fn check_sum(bytes: &dyn ReadAt, expected: u32) -> std::result::Result<(), String> {
    let name = "model.weights.h5";
    let mut sum = flate2::Crc::new();
    let mut piece = vec![0; PIECE];
    let (mut at, size) = (0, bytes.size());
    while at < size {
        let count = (size - at).min(PIECE as u64);
        let piece = piece.get_mut(..count as usize).unwrap_or_default();
        let read = bytes.read_exact_at(at, piece);
        read.map_err(|error| format!("{name}: {error}"))?;
        sum.update(piece);
        at += count;
    }
    match sum.sum() {
        sum if sum == expected => Ok(()),
        sum => Err(format!(
            "{name}: expected the checksum {expected:08x}, got {sum:08x}: damaged data"
        )),
    }
}

/// A `.keras` file that is open.
pub(super) struct Archive<'a> {
    path: &'a Path,
    /// The file itself: by its name another one may be there meanwhile.
    file: File,
    zip: ZipArchive<BufReader<File>>,
}

/// The HDF5 file inside.
pub(super) enum Weights {
    /// Its bytes in the file, how many, and what they add up to.
    Stored {
        part: FilePart,
        size: u64,
        checksum: u32,
    },
    /// Its bytes, and how many they were when they were compressed.
    Inflated { bytes: Vec<u8>, packed: u64 },
}

impl Weights {
    /// The bytes that it takes in the `.keras` file.
    fn in_file(&self) -> u64 {
        match self {
            Self::Stored { size, .. } => *size,
            Self::Inflated { packed, .. } => *packed,
        }
    }

    /// What its bytes are read from.
    pub(super) fn source(self) -> Source {
        match self {
            Self::Stored { part, checksum, .. } => Source {
                bytes: Box::new(part),
                checksum: Some(checksum),
            },
            Self::Inflated { bytes, .. } => Source {
                bytes: Box::new(bytes),
                checksum: None, // which was checked
            },
        }
    }
}

/// The HDF5 file's bytes, and what they are to add up to.
pub(super) struct Source {
    bytes: Box<dyn ReadAt>,
    checksum: Option<u32>,
}

impl Source {
    /// What `read` makes of the HDF5 file, if its bytes add up.
    pub(super) fn checked<'a, R>(
        &'a self,
        path: &Path,
        read: impl FnOnce(Hdf5<&'a dyn ReadAt>) -> Result<R>,
    ) -> Result<R> {
        let bytes = &*self.bytes;
        std::thread::scope(|scope| {
            let check = || self.checksum.map_or(Ok(()), |sum| check_sum(bytes, sum));
            // Beside it on another core, or, where no thread can be had, before it.
            let checking = std::thread::Builder::new().spawn_scoped(scope, check);
            let checked = checking.as_ref().map_or_else(|_| check(), |_| Ok(()));
            checked.map_err(|problem| not_keras(path, problem))?;
            let file = Hdf5::open(bytes).map_err(|error| not_hdf5(path, error));
            let made = file.and_then(read);
            match checking.map(|checking| checking.join()) {
                Ok(Ok(Err(problem))) => Err(not_keras(path, problem)),
                _ => made,
            }
        })
    }
}

impl<'a> Archive<'a> {
    pub(super) fn open(path: &'a Path) -> Result<Self> {
        let file = File::open(path).map_err(|error| of_file(path, error))?;
        let again = file.try_clone().map_err(|error| of_file(path, error))?;
        let zip = ZipArchive::new(BufReader::new(again));
        Ok(Self {
            path,
            file,
            zip: zip.map_err(|error| match other_kind(path) {
                Some((kind, advice)) => {
                    let problem = format!("not a .keras file that can be read: {kind}");
                    super::saved(path, problem, advice)
                }
                None => not_zip(path, error),
            })?,
        })
    }

    /// How far the model has been trained, where this crate has written the file. What other programs
    /// put there, and other types than ours, are passed over.
    pub(super) fn progress(&mut self) -> Result<Option<Progress>> {
        let metadata = self.json("metadata.json")?.unwrap_or_default();
        let metadata: Metadata = serde_json::from_value(metadata).unwrap_or_default();
        Ok(metadata.candle_keras.map(|progress| Progress {
            steps: progress.steps.min(MOST_STEPS),
            passes: progress.passes.min(MOST_STEPS),
            ..progress
        }))
    }

    /// The text of an entry as JSON; none where there is no entry.
    pub(super) fn json(&mut self, name: &str) -> Result<Option<Value>> {
        let Some(text) = self.text(name)? else {
            return Ok(None);
        };
        let parsed = limits::json(&text).map(Some);
        parsed.map_err(|error| not_keras(self.path, format!("{name}: {error}")))
    }

    /// The text of an entry; none where there is no entry.
    fn text(&mut self, name: &str) -> Result<Option<String>> {
        let entry = match self.zip.by_name(name) {
            Ok(entry) => entry,
            Err(ZipError::FileNotFound) => return Ok(None),
            Err(error) => return Err(not_zip(self.path, error)),
        };
        let mut text = String::new();
        let read = entry.take(LONGEST_TEXT + 1).read_to_string(&mut text);
        read.map_err(|error| not_keras(self.path, format!("{name}: {error}")))?;
        Ok(Some(text))
    }

    pub(super) fn weights(&mut self) -> Result<Weights> {
        let path = self.path;
        let length = self.file.metadata().map_err(|error| of_file(path, error))?;
        let length = length.len();
        let name = "model.weights.h5";
        let entry = self.zip.by_name(name).map_err(|error| match error {
            ZipError::FileNotFound => not_keras(path, "it holds no model.weights.h5"),
            error => not_zip(path, error),
        })?;
        if entry.compression() == CompressionMethod::Stored {
            let start = entry.data_start();
            let start = start.ok_or_else(|| not_keras(path, "model.weights.h5 begins nowhere"))?;
            let size = entry.size();
            let checksum = entry.crc32();
            let file = self
                .file
                .try_clone()
                .map_err(|error| of_file(path, error))?;
            let part = FilePart::new(file, start, size);
            let part = part.map_err(|error| of_file(path, error))?;
            return Ok(Weights::Stored {
                part,
                size,
                checksum,
            });
        }
        let packed = entry.compressed_size().min(length);
        let most = most_bytes(packed);
        let mut bytes = Vec::new();
        let read = entry.take(most.saturating_add(1)).read_to_end(&mut bytes);
        read.map_err(|error| not_keras(path, format!("{name}: {error}")))?;
        if bytes.len() as u64 > most {
            let problem = format!(
                "{name}: expected at most {most} bytes of the {packed} that are compressed, got more"
            );
            return Err(not_keras(path, problem));
        }
        Ok(Weights::Inflated { bytes, packed })
    }
}

/// An error of a zip that is read: of the system, or of what it holds.
fn not_zip(path: &Path, error: ZipError) -> Error {
    match error {
        ZipError::Io(error) if may_pass(&error) => of_file(path, error),
        error => not_keras(path, error),
    }
}

/// What a file is that is no zip, for whoever took it for a model.
fn other_kind(path: &Path) -> Option<(&'static str, &'static str)> {
    let mut start = Vec::new();
    let read = File::open(path).and_then(|file| file.take(16).read_to_end(&mut start));
    if path.is_dir() {
        return Some(("a folder", "name the .keras file itself"));
    }
    let of_weights = "`load_weights` gives its weights to a model";
    match (read, &start[..]) {
        (Ok(0), _) => Some(("an empty file", "save the model again")),
        (_, [0x89, b'H', b'D', b'F', ..]) => Some((
            "an HDF5 file",
            "a whole model is read as .h5, weights by `load_weights` as .weights.h5",
        )),
        (_, [_, _, _, _, _, _, _, _, b'{', b'"', ..]) => {
            Some(("a file of safetensors", of_weights))
        }
        (Ok(_), [b'P', b'K', ..]) => Some(("a zip that is cut off or damaged", SAVE_AGAIN)),
        _ => None,
    }
}

const SAVE_AGAIN: &str = "save the model again, here or with model.save(\"name.keras\") in Keras 3";

fn not_keras(path: &Path, problem: impl std::fmt::Display) -> Error {
    Error::SavedFile {
        path: path.to_path_buf(),
        problem: format!("not a .keras file that can be read: {problem}"),
        advice: SAVE_AGAIN,
    }
}

/// A time as Keras writes it, in UTC: `2026-11-25@18:20:57`.
fn date(time: SystemTime) -> String {
    let seconds = time
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs());
    let (days, of_day) = (seconds / 86_400, seconds % 86_400);
    // Days to a date of the Gregorian calendar, with years that begin in March (Howard Hinnant,
    // "chrono-compatible low-level date algorithms").
    let shifted = days + 719_468;
    let (era, of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 {
        month_from_march + 3
    } else {
        month_from_march - 9
    };
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    let (hour, minute, second) = (of_day / 3600, of_day / 60 % 60, of_day % 60);
    format!("{year:04}-{month:02}-{day:02}@{hour:02}:{minute:02}:{second:02}")
}
