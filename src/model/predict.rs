//! Asking a model.

use super::{Sequential, chain::Head};
use crate::{
    Data, Error, Logs, Result,
    data::{Rows, check_batch_size},
    error::of_samples,
    training::progress::{Progress, Verbosity},
};
use candle_core::Tensor;

/// How to predict: `Predict::new().batch_size(1000)`.
#[derive(Debug, Clone)]
pub struct Predict {
    batch_size: usize,
    verbose: u8,
}

impl Default for Predict {
    fn default() -> Self {
        Self {
            batch_size: 32,
            verbose: 1,
        }
    }
}

impl Predict {
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
    /// As for [`predict`](Self::predict), and for options out of range.
    pub fn predict_with(&self, x: impl Into<Data>, options: Predict) -> Result<Tensor> {
        let chain = self.built("predict")?;
        let x = self.checked_input(x.into(), "x")?;
        check_batch_size("batch_size", options.batch_size)?;
        let steps = x.len().div_ceil(options.batch_size);
        let mut progress = Progress::of_long_work(Verbosity::new(options.verbose)?, steps);
        let mut outputs = Vec::with_capacity(steps);
        let run = |rows| {
            let x = x.gather(rows, chain.dtype, &chain.device)?;
            chain.forward(&x, Head::Whole)
        };
        chain.each_batch(x.len(), options.batch_size, run, |output| {
            outputs.push(output);
            progress.batch_end(|| Ok(Logs::default()))
        })?;
        progress.clear();
        match &outputs[..] {
            [all] => Ok(all.clone()),
            _ => Ok(Tensor::cat(&outputs, 0)?),
        }
    }

    /// What every layer gives for samples `x`, by the layer's name, in order.
    ///
    /// # Errors
    /// As for [`predict`](Self::predict).
    pub fn layer_outputs(&self, x: impl Into<Data>) -> Result<Vec<(String, Tensor)>> {
        let chain = self.built("layer_outputs")?;
        let x = self.checked_input(x.into(), "x")?;
        let rows = Rows::Range {
            start: 0,
            length: x.len(),
        };
        let x = x.gather(rows, chain.dtype, &chain.device)?;
        let names = chain.nodes.iter().map(|node| node.name.clone());
        Ok(names.zip(chain.layer_outputs(&x)?).collect())
    }

    /// `x` if it has samples of the model's input shape.
    pub(crate) fn checked_input(&self, x: Data, argument: &'static str) -> Result<Data> {
        if x.is_empty() {
            return Err(Error::Empty { argument });
        }
        if x.sample_shape() == self.input_shape() {
            return Ok(x);
        }
        let counts =
            [x.sample_shape(), self.input_shape()].map(|shape| shape.iter().product::<usize>());
        let advice = if counts[0] == counts[1] && self.input_shape().len() == 1 {
            "the numbers are as many, so Data::flatten() or a Flatten layer may be missing"
        } else if counts[0] == counts[1] {
            "the numbers are as many: reshape the samples, or give Input their shape"
        } else if x.tensor().dims() == self.input_shape() {
            "the axis of the samples is missing: one sample is x.unsqueeze(0)?"
        } else {
            "give samples of the shape of the model's Input"
        };
        Err(Error::Samples {
            argument,
            expected: of_samples(self.input_shape()),
            got: x.shape_text(),
            advice: advice.to_string(),
        })
    }
}
