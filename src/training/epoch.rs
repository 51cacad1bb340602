use super::{
    History, Logs, backup::backups, feed::Feed, fit::ValidationEpochs, progress::Progress,
    progress::Verbosity, step::Waits,
};
use crate::{Error, Result, Sequential, callbacks::Callback, model::snapshot::Snapshot};
use std::ops::Range;

/// What `fit` goes by, checked.
pub(super) struct Plan<'a> {
    pub(super) train: Box<dyn Feed + 'a>,
    pub(super) validation: Option<Box<dyn Feed + 'a>>,
    pub(super) epochs: Range<usize>,
    pub(super) steps_per_epoch: Option<usize>,
    pub(super) validation_steps: Option<usize>,
    pub(super) validation_epochs: ValidationEpochs,
    pub(super) verbosity: Verbosity,
}

impl Plan<'_> {
    /// The steps of an epoch, if that is known.
    pub(super) fn steps(&self) -> Option<usize> {
        self.steps_per_epoch.or(self.train.count())
    }
}

pub(super) type Callbacks<'c, 'a> = &'c mut [Box<dyn Callback + 'a>];

/// A training as it goes on.
pub(super) struct Run<'a> {
    pub(super) plan: Plan<'a>,
    /// The epochs so far.
    pub(super) history: History,
    /// Whether the next epoch begins with the first batch.
    pub(super) at_start: bool,
    /// The batches of the running pass over the data that earlier epochs took.
    pub(super) taken: usize,
    /// The batches that the next epoch had when a backup was taken up in its middle.
    pub(super) begun: Option<usize>,
    /// That epoch.
    pub(super) taken_up: Option<usize>,
}

impl Sequential {
    pub(super) fn train(
        &mut self,
        plan: Plan<'_>,
        callbacks: Callbacks<'_, '_>,
    ) -> Result<History> {
        let mut run = Run {
            plan,
            history: History::default(),
            at_start: true,
            taken: 0,
            begun: None,
            taken_up: None,
        };
        self.trained.stop = false;
        self.trained.in_fit = true;
        let outcome = self.train_epochs(&mut run, callbacks);
        self.trained.in_fit = false;
        outcome.map(|()| run.history)
    }

    fn train_epochs(&mut self, run: &mut Run<'_>, callbacks: Callbacks<'_, '_>) -> Result<()> {
        self.begin(run, callbacks)?;
        for number in run.plan.epochs.clone() {
            let mut progress = Progress::new(run.plan.verbosity, run.plan.steps());
            progress.epoch_begin(number, run.plan.epochs.end);
            let logs = self.train_epoch(number, run, callbacks, &mut progress)?;
            progress.epoch_end(&logs);
            run.history.push(number, &logs);
            self.back_up_epoch(number + 1, run, callbacks)?;
            if self.trained.stop {
                break;
            }
        }
        // A fit without an epoch leaves the weights as they are: they may have been loaded since the
        // moving averages began.
        if !run.history.epochs().is_empty() {
            let compiled = self.compiled("fit")?;
            compiled.optimizer.finalize(self.weights())?;
        }
        each(callbacks, |callback| callback.on_train_end(self))?;
        match backups(callbacks)? {
            Some(backups) => backups.finish(),
            None => Ok(()),
        }
    }

    /// Ends the training after the running batch and the validation that follows it; for callbacks.
    pub fn stop_training(&mut self) {
        self.trained.stop = true;
    }

    /// The loss and metrics of the running epoch so far; for callbacks. Waits for the device.
    ///
    /// # Errors
    /// When candle's operations fail.
    pub fn running_logs(&mut self) -> Result<Logs> {
        self.trained.counters.logs()
    }

    /// The loss of the running epoch so far. Waits for the device.
    pub(crate) fn running_loss(&mut self) -> Result<f64> {
        self.trained.counters.loss()
    }

