use super::{Callback, Mode, State, monitor::Monitor};
use crate::{Error, Logs, Result, Sequential, printing::say, python, saving::Number};

/// Reduces the learning rate when a number of the logs has stopped improving.
///
/// Once `patience` epochs in a row have not improved by more than `min_delta`, the learning rate
/// becomes max(η·`factor`, `min_lr`). For `cooldown` epochs after that nothing is waited for. The
/// logs get `learning_rate`, the one that the epoch was trained with.
///
/// # Defaults
/// `monitor` "val_loss", `factor` 0.1, `patience` 10, `verbose` 0, `mode` [`Mode::Auto`],
/// `min_delta` 1e-4, `cooldown` 0, `min_lr` 0.
///
/// ```
/// use candle_keras::{callbacks::ReduceLROnPlateau, prelude::*};
/// # fn main() -> anyhow::Result<()> {
/// # let x = Tensor::ones((8, 1), DType::F32, &Device::Cpu)?;
/// # let mut model = Sequential::new().add(Input::new(1)).add(Dense::new(1)).build(&Device::Cpu)?;
/// # model.compile(Sgd::new(0.5), MeanSquaredError::new(), ())?;
/// let reduction = ReduceLROnPlateau::new().monitor("loss").factor(0.5).patience(2).min_lr(0.01);
/// let history = model.fit(&x, &x, Fit::new().epochs(50).verbose(0).callback(reduction))?;
/// assert_eq!(history["learning_rate"][0], 0.5);
/// assert_eq!(model.learning_rate()?, 0.01);
/// # Ok(()) }
/// ```
///
/// # Errors
/// `fit` fails when `factor` is not from 0 up to, but not including, 1, `min_lr` is below 0 or not
/// finite, `min_delta` is not finite, `mode` is [`Mode::Auto`] and no loss or metric of the name
/// that is monitored says which way is better, or a schedule decides the learning rate. A number
/// that is missing from the logs of an epoch is a warning on standard error, and the epoch does not
/// count.
///
/// Keras: `ReduceLROnPlateau`. There learning rates are rounded to f32.
#[derive(Debug, Clone)]
pub struct ReduceLROnPlateau {
    monitor: Monitor,
    factor: f64,
    patience: usize,
    verbose: u8,
    cooldown: usize,
    min_lr: f64,
    wait: usize,
    /// Epochs of the cooldown that are left.
    cooling: usize,
}

impl Default for ReduceLROnPlateau {
    fn default() -> Self {
        Self {
            monitor: Monitor::new(1e-4),
            factor: 0.1,
            patience: 10,
            verbose: 0,
            cooldown: 0,
            min_lr: 0.0,
            wait: 0,
            cooling: 0,
        }
    }
}

impl ReduceLROnPlateau {
    /// A tenth of the learning rate after ten epochs in which the validation's loss does not fall.
    pub fn new() -> Self {
        Self::default()
    }

    /// The name of the number to watch: `loss`, `val_accuracy`.
    pub fn monitor(mut self, name: impl Into<String>) -> Self {
        self.monitor.rename(name);
        self
    }

    /// What the learning rate is multiplied by.
    pub fn factor(mut self, factor: f64) -> Self {
        self.factor = factor;
        self
    }

    /// The epochs without improvement after which the learning rate is reduced.
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

    /// What a change has to exceed to be an improvement; its sign does not count.
    pub fn min_delta(mut self, min_delta: f64) -> Self {
        self.monitor.min_delta(min_delta);
        self
    }

    /// The epochs after a reduction in which nothing is waited for.
    pub fn cooldown(mut self, epochs: usize) -> Self {
        self.cooldown = epochs;
        self
    }

    /// The learning rate below which it does not go.
    pub fn min_lr(mut self, learning_rate: f64) -> Self {
        self.min_lr = learning_rate;
        self
    }

    fn check(&self) -> Result<()> {
        if !(0.0..1.0).contains(&self.factor) {
            let expected = "a number from 0 up to, but not including, 1";
            let advice = "0.1 is Keras's default";
            return Err(Error::argument("factor", expected, self.factor, advice));
        }
        if !(self.min_lr.is_finite() && self.min_lr >= 0.0) {
            let (expected, advice) = ("a finite number of at least 0", "0 sets no bound");
            return Err(Error::argument("min_lr", expected, self.min_lr, advice));
        }
        Ok(())
    }

    /// Counts an epoch that did not improve.
    fn waited(&mut self, epoch: usize, model: &mut Sequential) -> Result<()> {
        self.wait += 1;
        let old = model.learning_rate()?;
        if self.wait < self.patience || old <= self.min_lr {
            return Ok(());
        }
        let new = (old * self.factor).max(self.min_lr);
        model.set_learning_rate(new)?;
        if self.verbose > 0 {
            say(&format!(
                "\nEpoch {}: ReduceLROnPlateau reducing learning rate to {}.",
                epoch + 1,
                python::repr(new)
            ));
        }
        self.cooling = self.cooldown;
        self.wait = 0;
        Ok(())
    }
}

impl Callback for ReduceLROnPlateau {
    fn on_train_begin(&mut self, model: &mut Sequential) -> Result<()> {
        self.check()?;
        super::monitor::check_learning_rate("ReduceLROnPlateau", model)?;
        self.monitor.begin(model)?;
        self.monitor.best = None;
        self.wait = 0;
        self.cooling = 0;
        Ok(())
    }

    fn state(&self) -> Result<State> {
        State::of((self.wait, self.cooling, self.monitor.best.map(Number)))
    }

    fn on_train_resume(&mut self, state: State, model: &mut Sequential) -> Result<()> {
        self.on_train_begin(model)?;
        let best: Option<Number>;
        (self.wait, self.cooling, best) = state.read()?;
        self.monitor.best = best.map(|Number(best)| best);
        Ok(())
    }

    fn on_epoch_end(
        &mut self,
        epoch: usize,
        logs: &mut Logs,
        model: &mut Sequential,
    ) -> Result<()> {
        logs.insert("learning_rate", model.learning_rate()?);
        let warning = format!(
            "Learning rate reduction is conditioned on metric `{}` which is not available.",
            self.monitor.name()
        );
        let Some(value) = self.monitor.value(logs, warning) else {
            return Ok(());
        };
        if self.cooling > 0 {
            self.cooling -= 1;
            self.wait = 0;
        }
        if self.monitor.improve(value) {
            self.wait = 0;
        } else if self.cooling == 0 {
            self.waited(epoch, model)?;
        }
        Ok(())
    }
}
