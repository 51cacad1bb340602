use super::{
    Callback, Mode, State,
    monitor::{Monitor, check_finite},
};
use crate::{Logs, Result, Sequential, printing::say, saving::Number};
use candle_core::Tensor;

/// Stops training when a number of the logs has stopped improving.
///
/// After each epoch the number is compared with the best so far: it improves when it is better by
/// more than `min_delta`. Once `patience` epochs in a row have not improved, training stops; the
/// first epoch of all never stops it. With a `baseline`, epochs count as waited for until the
/// number is better than that as well.
///
/// # Defaults
/// `monitor` "val_loss", `min_delta` 0, `patience` 0, `verbose` 0, `mode` [`Mode::Auto`], no
/// `baseline`, `restore_best_weights` false, `start_from_epoch` 0.
///
/// ```
/// use candle_keras::{callbacks::EarlyStopping, prelude::*};
/// # fn main() -> anyhow::Result<()> {
/// # let x = Tensor::ones((8, 1), DType::F32, &Device::Cpu)?;
/// # let mut model = Sequential::new().add(Input::new(1)).add(Dense::new(1)).build(&Device::Cpu)?;
/// # model.compile(Sgd::new(0.5), MeanSquaredError::new(), ())?;
/// let mut stopping = EarlyStopping::new().patience(3).restore_best_weights(true);
/// let options = Fit::new().epochs(1000).validation_split(0.25).verbose(0);
/// let history = model.fit(&x, &x, options.callback(&mut stopping))?;
/// assert!(history.epochs().len() < 1000);
/// assert_eq!(stopping.stopped_epoch(), history.epochs().last().copied());
/// println!("best: {:?} in epoch {:?}", stopping.best(), stopping.best_epoch());
/// # Ok(()) }
/// ```
///
/// # Errors
/// `fit` fails when `min_delta` or `baseline` is not finite, or `mode` is [`Mode::Auto`] and no loss
/// or metric of the name that is monitored says which way is better. A number that is missing from
/// the logs of an epoch is a warning on standard error, and the epoch does not count.
///
/// Keras: `EarlyStopping`. As there, the best weights are restored at the end of training whether
/// it was stopped or not, and numbers are compared in f32.
#[derive(Debug, Clone)]
pub struct EarlyStopping {
    monitor: Monitor,
    patience: usize,
    verbose: u8,
    baseline: Option<f64>,
    restore_best_weights: bool,
    start_from_epoch: usize,
    wait: usize,
    stopped_epoch: Option<usize>,
    best_epoch: Option<usize>,
    best_weights: Vec<Tensor>,
}

impl Default for EarlyStopping {
    fn default() -> Self {
        Self {
            monitor: Monitor::new(0.0),
            patience: 0,
            verbose: 0,
            baseline: None,
            restore_best_weights: false,
            start_from_epoch: 0,
            wait: 0,
            stopped_epoch: None,
            best_epoch: None,
            best_weights: Vec::new(),
        }
    }
}

impl EarlyStopping {
    /// Stops after the first epoch in which the validation's loss does not fall.
    pub fn new() -> Self {
        Self::default()
    }

    /// The name of the number to watch: `loss`, `val_accuracy`.
    pub fn monitor(mut self, name: impl Into<String>) -> Self {
        self.monitor.rename(name);
        self
    }

    /// What a change has to exceed to be an improvement; its sign does not count.
    pub fn min_delta(mut self, min_delta: f64) -> Self {
        self.monitor.min_delta(min_delta);
        self
    }

    /// The epochs without improvement after which training stops.
    pub fn patience(mut self, epochs: usize) -> Self {
        self.patience = epochs;
        self
    }

    /// Whether it says on standard output what it does: 0 not, 1 it does.
    pub fn verbose(mut self, verbose: u8) -> Self {
        self.verbose = verbose;
        self
    }

    /// Which way is better.
    pub fn mode(mut self, mode: Mode) -> Self {
        self.monitor.mode(mode);
        self
    }

