//! One training step, and one step of an evaluation.

use super::{Counters, pairs::Pairs};
use crate::{
    Data, Error, Result, Sequential, activations::ActivationFunction, data::Rows, losses,
    losses::Loss, model::chain::Head,
};
use candle_core::Tensor;

impl Sequential {
    /// Forward, loss, counting, backward, update. Where a loss that is not finite can be seen
    /// without waiting, the weights stay as they are.
    pub(crate) fn train_step(&mut self, x: &Tensor, y: &Tensor) -> Result<()> {
        let chain = self
            .chain
            .as_ref()
            .ok_or(Error::NotBuilt { method: "fit" })?;
        let compiled = self
            .compiled
            .as_mut()
            .ok_or(Error::NotCompiled { method: "fit" })?;
        let (loss, head) = compiled.head();
        self.progress.steps += 1;
        let (outputs, tape) = chain.forward_training(x, self.progress.steps, head)?;
        let (losses, gradient) = losses::differentiate(loss, y, &outputs)?;
        let y_pred = finished(&outputs, chain.last_activation(), head)?;
        self.progress.counters.update(&losses, y, &y_pred)?;
        if self.progress.counters.first_not_finite().is_some() {
            return Ok(());
        }
        let gradient = (gradient / losses.elem_count() as f64)?; // of the mean
        let gradients = chain.backward(&tape, &gradient, head)?;
        compiled.optimizer.update(chain.weights(), &gradients)
    }

    /// The gradient of the mean loss of samples `x` with targets `y`, taken as one batch of a
    /// training step, with respect to every trainable weight, by the weight's path. Changes
    /// nothing.
    ///
    /// ```
    /// use candle_keras::prelude::*;
    /// # fn main() -> anyhow::Result<()> {
    /// let mut model = Sequential::new().add(Input::new(1)).add(Dense::new(1)).build(&Device::Cpu)?;
    /// model.compile(Sgd::new(0.1), MeanSquaredError::new(), ())?;
    /// let x = Tensor::ones((4, 1), DType::F32, &Device::Cpu)?;
    /// let gradients = model.gradients(&x, &x)?;
    /// assert_eq!(gradients[0].0, "dense/kernel");
    /// assert_eq!(gradients[0].1.dims(), [1, 1]);
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// As for [`evaluate`](Self::evaluate).
    pub fn gradients(
        &self,
        x: impl Into<Data>,
        y: impl Into<Data>,
    ) -> Result<Vec<(String, Tensor)>> {
        let pairs = Pairs::new(self, x.into(), y.into(), "gradients")?;
        let chain = self.built("gradients")?;
        let (loss, head) = self.compiled("gradients")?.head();
        let rows = Rows::Range {
            start: 0,
            length: pairs.len(),
        };
        let (x, y) = pairs.gather(rows, chain)?;
        let (outputs, tape) = chain.forward_training(&x, self.progress.steps + 1, head)?;
        let (losses, gradient) = losses::differentiate(loss, &y, &outputs)?;
        let gradient = (gradient / losses.elem_count() as f64)?; // of the mean
        let gradients = chain.backward(&tape, &gradient, head)?;
        let trainable = chain.weights().filter(|weight| weight.trainable());
        let paths = trainable.map(|weight| weight.path().to_string());
        Ok(paths.zip(gradients).collect())
    }

    /// Forward, loss and counting.
    pub(crate) fn test_step(&self, x: &Tensor, y: &Tensor, counters: &mut Counters) -> Result<()> {
        let chain = self.built("evaluate")?;
        let (loss, head) = self.compiled("evaluate")?.head();
        let outputs = chain.forward(x, head)?;
        let losses = losses_of(loss, y, &outputs)?;
        let y_pred = finished(&outputs, chain.last_activation(), head)?;
        counters.update(&losses, y, &y_pred)
    }
}

/// The model's outputs, from what the last layer gave to the loss.
fn finished(outputs: &Tensor, activation: ActivationFunction, head: Head) -> Result<Tensor> {
    match head {
        Head::Whole => Ok(outputs.clone()),
        Head::Logits => activation.call_owned(outputs.force_contiguous()?),
    }
}

/// A loss's values, by its fused operation where it has one.
fn losses_of(loss: &dyn Loss, y_true: &Tensor, y_pred: &Tensor) -> Result<Tensor> {
    match loss.losses_and_gradient(y_true, y_pred)? {
        Some((losses, _)) => Ok(losses),
        None => loss.call(y_true, y_pred),
    }
}