    fn train_epoch(
        &mut self,
        number: usize,
        run: &mut Run<'_>,
        callbacks: Callbacks<'_, '_>,
        progress: &mut Progress,
    ) -> Result<Logs> {
        let begun = run.begun.take();
        if begun.is_none() {
            self.reset_metrics()?;
            each(callbacks, |callback| callback.on_epoch_begin(number, self))?;
        }
        let before = self.snapshot()?;
        let accepts = callbacks
            .iter()
            .any(|callback| callback.accepts_not_finite());
        let steps = run.plan.steps_per_epoch.unwrap_or(usize::MAX);
        let mut batch = begun.unwrap_or_default();
        progress.skip(batch);
        // With steps_per_epoch the data may have ended with the epoch before, but not been asked.
        if begun.is_none()
            && (run.at_start || run.plan.steps_per_epoch.is_none() || run.plan.train.at_end()?)
        {
            run.plan.train.restart(self.trained.passes, self)?;
            self.trained.passes += 1;
            (run.at_start, run.taken) = (false, 0);
        }
        let stopped = begun.is_some() && self.trained.stop;
        while batch < steps && !stopped {
            if run.plan.train.at_end()? {
                run.at_start = true; // the data end here, and the epoch with them
                break;
            }
            each(callbacks, |callback| {
                callback.on_train_batch_begin(batch, self)
            })?;
            let mut pace = std::mem::take(&mut self.trained.pace);
            let outcome = pace.step(|| self.train_next(&mut *run.plan.train));
            self.trained.pace = pace;
            outcome?;
            if !accepts {
                self.check_finite(number, run, &before)?;
            }
            each(callbacks, |callback| {
                callback.on_train_batch_end(batch, self)
            })?;
            progress.batch_end(|| self.running_logs())?;
            batch += 1;
            self.back_up_batch(number, batch, run, callbacks)?;
            if self.trained.stop {
                break;
            }
        }
        let mut logs = self.running_logs()?;
        if !accepts {
            self.check_finite(number, run, &before)?;
            self.check_weights(number, batch, run, &before)?;
        }
        run.taken += batch;
        if let Some(validation) = &mut run.plan.validation
            && run.plan.validation_epochs.holds(number)
        {
            let steps = run.plan.validation_steps;
            let scores = self.validate(&mut **validation, steps, callbacks)?;
            logs.extend("val_", &scores);
            logs.sort();
        }
        each(callbacks, |callback| {
            callback.on_epoch_end(number, &mut logs, self)
        })?;
        Ok(logs)
    }

    /// Trains on the next batch, if there is one.
    fn train_next(&mut self, feed: &mut dyn Feed) -> Result<()> {
        match feed.next(self)? {
            Some(batch) => self.train_step(&batch, Waits::Never),
            None => Ok(()),
        }
    }

    fn validate(
        &self,
        feed: &mut dyn Feed,
        steps: Option<usize>,
        callbacks: Callbacks<'_, '_>,
    ) -> Result<Logs> {
        each(callbacks, |callback| callback.on_test_begin(self))?;
        let scores = self.count_batches(feed, steps, callbacks, |_| Ok(()))?;
        each(callbacks, |callback| callback.on_test_end(&scores, self))?;
        Ok(scores)
    }

    /// An error, with the weights from before the epoch back, when a loss was not finite.
    fn check_finite(&mut self, epoch: usize, run: &Run<'_>, before: &Snapshot) -> Result<()> {
        let Some(batch) = self.trained.counters.first_not_finite() else {
            return Ok(());
        };
        let (what, advice) = match run.plan.train.not_finite(run.taken + batch, self)? {
            Some("x") => (
                "x holds a number that is not finite",
                "mend or remove the samples",
            ),
            Some(_) => (
                "y holds a number that is not finite",
                "mend or remove the targets",
            ),
            None => (
                "the loss is not finite",
                "try a smaller learning rate, or scale the inputs",
            ),
        };
        self.stop_at(epoch, batch, what.to_string(), advice, run, before)
    }

    /// An error, with the weights from before the epoch back, when an update left a weight that is
    /// not finite: the next step would only show its traces.
    fn check_weights(
        &mut self,
        epoch: usize,
        batches: usize,
        run: &Run<'_>,
        before: &Snapshot,
    ) -> Result<()> {
        let Some(path) = self.weight_not_finite()? else {
            return Ok(());
        };
        let what = format!("the weight `{path}` is not finite after the update");
        let advice = "try a smaller learning rate";
        self.stop_at(epoch, batches.saturating_sub(1), what, advice, run, before)
    }

    fn stop_at(
        &mut self,
        epoch: usize,
        batch: usize,
        what: String,
        advice: &'static str,
        run: &Run<'_>,
        before: &Snapshot,
    ) -> Result<()> {
        self.restore(before)?;
        Err(Error::NotFinite {
            epoch: epoch + 1,
            step: batch + 1,
            what,
            kept: if run.taken_up == Some(epoch) {
                "of the backup".to_string()
            } else if run.history.epochs().is_empty() {
                "from before this fit".to_string()
            } else {
                format!("of epoch {epoch}")
            },
            advice,
            history: Box::new(run.history.clone()),
        })
    }
}

/// Calls a method of all callbacks, in the order in which they were added.
pub(crate) fn each<'c>(
    callbacks: &mut [Box<dyn Callback + 'c>],
    mut call: impl FnMut(&mut (dyn Callback + 'c)) -> Result<()>,
) -> Result<()> {
    callbacks
        .iter_mut()
        .try_for_each(|callback| call(&mut **callback))
}
