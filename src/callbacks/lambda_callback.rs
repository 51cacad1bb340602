use super::Callback;
use crate::{Logs, Result, Sequential};
use candle_core::Tensor;
use std::fmt;

/// The type, its setters and its methods of [`Callback`], of which each calls a closure if there is
/// one.
macro_rules! lambda_callback {
    ($(
        #[doc = $doc:literal]
        $hook:ident($($argument:ident: $type:ty),*);
    )+) => {
        /// A callback of closures, each called where the method of [`Callback`] of its name is.
        ///
        /// A closure gets what that method gets, gives a result, and may borrow from the program.
        ///
        /// ```
        /// use candle_keras::{callbacks::LambdaCallback, prelude::*};
        /// # fn main() -> anyhow::Result<()> {
        /// # let x = Tensor::ones((8, 1), DType::F32, &Device::Cpu)?;
        /// # let mut model = Sequential::new().add(Input::new(1)).add(Dense::new(1)).build(&Device::Cpu)?;
        /// # model.compile(Sgd::new(0.1), MeanSquaredError::new(), ())?;
        /// let mut losses = Vec::new();
        /// let callback = LambdaCallback::new()
        ///     .on_epoch_end(|_epoch, logs, model| {
        ///         losses.push(logs["loss"]);
        ///         logs.insert("weights", model.weights().count() as f64);
        ///         Ok(())
        ///     })
        ///     .on_train_end(|_model| {
        ///         println!("done");
        ///         Ok(())
        ///     });
        /// model.fit(&x, &x, Fit::new().epochs(3).verbose(0).callback(callback))?;
        /// assert_eq!(losses.len(), 3);
        /// # Ok(()) }
        /// ```
        ///
        /// # Errors
        /// `fit`, `evaluate` and `predict` fail when a closure does.
        ///
        /// Keras: `LambdaCallback`.
        #[derive(Default)]
        pub struct LambdaCallback<'a> {
            $($hook: Option<Box<dyn FnMut($($type),*) -> Result<()> + 'a>>,)+
        }

        impl<'a> LambdaCallback<'a> {
            /// A callback that does nothing yet.
            pub fn new() -> Self {
                Self::default()
            }

            $(
                #[doc = $doc]
                pub fn $hook(mut self, call: impl FnMut($($type),*) -> Result<()> + 'a) -> Self {
                    self.$hook = Some(Box::new(call));
                    self
                }
            )+
        }

        impl Callback for LambdaCallback<'_> {
            $(
                fn $hook(&mut self, $($argument: $type),*) -> Result<()> {
                    self.$hook.as_mut().map_or(Ok(()), |call| call($($argument),*))
                }
            )+
        }

        impl fmt::Debug for LambdaCallback<'_> {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                let hooks = [$((stringify!($hook), self.$hook.is_some())),+];
                let given = hooks.iter().filter(|(_, given)| *given).map(|(name, _)| name);
                formatter.write_str("LambdaCallback ")?;
                formatter.debug_list().entries(given).finish()
            }
        }
    };
}

lambda_callback! {
    /// Before the first epoch.
    on_train_begin(model: &mut Sequential);
    /// After the last epoch, unless an error ended the training.
    on_train_end(model: &mut Sequential);
    /// Before an epoch.
    on_epoch_begin(epoch: usize, model: &mut Sequential);
    /// After an epoch and its validation.
    on_epoch_end(epoch: usize, logs: &mut Logs, model: &mut Sequential);
    /// Before a batch is trained on.
    on_train_batch_begin(batch: usize, model: &mut Sequential);
    /// After a batch was trained on.
    on_train_batch_end(batch: usize, model: &mut Sequential);
    /// Before a validation or an evaluation.
    on_test_begin(model: &Sequential);
    /// After a validation or an evaluation.
    on_test_end(logs: &Logs, model: &Sequential);
    /// Before a batch of a validation or an evaluation is counted.
    on_test_batch_begin(batch: usize, model: &Sequential);
    /// After a batch of a validation or an evaluation was counted.
    on_test_batch_end(batch: usize, model: &Sequential);
    /// Before a prediction.
    on_predict_begin(model: &Sequential);
    /// After a prediction.
    on_predict_end(model: &Sequential);
    /// Before the outputs of a batch are taken.
    on_predict_batch_begin(batch: usize, model: &Sequential);
    /// After the outputs of a batch were taken.
    on_predict_batch_end(batch: usize, outputs: &Tensor, model: &Sequential);
}
