use crate::{Error, Result};
use candle_core::Tensor;
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;

/// What a callback has to know to go on in another process: what serde writes, and tensors.
///
/// ```
/// use candle_keras::callbacks::{BackupAndRestore, Callback, State};
/// use candle_keras::prelude::*;
///
/// /// Stops once the loss has not fallen for `patience` epochs.
/// struct Patience {
///     patience: usize,
///     waited: usize,
///     best: Option<f64>,
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
///         if self.best.is_none_or(|best| logs["loss"] < best) {
///             (self.best, self.waited) = (Some(logs["loss"]), 0);
///         }
///         if self.waited >= self.patience {
///             model.stop_training();
///         }
///         Ok(())
///     }
///
///     fn state(&self) -> candle_keras::Result<State> {
///         State::of((self.waited, self.best))
///     }
///
///     fn on_train_resume(
///         &mut self,
///         state: State,
///         _model: &mut Sequential,
///     ) -> candle_keras::Result<()> {
///         (self.waited, self.best) = state.read()?;
///         Ok(())
///     }
/// }
///
/// # fn main() -> anyhow::Result<()> {
/// # let x = Tensor::ones((8, 1), DType::F32, &Device::Cpu)?;
/// # let mut model = Sequential::new().add(Input::new(1)).add(Dense::new(1)).build(&Device::Cpu)?;
/// # model.compile(Sgd::new(0.5), MeanSquaredError::new(), ())?;
/// # let folder = tempfile::tempdir()?;
/// # let folder = folder.path().join("backup");
/// let patience = Patience { patience: 2, waited: 0, best: None };
/// let options = Fit::new().epochs(1000).verbose(0);
/// model.fit(&x, &x, options.callback(patience).callback(BackupAndRestore::new(folder)))?;
/// # Ok(()) }
/// ```
#[derive(Debug, Clone, Default)]
pub struct State {
    value: Value,
    /// Tensors of f32 or f64, which come back on the model's device.
    pub tensors: Vec<Tensor>,
}

impl State {
    /// Of a value that serde can write and read: a tuple of numbers, a struct that derives it.
    ///
    /// # Errors
    /// When JSON does not hold it: a map whose keys are no text, a number that is not finite.
    pub fn of<T: Serialize + DeserializeOwned>(value: T) -> Result<Self> {
        let value = serde_json::to_value(value).map_err(|error| misfit(&error))?;
        let state = Self::from_json(value);
        state.read::<T>().map(|_| state)
    }

    /// Adds tensors of f32 or f64.
    pub fn tensors(mut self, tensors: Vec<Tensor>) -> Self {
        self.tensors = tensors;
        self
    }

    /// The value.
    ///
    /// # Errors
    /// When it is none of this type.
    pub fn read<T: DeserializeOwned>(&self) -> Result<T> {
        T::deserialize(&self.value).map_err(|error| misfit(&error))
    }

    pub(crate) fn from_json(value: Value) -> Self {
        Self {
            value,
            tensors: Vec::new(),
        }
    }

    pub(crate) fn json(&self) -> &Value {
        &self.value
    }
}

fn misfit(error: &serde_json::Error) -> Error {
    let advice = "a number that may be infinite or NaN is kept by its bits, one that may be none as an Option; begin anew without the backup where the callback has changed";
    Error::argument("state", "what JSON holds and gives back", error, advice)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_that_json_does_not_hold_is_an_error_when_it_is_written() {
        assert!(State::of((1usize, f64::INFINITY)).is_err());
        let bits = State::of((1usize, f64::INFINITY.to_bits())).unwrap();
        let (one, number): (usize, u64) = bits.read().unwrap();
        assert_eq!((one, f64::from_bits(number)), (1, f64::INFINITY));
        assert!(bits.read::<(String, u64)>().is_err());
    }
}
