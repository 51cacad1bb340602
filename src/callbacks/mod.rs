//! Callbacks: what is called while a model trains, and the trait for callbacks of your own.

mod backup_and_restore;
mod csv_logger;
mod early_stopping;
mod file_name;
mod lambda_callback;
mod learning_rate_scheduler;
mod model_checkpoint;
mod monitor;
mod reduce_lr_on_plateau;
mod state;
mod terminate_on_nan;

pub use backup_and_restore::BackupAndRestore;
pub use csv_logger::CSVLogger;
pub use early_stopping::EarlyStopping;
pub use lambda_callback::LambdaCallback;
pub use learning_rate_scheduler::LearningRateScheduler;
pub use model_checkpoint::{ModelCheckpoint, SaveFreq};
pub use monitor::Mode;
pub use reduce_lr_on_plateau::ReduceLROnPlateau;
pub use state::State;
pub use terminate_on_nan::TerminateOnNaN;

use crate::{Result, Sequential, training::Logs};
use candle_core::Tensor;

/// Called as training goes on. Every method does nothing unless it is written anew.
///
/// The order is Keras's: `on_train_begin`, then for each epoch `on_epoch_begin`, for each batch
/// `on_train_batch_begin` and `on_train_batch_end`, for validation `on_test_begin` and
/// `on_test_end`, and `on_epoch_end`; at last `on_train_end`, but not after an error. An error
/// from a callback ends the training and is what `fit` returns. `evaluate` calls the methods
/// `on_test_..`, `predict` those `on_predict_..`.
///
/// In `logs` are `loss` and every metric by its name, and the same with `val_` before it where
/// there is validation.
///
/// ```
/// use candle_keras::prelude::*;
/// use candle_keras::callbacks::Callback;
///
/// /// Stops once the validation's loss has not fallen for `patience` epochs.
/// struct Patience {
///     patience: usize,
///     waited: usize,
///     best: f64,
/// }
///
/// impl Callback for Patience {
///     fn on_epoch_end(
///         &mut self,
///         _epoch: usize,
///         logs: &mut Logs,
///         model: &mut Sequential,
///     ) -> candle_keras::Result<()> {
///         self.waited += 1;
///         if logs["val_loss"] < self.best {
///             (self.best, self.waited) = (logs["val_loss"], 0);
///         }
///         if self.waited >= self.patience {
///             model.stop_training();
///         }
///         Ok(())
///     }
/// }
///
/// # fn main() -> anyhow::Result<()> {
/// # let x = Tensor::ones((8, 1), DType::F32, &Device::Cpu)?;
/// # let mut model = Sequential::new().add(Input::new(1)).add(Dense::new(1)).build(&Device::Cpu)?;
/// # model.compile(Sgd::new(0.5), MeanSquaredError::new(), ())?;
/// let mut patience = Patience { patience: 2, waited: 0, best: f64::INFINITY };
/// let options = Fit::new().epochs(1000).validation_split(0.25).verbose(0);
/// let history = model.fit(&x, &x, options.callback(&mut patience))?;
/// assert!(history.epochs().len() < 1000);
/// println!("best: {}", patience.best);
/// # Ok(()) }
/// ```
///
/// An error of another kind becomes the crate's with
/// [`Error::callback`](crate::Error::callback): `std::fs::write(path, text).map_err(Error::callback)?`.
///
/// `fit` takes a `&mut` of a callback as well, to be read afterwards, and a `Box<dyn Callback>`.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no callback",
    note = "implement `candle_keras::callbacks::Callback` for a type of your own; closures are none"
)]
pub trait Callback {
    /// Before the first epoch.
    ///
    /// # Errors
    /// Ends the training.
    fn on_train_begin(&mut self, model: &mut Sequential) -> Result<()> {
        let _ = model;
        Ok(())
    }

