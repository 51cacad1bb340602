use super::Callback;
use crate::{Logs, Result, Sequential, printing::say, python};
use std::fmt;

/// Gives every epoch a learning rate of its own.
///
/// Before an epoch, `schedule` is called with its number, counted from 0, and the learning rate;
/// what it gives is the new one. The logs get it as `learning_rate`.
///
/// ```
/// use candle_keras::{callbacks::LearningRateScheduler, prelude::*};
/// # fn main() -> anyhow::Result<()> {
/// # let x = Tensor::ones((8, 1), DType::F32, &Device::Cpu)?;
/// # let mut model = Sequential::new().add(Input::new(1)).add(Dense::new(1)).build(&Device::Cpu)?;
/// # model.compile(Sgd::new(0.5), MeanSquaredError::new(), ())?;
/// // The same for two epochs, then half of it each time.
/// let scheduler = LearningRateScheduler::new(|epoch, rate| if epoch < 2 { rate } else { rate / 2.0 });
/// let history = model.fit(&x, &x, Fit::new().epochs(4).verbose(0).callback(scheduler))?;
/// assert_eq!(history["learning_rate"], [0.5, 0.5, 0.25, 0.125]);
/// # Ok(()) }
/// ```
///
/// # Errors
/// `fit` fails when the schedule gives a number below 0 or one that is not finite, or when the
/// optimizer's learning rate is a [schedule](crate::optimizers::schedules) itself.
///
/// Keras: `LearningRateScheduler`. There learning rates are rounded to f32.
pub struct LearningRateScheduler<'a> {
    schedule: Box<dyn FnMut(usize, f64) -> f64 + 'a>,
    verbose: u8,
}

impl<'a> LearningRateScheduler<'a> {
    /// By a function of the epoch and the learning rate.
    pub fn new(schedule: impl FnMut(usize, f64) -> f64 + 'a) -> Self {
        Self {
            schedule: Box::new(schedule),
            verbose: 0,
        }
    }

    /// Whether it says on standard output what it does: 0 not, 1 it does.
    pub fn verbose(mut self, verbose: u8) -> Self {
        self.verbose = verbose;
        self
    }
}

impl fmt::Debug for LearningRateScheduler<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = formatter.debug_struct("LearningRateScheduler");
        shown
            .field("verbose", &self.verbose)
            .finish_non_exhaustive()
    }
}

impl Callback for LearningRateScheduler<'_> {
    fn on_train_begin(&mut self, model: &mut Sequential) -> Result<()> {
        super::monitor::check_learning_rate("LearningRateScheduler", model)
    }

    fn on_epoch_begin(&mut self, epoch: usize, model: &mut Sequential) -> Result<()> {
        let learning_rate = (self.schedule)(epoch, model.learning_rate()?);
        model.set_learning_rate(learning_rate)?;
        if self.verbose > 0 {
            say(&format!(
                "\nEpoch {}: LearningRateScheduler setting learning rate to {}.",
                epoch + 1,
                python::repr(learning_rate)
            ));
        }
        Ok(())
    }

    fn on_epoch_end(
        &mut self,
        _epoch: usize,
        logs: &mut Logs,
        model: &mut Sequential,
    ) -> Result<()> {
        logs.insert("learning_rate", model.learning_rate()?);
        Ok(())
    }
}
