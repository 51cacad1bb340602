use super::Callback;
use crate::{Error, Result, Sequential, printing::say};

/// Ends training, without an error, when the loss is NaN or infinite.
///
/// Without it `fit` goes back to the weights before the epoch and gives an error. With it training
/// ends after the batch; the epoch is validated, logged and goes into the history, and the weights
/// stay as they are. With `raise_error` that is an error after all.
///
/// # Defaults
/// `raise_error` false.
///
/// ```
/// use candle_keras::{callbacks::TerminateOnNaN, prelude::*};
/// # fn main() -> anyhow::Result<()> {
/// # let mut model = Sequential::new().add(Input::new(1)).add(Dense::new(1)).build(&Device::Cpu)?;
/// # model.compile(Sgd::new(0.5), MeanSquaredError::new(), ())?;
/// let x = Tensor::new(&[[f32::NAN]], &Device::Cpu)?;
/// let options = || Fit::new().epochs(5).verbose(0);
/// let history = model.fit(&x, &x, options().callback(TerminateOnNaN::new()))?;
/// assert!(history["loss"][0].is_nan());
/// assert_eq!(history.epochs(), [0]);
/// let raising = TerminateOnNaN::new().raise_error(true);
/// assert!(model.fit(&x, &x, options().callback(raising)).is_err());
/// # Ok(()) }
/// ```
///
/// # Errors
/// With `raise_error`, `fit` fails at the batch.
///
/// Keras: `TerminateOnNaN`. There the batch changes the weights before training ends; here, on
/// the CPU, they stay as they were before it.
#[derive(Debug, Clone, Copy, Default)]
pub struct TerminateOnNaN {
    raise_error: bool,
}

impl TerminateOnNaN {
    /// Ends training without an error.
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether it is an error.
    pub fn raise_error(mut self, raise_error: bool) -> Self {
        self.raise_error = raise_error;
        self
    }
}

impl Callback for TerminateOnNaN {
    fn accepts_not_finite(&self) -> bool {
        !self.raise_error
    }

    fn on_train_batch_end(&mut self, batch: usize, model: &mut Sequential) -> Result<()> {
        let loss = model.running_loss()?;
        if loss.is_finite() {
            return Ok(());
        }
        // Only where another callback accepts such a loss: otherwise `fit` has failed before.
        if self.raise_error {
            return Err(Error::callback(format!(
                "NaN or Inf loss encountered at batch {batch}. Loss value: {loss}. Terminating training immediately."
            )));
        }
        say(&format!(
            "Batch {batch}: Invalid loss, terminating training"
        ));
        model.stop_training();
        Ok(())
    }
}