    /// What the callback has to know to go on in another process, for [`BackupAndRestore`]; a callback
    /// that remembers nothing from one call to the next has none. See [`State`] for an example.
    ///
    /// # Errors
    /// Ends the training.
    fn state(&self) -> Result<State> {
        Ok(State::default())
    }

    /// In place of `on_train_begin`, where [`BackupAndRestore`] takes up a training again: `state` is
    /// what [`state`](Self::state) gave, and the model is as it was then. In the middle of an epoch
    /// `on_epoch_begin` is not called again.
    ///
    /// # Errors
    /// Ends the training.
    fn on_train_resume(&mut self, state: State, model: &mut Sequential) -> Result<()> {
        let _ = state;
        self.on_train_begin(model)
    }

    /// The backups of the training, where this is what keeps them.
    #[doc(hidden)]
    fn backups(&mut self) -> Option<&mut BackupAndRestore> {
        None
    }

    /// After the last epoch, unless an error ended the training.
    ///
    /// # Errors
    /// What `fit` returns.
    fn on_train_end(&mut self, model: &mut Sequential) -> Result<()> {
        let _ = model;
        Ok(())
    }

    /// Before an epoch, counted from 0.
    ///
    /// # Errors
    /// Ends the training.
    fn on_epoch_begin(&mut self, epoch: usize, model: &mut Sequential) -> Result<()> {
        let _ = (epoch, model);
        Ok(())
    }

    /// After an epoch, counted from 0, and its validation. What is put into `logs` is shown and
    /// goes into the history.
    ///
    /// # Errors
    /// Ends the training.
    fn on_epoch_end(
        &mut self,
        epoch: usize,
        logs: &mut Logs,
        model: &mut Sequential,
    ) -> Result<()> {
        let _ = (epoch, logs, model);
        Ok(())
    }

    /// Before a batch, counted from 0 in each epoch.
    ///
    /// # Errors
    /// Ends the training.
    fn on_train_batch_begin(&mut self, batch: usize, model: &mut Sequential) -> Result<()> {
        let _ = (batch, model);
        Ok(())
    }

    /// After a batch, counted from 0 in each epoch. [`Sequential::running_logs`] gives the loss
    /// and metrics so far; it waits for the device, so that only those wait who ask.
    ///
    /// # Errors
    /// Ends the training.
    fn on_train_batch_end(&mut self, batch: usize, model: &mut Sequential) -> Result<()> {
        let _ = (batch, model);
        Ok(())
    }

    /// Whether `fit` ends without an error where the loss is not a finite number; without one that
    /// says so, it goes back to the weights before the epoch and gives an error.
    fn accepts_not_finite(&self) -> bool {
        false
    }

    /// Before the validation of an epoch, or an evaluation.
    ///
    /// # Errors
    /// Ends the training.
    fn on_test_begin(&mut self, model: &Sequential) -> Result<()> {
        let _ = model;
        Ok(())
    }

    /// Before a batch of a validation or an evaluation is counted.
    ///
    /// # Errors
    /// Ends the training or the evaluation.
    fn on_test_batch_begin(&mut self, batch: usize, model: &Sequential) -> Result<()> {
        let _ = (batch, model);
        Ok(())
    }

    /// After a batch of a validation or an evaluation is counted.
    ///
    /// # Errors
    /// Ends the training or the evaluation.
    fn on_test_batch_end(&mut self, batch: usize, model: &Sequential) -> Result<()> {
        let _ = (batch, model);
        Ok(())
    }

    /// After the validation of an epoch, or an evaluation, with its numbers: `loss`, not yet
    /// `val_loss`, as in Keras.
    ///
    /// # Errors
    /// Ends the training.
    fn on_test_end(&mut self, logs: &Logs, model: &Sequential) -> Result<()> {
        let _ = (logs, model);
        Ok(())
    }

    /// Before the first batch of a prediction.
    ///
    /// # Errors
    /// Ends the prediction.
    fn on_predict_begin(&mut self, model: &Sequential) -> Result<()> {
        let _ = model;
        Ok(())
    }

