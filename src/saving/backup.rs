//! Backups of a running `fit`: `.keras` files that hold where it is as well.

use super::{
    Number,
    atomic::{self, Prepared},
    hdf5::quoted,
    keras::{Archive, Source},
    of_file, saved,
    weights_h5::{Layout, Saved},
};
use crate::{Error, Result, Sequential, callbacks::State, printing::warn};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::{
    fs, io,
    path::{Path, PathBuf},
};

/// Where a `fit` is.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Position {
    /// The epoch that runs, or the next one.
    pub(crate) epoch: usize,
    /// Its batches so far; none before it begins.
    pub(crate) batch: Option<usize>,
    /// The batches that the running pass over the data has given; none where the next one begins.
    pub(crate) taken: Option<usize>,
    /// Whether a callback has ended the training.
    pub(crate) stop: bool,
    /// The steps of an epoch, if that is known.
    pub(crate) steps: Option<usize>,
    /// The steps that the optimizer has done.
    pub(crate) optimizer_steps: u64,
    /// None where a schedule decides it.
    pub(crate) learning_rate: Option<Number>,
    /// The counts of the loss and the metrics in an epoch that runs.
    pub(crate) counters: Vec<Option<Vec<Number>>>,
    /// The epochs so far, and their numbers by name.
    pub(crate) epochs: Vec<usize>,
    pub(crate) history: Vec<(String, Vec<Number>)>,
    /// Of every callback, in order.
    pub(crate) callbacks: Vec<Value>,
}

/// What a backup holds besides the model.
#[derive(Debug)]
pub(crate) struct Backup {
    pub(crate) position: Position,
    /// Of every callback, in order.
    pub(crate) states: Vec<State>,
}

/// What a backup has to fit besides the model.
pub(crate) struct Expected {
    pub(crate) callbacks: usize,
    /// The first epoch.
    pub(crate) epoch: usize,
    pub(crate) steps: Option<usize>,
    pub(crate) steps_per_epoch: Option<usize>,
    /// The batches of a pass over the data, where these are at hand.
    pub(crate) batches: Option<usize>,
}

/// The files of a folder.
#[derive(Debug)]
pub(crate) struct Backups {
    latest: PathBuf,
    /// The one before the latest.
    previous: PathBuf,
    /// Whether that is kept. One that is there is taken up all the same.
    double: bool,
}

pub(crate) const ADVICE: &str = "start the program as it was, or remove the backup to begin anew";

impl Backups {
    pub(crate) fn new(folder: &Path, double: bool) -> Self {
        Self {
            latest: folder.join("latest.keras"),
            previous: folder.join("previous.keras"),
            double,
        }
    }

    pub(crate) fn folder(&self) -> &Path {
        atomic::folder_of(&self.latest)
    }

    /// The backup that would be taken up, if there is one.
    pub(crate) fn newest(&self) -> Option<&Path> {
        let mut files = [&self.latest, &self.previous].into_iter();
        files.find(|path| path.exists()).map(PathBuf::as_path)
    }

    /// Writes a backup in place of the latest one, which becomes the previous one where that is kept.
    pub(crate) fn write(&self, model: &Sequential, backup: &Backup) -> Result<()> {
        super::make_folder_of(&self.latest)?;
        // Until the new one is whole and on the disk, those that are there stay.
        let new = model.prepare(&self.latest, Some(backup))?;
        self.put_in_place(new)
    }

    /// Between the two renames the previous one is what is taken up.
    fn put_in_place(&self, new: Prepared) -> Result<()> {
        let moves = self.double && self.latest.exists();
        if moves {
            let moved = fs::rename(&self.latest, &self.previous);
            moved.map_err(|error| of_file(&self.previous, error))?;
        }
        let placed = new.put_in_place();
        if moves && placed.is_err() && !self.latest.exists() {
            // The first error says what is wrong.
            let _ = fs::rename(&self.previous, &self.latest);
        }
        placed
    }

    /// Gives a model the state of the latest backup, if there is one; of the previous one where the
    /// latest is damaged, which then stays as `damaged.keras`.
    ///
    /// # Errors
    /// When none can be taken up. What may pass, such as a right that is missing, ends it as well: a later
    /// run can still take up the latest.
    pub(crate) fn restore(
        &self,
        model: &mut Sequential,
        expected: &Expected,
    ) -> Result<Option<Backup>> {
        if !self.latest.exists() {
            let restored = self
                .previous
                .exists()
                .then(|| restore(&self.previous, model, expected));
            return restored.transpose();
        }
        let error = match restore(&self.latest, model, expected) {
            Err(error @ Error::SavedFile { .. }) if self.previous.exists() => error,
            latest => return latest.map(Some),
        };
        warn(&format!(
            "{error}; going on from {}",
            self.previous.display()
        ));
        let restored = restore(&self.previous, model, expected)?;
        // It must not take the place of the previous one with the next backup.
        let _ = fs::rename(&self.latest, self.damaged());
        Ok(Some(restored))
    }

