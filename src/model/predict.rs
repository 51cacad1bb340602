//! Asking a model.

use super::{Sequential, chain::Head};
use crate::{
    Data, Logs, Result,
    callbacks::Callback,
    data::{Rows, check_batch_size},
    training::epoch::each,
    training::progress::{Progress, Verbosity},
};
use candle_core::Tensor;

/// How to predict: `Predict::new().batch_size(1000)`.
pub struct Predict<'a> {
    batch_size: usize,
    verbose: u8,
    callbacks: Vec<Box<dyn Callback + 'a>>,
}

impl Default for Predict<'_> {
    fn default() -> Self {
        Self {
            batch_size: 32,
            verbose: 1,
            callbacks: Vec::new(),
        }
    }
}

impl<'a> Predict<'a> {
    /// Batches of 32, and a bar for long work.
    pub fn new() -> Self {
        Self::default()
    }

    /// Samples in a batch, of which every thread has one: how much memory is used, not, but for
    /// rounding, what comes out.
    pub fn batch_size(mut self, batch_size: usize) -> Self {
        self.batch_size = batch_size;
        self
    }

    /// What is shown: 0 nothing; 1, the default, and 2 a bar in a terminal, once the work has
    /// taken a second.
    pub fn verbose(mut self, verbose: u8) -> Self {
        self.verbose = verbose;
        self
    }

    /// Adds a callback, of which the methods `on_predict_..` are called.
    pub fn callback(mut self, callback: impl Callback + 'a) -> Self {
        self.callbacks.push(Box::new(callback));
        self
    }
}

impl Sequential {
    /// The outputs for samples `x`, (n, output shape), in batches of 32. In a terminal a bar shows
    /// how far it is, once it has taken a second.
    ///
    /// ```
    /// use candle_keras::prelude::*;
    /// # fn main() -> anyhow::Result<()> {
    /// let model = Sequential::new()
    ///     .add(Input::new(4))
    ///     .add(Dense::new(3).activation(Softmax))
    ///     .build(&Device::Cpu)?;
    /// let x = Tensor::zeros((100, 4), DType::F32, &Device::Cpu)?;
    /// let probabilities = model.predict(&x)?; // (100, 3)
    /// let classes = probabilities.argmax(1)?.to_vec1::<u32>()?;
    /// assert_eq!(classes.len(), 100);
    /// let one = model.predict(&x.get(0)?.unsqueeze(0)?)?; // a batch of one sample
    /// assert_eq!(one.dims(), [1, 3]);
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// When the model is not built, or `x` is empty or of another sample shape than its `Input`.
    pub fn predict(&self, x: impl Into<Data>) -> Result<Tensor> {
        self.predict_with(x, Predict::new())
    }

    /// As [`predict`](Self::predict), with options.
    ///
    /// # Errors
    /// As for [`predict`](Self::predict), for options out of range, and when a callback fails.
    pub fn predict_with(&self, x: impl Into<Data>, mut options: Predict<'_>) -> Result<Tensor> {
        let chain = self.built("predict")?;
        let x = chain.checked_input(x.into(), "x")?;
        check_batch_size("batch_size", options.batch_size)?;
        let steps = x.len().div_ceil(options.batch_size);
        let mut progress = Progress::of_long_work(Verbosity::new(options.verbose)?, Some(steps));
        let mut outputs = Vec::with_capacity(steps);
        let run = |rows| {
            let x = x.gather(rows, chain.dtype, &chain.device)?;
            chain.forward(&x, Head::Whole)
        };
        let callbacks = &mut options.callbacks;
        each(callbacks, |callback| callback.on_predict_begin(self))?;
        chain.each_batch(x.len(), options.batch_size, run, |output| {
            let batch = outputs.len();
            each(callbacks, |callback| {
                callback.on_predict_batch_begin(batch, self)
            })?;
            each(callbacks, |callback| {
                callback.on_predict_batch_end(batch, &output, self)
            })?;
            outputs.push(output);
            progress.batch_end(|| Ok(Logs::default()))
        })?;
        progress.clear();
        each(callbacks, |callback| callback.on_predict_end(self))?;
        match &outputs[..] {
            [all] => Ok(all.clone()),
            _ => Ok(Tensor::cat(&outputs, 0)?),
        }
    }

    /// What every layer gives for samples `x`, by the layer's name, in order. The samples are one
    /// batch, and the outputs of all layers are in memory at once.
    ///
    /// # Errors
    /// As for [`predict`](Self::predict).
    pub fn layer_outputs(&self, x: impl Into<Data>) -> Result<Vec<(String, Tensor)>> {
        let chain = self.built("layer_outputs")?;
        let x = chain.checked_input(x.into(), "x")?;
        let rows = Rows::Range {
            start: 0,
            length: x.len(),
        };
        let x = x.gather(rows, chain.dtype, &chain.device)?;
        let names = chain.nodes.iter().map(|node| node.name.clone());
        Ok(names.zip(chain.layer_outputs(&x)?).collect())
    }
}