    /// Before the outputs of a batch of a prediction are taken. Batches are computed on several
    /// threads at once, and taken one after the other, in order.
    ///
    /// # Errors
    /// Ends the prediction.
    fn on_predict_batch_begin(&mut self, batch: usize, model: &Sequential) -> Result<()> {
        let _ = (batch, model);
        Ok(())
    }

    /// After the outputs of a batch of a prediction are taken.
    ///
    /// # Errors
    /// Ends the prediction.
    fn on_predict_batch_end(
        &mut self,
        batch: usize,
        outputs: &Tensor,
        model: &Sequential,
    ) -> Result<()> {
        let _ = (batch, outputs, model);
        Ok(())
    }

    /// After the last batch of a prediction.
    ///
    /// # Errors
    /// What `predict` returns.
    fn on_predict_end(&mut self, model: &Sequential) -> Result<()> {
        let _ = model;
        Ok(())
    }
}

/// What owns or borrows a callback is one.
macro_rules! forward_to_callback {
    ($($pointer:ty),+) => {
        $(impl<C: Callback + ?Sized> Callback for $pointer {
            fn on_train_begin(&mut self, model: &mut Sequential) -> Result<()> {
                (**self).on_train_begin(model)
            }

            fn state(&self) -> Result<State> {
                (**self).state()
            }

            fn on_train_resume(&mut self, state: State, model: &mut Sequential) -> Result<()> {
                (**self).on_train_resume(state, model)
            }

            fn backups(&mut self) -> Option<&mut BackupAndRestore> {
                (**self).backups()
            }

            fn on_train_end(&mut self, model: &mut Sequential) -> Result<()> {
                (**self).on_train_end(model)
            }

            fn on_epoch_begin(&mut self, epoch: usize, model: &mut Sequential) -> Result<()> {
                (**self).on_epoch_begin(epoch, model)
            }

            fn on_epoch_end(
                &mut self,
                epoch: usize,
                logs: &mut Logs,
                model: &mut Sequential,
            ) -> Result<()> {
                (**self).on_epoch_end(epoch, logs, model)
            }

            fn on_train_batch_begin(&mut self, batch: usize, model: &mut Sequential) -> Result<()> {
                (**self).on_train_batch_begin(batch, model)
            }

            fn on_train_batch_end(&mut self, batch: usize, model: &mut Sequential) -> Result<()> {
                (**self).on_train_batch_end(batch, model)
            }

            fn on_test_begin(&mut self, model: &Sequential) -> Result<()> {
                (**self).on_test_begin(model)
            }

            fn accepts_not_finite(&self) -> bool {
                (**self).accepts_not_finite()
            }

            fn on_test_batch_begin(&mut self, batch: usize, model: &Sequential) -> Result<()> {
                (**self).on_test_batch_begin(batch, model)
            }

            fn on_test_batch_end(&mut self, batch: usize, model: &Sequential) -> Result<()> {
                (**self).on_test_batch_end(batch, model)
            }

            fn on_test_end(&mut self, logs: &Logs, model: &Sequential) -> Result<()> {
                (**self).on_test_end(logs, model)
            }

            fn on_predict_begin(&mut self, model: &Sequential) -> Result<()> {
                (**self).on_predict_begin(model)
            }

            fn on_predict_batch_begin(&mut self, batch: usize, model: &Sequential) -> Result<()> {
                (**self).on_predict_batch_begin(batch, model)
            }

            fn on_predict_batch_end(
                &mut self,
                batch: usize,
                outputs: &Tensor,
                model: &Sequential,
            ) -> Result<()> {
                (**self).on_predict_batch_end(batch, outputs, model)
            }

            fn on_predict_end(&mut self, model: &Sequential) -> Result<()> {
                (**self).on_predict_end(model)
            }
        })+
    };
}
forward_to_callback!(&mut C, Box<C>);