    fn damaged(&self) -> PathBuf {
        self.folder().join("damaged.keras")
    }

    /// Removes all, and the folder if it is empty then.
    pub(crate) fn remove(&self) -> Result<()> {
        for path in [&self.damaged(), &self.previous, &self.latest] {
            match fs::remove_file(path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(of_file(path, error));
                }
                _ => {}
            }
        }
        let _ = fs::remove_dir(self.folder()); // others may be in it
        Ok(())
    }
}

/// Gives a model the state of a backup.
fn restore(path: &Path, model: &mut Sequential, expected: &Expected) -> Result<Backup> {
    let mut archive = Archive::open(path)?;
    let progress = archive.progress()?;
    let position = progress.as_ref().and_then(|progress| progress.fit.clone());
    let (Some(progress), Some(position)) = (progress, position) else {
        let problem = "a model that is no backup of a running fit";
        return Err(saved(path, problem, "remove it to begin anew"));
    };
    let position: Position = serde_json::from_value(position)
        .map_err(|error| saved(path, format!("metadata.json: {error}"), ADVICE))?;
    check(path, &position, expected)?;
    check_counts(&position, progress.steps, expected)
        .map_err(|problem| saved(path, format!("metadata.json: {problem}"), ADVICE))?;
    let config = archive.json("config.json")?.unwrap_or_default();
    if without_what_changes(config.clone()) != without_what_changes(model.object()?) {
        let problem = "the backup of a model with other layers, or compiled otherwise";
        return Err(saved(path, problem, ADVICE));
    }
    for (name, trainable) in trainable(&config) {
        model.set_trainable(name, trainable)?;
    }
    let count = expected.callbacks;
    let tensors = load(path, model, &archive.weights()?.source(), count)?;
    if let (Some(compiled), Some(chain)) = (&mut model.compiled, &mut model.chain) {
        if compiled.optimizer.steps != position.optimizer_steps {
            let problem = "it does not hold what the optimizer keeps";
            return Err(saved(path, problem, ADVICE));
        }
        if let Some(Number(rate)) = position.learning_rate {
            let settings = compiled.optimizer.rule.settings_mut();
            settings.set_learning_rate(rate)?;
        }
        chain.seed = progress.seed;
    }
    model.trained.steps = progress.steps;
    model.trained.passes = progress.passes;
    model.trained.stop = position.stop;
    if position.batch.is_some() {
        model.reset_metrics()?;
        let counted = model.trained.counters.restore(&position.counters);
        counted.map_err(|problem| {
            saved(
                path,
                format!("metadata.json: `counters`: {problem}"),
                ADVICE,
            )
        })?;
    }
    let values = position.callbacks.iter().cloned().map(State::from_json);
    let states = values.zip(tensors);
    let states = states.map(|(state, tensors)| state.tensors(tensors));
    Ok(Backup {
        states: states.collect(),
        position,
    })
}

/// An error for the backup of a `fit` with other options.
fn check(path: &Path, position: &Position, expected: &Expected) -> Result<()> {
    let other = |what: &str, here: String, there: String| {
        let problem = format!("the backup of a fit with {there} {what}, got {here}");
        Err(saved(path, problem, ADVICE))
    };
    let (here, there) = (expected.callbacks, position.callbacks.len());
    if here != there {
        return other("callbacks", here.to_string(), there.to_string());
    }
    if expected.steps != position.steps {
        let text = |steps: Option<usize>| steps.map_or("open".into(), |steps| steps.to_string());
        let (here, there) = (text(expected.steps), text(position.steps));
        return other("batches in an epoch", here, there);
    }
    Ok(())
}