    /// What the number has to be better than for training not to stop after `patience` epochs.
    pub fn baseline(mut self, baseline: f64) -> Self {
        self.baseline = Some(baseline);
        self
    }

    /// Whether the model has the weights of the best epoch at the end, rather than the last ones.
    pub fn restore_best_weights(mut self, restore: bool) -> Self {
        self.restore_best_weights = restore;
        self
    }

    /// The first epoch, counted from 0, that is looked at.
    pub fn start_from_epoch(mut self, epoch: usize) -> Self {
        self.start_from_epoch = epoch;
        self
    }

    /// The epoch, counted from 0, after which it stopped the last training, if it did.
    pub fn stopped_epoch(&self) -> Option<usize> {
        self.stopped_epoch
    }

    /// The best epoch of the last training, counted from 0, if any was looked at.
    pub fn best_epoch(&self) -> Option<usize> {
        self.best_epoch
    }

    /// The best number of the last training.
    pub fn best(&self) -> Option<f64> {
        self.monitor.best
    }

    /// Counts an epoch that did not improve.
    fn waited(&mut self, epoch: usize, model: &mut Sequential) {
        if self.wait >= self.patience && epoch > 0 {
            self.stopped_epoch = Some(epoch);
            model.stop_training();
        }
    }
}

impl Callback for EarlyStopping {
    fn on_train_begin(&mut self, model: &mut Sequential) -> Result<()> {
        self.baseline
            .map_or(Ok(()), |baseline| check_finite("baseline", baseline))?;
        self.monitor.begin(model)?;
        self.monitor.best = None;
        self.wait = 0;
        self.stopped_epoch = None;
        self.best_epoch = None;
        self.best_weights.clear();
        Ok(())
    }

    fn state(&self) -> Result<State> {
        let best = self.monitor.best.map(Number);
        let state = State::of((self.wait, self.stopped_epoch, self.best_epoch, best))?;
        Ok(state.tensors(self.best_weights.clone()))
    }

    fn on_train_resume(&mut self, state: State, model: &mut Sequential) -> Result<()> {
        self.on_train_begin(model)?;
        let best: Option<Number>;
        (self.wait, self.stopped_epoch, self.best_epoch, best) = state.read()?;
        self.monitor.best = best.map(|Number(best)| best);
        self.best_weights = state.tensors;
        Ok(())
    }

    fn on_epoch_end(
        &mut self,
        epoch: usize,
        logs: &mut Logs,
        model: &mut Sequential,
    ) -> Result<()> {
        let warning = format!(
            "Early stopping conditioned on metric `{}` which is not available.",
            self.monitor.name()
        );
        let Some(value) = self.monitor.value(logs, warning) else {
            return Ok(());
        };
        if epoch < self.start_from_epoch {
            return Ok(());
        }
        self.wait += 1;
        if !self.monitor.improve(value) {
            self.waited(epoch, model);
            return Ok(());
        }
        self.best_epoch = Some(epoch);
        if self.restore_best_weights {
            self.best_weights = model.get_weights()?;
        }
        if self
            .baseline
            .is_none_or(|baseline| self.monitor.is_better(value, baseline))
        {
            self.wait = 0;
        }
        Ok(())
    }

    fn on_train_end(&mut self, model: &mut Sequential) -> Result<()> {
        if let Some(epoch) = self.stopped_epoch
            && self.verbose > 0
        {
            say(&format!("Epoch {}: early stopping", epoch + 1));
        }
        let Some(best) = self.best_epoch.filter(|_| self.restore_best_weights) else {
            return Ok(());
        };
        if self.verbose > 0 {
            say(&format!(
                "Restoring model weights from the end of the best epoch: {}.",
                best + 1
            ));
        }
        // Not by `set_weights`: weights that are not finite may be the best where another callback
        // accepts them.
        for (weight, values) in model.weights().zip(&self.best_weights) {
            weight.variable().set(values)?;
        }
        Ok(())
    }
}
