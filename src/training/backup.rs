//! How a `fit` is backed up, and taken up again.

use super::{
    History,
    epoch::{Callbacks, Run, each},
    feed::Feed,
};
use crate::{
    Error, Result, Sequential,
    callbacks::BackupAndRestore,
    saving::{BACKUP_ADVICE, Backup, Expected, Number, Position},
};
use std::path::Path;

impl Sequential {
    /// Calls the callbacks' `on_train_begin`, or takes up the training of a backup, if there is one.
    pub(super) fn begin(&mut self, run: &mut Run<'_>, callbacks: Callbacks<'_, '_>) -> Result<()> {
        let expected = Expected {
            callbacks: callbacks.len(),
            epoch: run.plan.epochs.start,
            steps: run.plan.steps(),
            steps_per_epoch: run.plan.steps_per_epoch,
            batches: run.plan.train.samples().and_then(Feed::count),
        };
        let Some(backups) = backups(callbacks)? else {
            return each(callbacks, |callback| callback.on_train_begin(self));
        };
        backups.check()?;
        let files = backups.files();
        let Some(Backup { position, states }) = files.restore(self, &expected)? else {
            each(callbacks, |callback| callback.on_train_begin(self))?;
            // The first one shows at once whether backups can be written.
            return self.back_up(run.plan.epochs.start, None, run, callbacks);
        };
        let folder = files.folder().display().to_string();
        let of_backup = |error| Error::of_part("backup", &folder, error);
        run.take_up(&position, self).map_err(of_backup)?;
        for (callback, state) in callbacks.iter_mut().zip(states) {
            let resumed = callback.on_train_resume(state, self);
            resumed.map_err(of_backup)?;
        }
        Ok(())
    }

    /// Writes a backup after a batch, if it is time.
    pub(super) fn back_up_batch(
        &mut self,
        epoch: usize,
        batch: usize,
        run: &Run<'_>,
        callbacks: Callbacks<'_, '_>,
    ) -> Result<()> {
        let due = backups(callbacks)?.is_some_and(|backups| backups.is_due_after_batch());
        match due {
            true => self.back_up(epoch, Some(batch), run, callbacks),
            false => Ok(()),
        }
    }

    /// The same after an epoch; `epoch` is the next one.
    pub(super) fn back_up_epoch(
        &mut self,
        epoch: usize,
        run: &Run<'_>,
        callbacks: Callbacks<'_, '_>,
    ) -> Result<()> {
        let due = backups(callbacks)?.is_some_and(|backups| backups.is_due_after_epoch());
        match due {
            true => self.back_up(epoch, None, run, callbacks),
            false => Ok(()),
        }
    }

    /// Writes a backup, and ends the training where it was interrupted.
    fn back_up(
        &mut self,
        epoch: usize,
        batch: Option<usize>,
        run: &Run<'_>,
        callbacks: Callbacks<'_, '_>,
    ) -> Result<()> {
        let mut position = self.position(epoch, batch, run)?;
        let states = callbacks.iter().map(|callback| callback.state());
        let states: Vec<_> = states.collect::<Result<_>>()?;
        position.callbacks = states.iter().map(|state| state.json().clone()).collect();
        // Nothing could go on from weights that are not finite, nor would `fit`.
        let finite = self.weight_not_finite()?.is_none();
        let Some(backups) = backups(callbacks)? else {
            return Ok(());
        };
        let files = backups.files();
        if finite {
            let written = files.write(self, &Backup { position, states });
            written.map_err(|error| Error::Backup {
                when: when(epoch, batch, run),
                error: Box::new(error),
            })?;
        }
        backups.handled();
        match backups.is_interrupted() {
            true => Err(interrupted(when(epoch, batch, run), files.newest(), finite)),
            false => Ok(()),
        }
    }

    /// Where the training is, without its callbacks.
    fn position(&mut self, epoch: usize, batch: Option<usize>, run: &Run<'_>) -> Result<Position> {
        let optimizer = &self.compiled("fit")?.optimizer;
        let settings = optimizer.rule.settings();
        let rate = settings.learning_rate(optimizer.steps);
        let learning_rate = settings.schedule().is_none().then_some(Number(rate));
        // Without steps_per_epoch every epoch begins with the first batch.
        let at_start = run.at_start || (batch.is_none() && run.plan.steps_per_epoch.is_none());
        Ok(Position {
            epoch,
            batch,
            taken: (!at_start).then(|| run.taken + batch.unwrap_or_default()),
            stop: self.trained.stop,
            steps: run.plan.steps(),
            optimizer_steps: optimizer.steps,
            learning_rate,
            counters: match batch {
                Some(_) => self.trained.counters.state()?,
                None => Vec::new(),
            },
            epochs: run.history.epochs().to_vec(),
            history: run.history.to_numbers(),
            callbacks: Vec::new(),
        })
    }
}

impl Run<'_> {
    /// Goes on from a position, with a model that is as it was there.
    fn take_up(&mut self, position: &Position, model: &mut Sequential) -> Result<()> {
        self.history = History::from_numbers(&position.epochs, &position.history);
        let end = self.plan.epochs.end;
        let reached = position.epoch + usize::from(position.batch.is_some());
        if reached > end {
            let expected = format!("at least {reached}, as far as the backup has come");
            return Err(Error::argument("epochs", expected, end, BACKUP_ADVICE));
        }
        self.plan.epochs.start = match (position.stop, position.batch) {
            (true, None) => end, // a callback has ended the training
            _ => position.epoch,
        };
        self.at_start = position.taken.is_none();
        if let Some(taken) = position.taken {
            let pass = model.trained.passes.saturating_sub(1);
            self.plan.train.restart(pass, model)?;
            let passed = self.plan.train.skip(taken)?;
            if passed < taken {
                let expected = format!("at least {taken}, which it gave before the backup");
                return Err(Error::argument("source", expected, passed, BACKUP_ADVICE));
            }
            self.taken = taken.saturating_sub(position.batch.unwrap_or_default());
        }
        self.begun = position.batch;
        self.taken_up = position.batch.map(|_| position.epoch);
        Ok(())
    }
}

/// The callback that keeps backups.
pub(super) fn backups<'c>(
    callbacks: Callbacks<'c, '_>,
) -> Result<Option<&'c mut BackupAndRestore>> {
    let mut found = callbacks
        .iter_mut()
        .filter_map(|callback| callback.backups());
    let first = found.next();
    if found.next().is_some() {
        let advice = "keep one: its double_checkpoint(true) keeps two backups";
        let expected = "one BackupAndRestore";
        return Err(Error::argument("callbacks", expected, "two", advice));
    }
    Ok(first)
}

/// The end of a training that was interrupted, and what can be gone on from: the backup of this moment,
/// where the weights are finite, or an earlier one.
fn interrupted(when: String, backup: Option<&Path>, finite: bool) -> Error {
    let advice = match backup.map(Path::display) {
        Some(backup) if finite => format!("start the program again to go on from {backup}"),
        Some(backup) => format!(
            "a weight is not finite, so that the last backup is an earlier one: start the program \
             again to go on from {backup}"
        ),
        None => {
            "a weight is not finite, so that there is no backup: begin with other weights".into()
        }
    };
    Error::Interrupted {
        when,
        backup: backup.map(Path::to_path_buf),
        advice,
    }
}

/// A position in words.
fn when(epoch: usize, batch: Option<usize>, run: &Run<'_>) -> String {
    match batch {
        Some(batch) => format!("in epoch {}, after batch {batch}", epoch + 1),
        None if run.history.epochs().is_empty() => "before the first epoch".to_string(),
        None => format!("after epoch {epoch}"),
    }
}