/// What is wrong with the counts of a position: no `fit` comes to such. `trained` is the model's steps.
fn check_counts(
    position: &Position,
    trained: u64,
    expected: &Expected,
) -> std::result::Result<(), String> {
    let at_most = |name: &str, got: Option<usize>, most: Option<usize>, what: &str| match most {
        Some(most) if got.is_some_and(|got| got > most) => {
            let got = got.unwrap_or_default();
            Err(format!(
                "`{name}`: expected at most {most}, {what}, got {got}"
            ))
        }
        _ => Ok(()),
    };
    let Position { batch, taken, .. } = *position;
    let trained = usize::try_from(trained).ok();
    at_most("taken", taken, expected.batches, "the batches of the data")?;
    at_most("taken", taken, trained, "the steps of the model")?;
    let given = taken.or(Some(0));
    at_most("batch", batch, given, "the batches that were `taken`")?;
    let steps = expected.steps_per_epoch;
    at_most("batch", batch, steps, "the steps of an epoch")?;
    check_epochs(position, expected.epoch)
}

/// The same of its epochs, of which the `fit` begins with `first`.
fn check_epochs(position: &Position, first: usize) -> std::result::Result<(), String> {
    let (epoch, epochs) = (position.epoch, &position.epochs);
    let follows = |pair: &[usize]| pair[0].checked_add(1) == Some(pair[1]);
    if let Some(pair) = epochs.windows(2).find(|pair| !follows(pair)) {
        let (before, after) = (pair[0], pair[1]);
        return Err(format!(
            "`epochs`: expected one after the other, got {after} after {before}"
        ));
    }
    let (expected, why) = match epochs.last() {
        Some(last) => (last.saturating_add(1), "the one after `epochs`"),
        None => (first, "the first one of this fit"),
    };
    if epoch != expected {
        return Err(format!("`epoch`: expected {expected}, {why}, got {epoch}"));
    }
    let count = epochs.len();
    let longer = position.history.iter().find(|(_, of)| of.len() > count);
    match longer {
        Some((name, of)) => Err(format!(
            "`history`: expected at most {count} numbers of {}, one for each epoch, got {}",
            quoted(name),
            of.len()
        )),
        None => Ok(()),
    }
}

/// Weights, what the optimizer keeps, and the tensors of every callback.
fn load(
    path: &Path,
    model: &mut Sequential,
    source: &Source,
    callbacks: usize,
) -> Result<Vec<Vec<candle_core::Tensor>>> {
    source.checked(path, |file| {
        let layout = Layout::Classes;
        let saved = Saved { file, path, layout };
        saved.load_fresh(model)?;
        saved.load_optimizer(model)?;
        let device = model.built("fit")?.device.clone();
        let tensors = |index: usize| saved.tensors(&group_of(index), &device);
        (0..callbacks).map(tensors).collect()
    })
}

/// The group of a callback's tensors: Keras passes over what is none of its own.
pub(super) fn group_of(index: usize) -> String {
    format!("candle_keras/callbacks/{index}")
}

/// A model's configuration without what training may change: the learning rate, and which layers are
/// frozen.
fn without_what_changes(mut config: Value) -> Value {
    if let Some(Value::Object(optimizer)) = config.pointer_mut("/compile_config/optimizer/config") {
        optimizer.remove("learning_rate");
    }
    config
        .pointer_mut("/config/layers")
        .and_then(Value::as_array_mut)
        .into_iter()
        .flatten()
        .filter_map(|layer| layer.get_mut("config")?.as_object_mut())
        .for_each(|config| drop(config.remove("trainable")));
    config
}

/// Which layers are trained, by their names.
fn trainable(config: &Value) -> impl Iterator<Item = (&str, bool)> {
    let layers = config.pointer("/config/layers").and_then(Value::as_array);
    layers.into_iter().flatten().filter_map(|layer| {
        let config = &layer["config"];
        Some((config["name"].as_str()?, config["trainable"].as_bool()?))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn where_the_new_backup_cannot_be_renamed_the_old_one_is_the_latest_again() {
        let temporary = tempfile::tempdir().unwrap();
        let folder = temporary.path();
        let backups = Backups::new(folder, true);
        fs::write(&backups.latest, "old").unwrap();
        let new = atomic::prepare(&backups.latest, |file| {
            file.write_all(b"new").unwrap();
            Ok(())
        });
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path != backups.latest {
                fs::remove_file(path).unwrap();
            }
        }
        let error = backups.put_in_place(new.unwrap()).unwrap_err().to_string();
        let start = format!("{}: ", backups.latest.display());
        assert!(error.starts_with(&start), "{error}");
        assert_eq!(fs::read_to_string(&backups.latest).unwrap(), "old");
        assert_eq!(fs::read_dir(folder).unwrap().count(), 1);
    }
}
