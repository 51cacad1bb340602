//! One training step, and one step of an evaluation.

use super::pairs::Pairs;
use crate::{
    Data, Error, Result, Sequential,
    data::Rows,
    losses,
    model::Compiled,
    model::chain::{Chain, Head, Tape, Updates},
    ops::Gradient,
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
        self.trained.steps += 1;
        let step = Step::new(chain, compiled, x, y, self.trained.steps, Updates::Taken)?;
        self.trained
            .counters
            .update(&step.losses, &step.y_true, || step.outputs(chain))?;
        if self.trained.counters.first_not_finite().is_some() {
            return Ok(());
        }
        let gradients = step.gradients(chain)?;
        compiled.optimizer.update(chain.weights(), gradients)
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
        let compiled = self.compiled("gradients")?;
        let rows = Rows::Range {
            start: 0,
            length: pairs.len(),
        };
        let (x, y) = pairs.gather(rows, chain)?;
        let number = self.trained.steps + 1;
        let step = Step::new(chain, compiled, &x, &y, number, Updates::Ignored)?;
        let gradients = step.gradients(chain)?;
        let trainable = chain.weights().filter(|weight| weight.trainable());
        // Copies: a layer's gradient may be a weight's own memory, which training changes.
        let named = trainable.zip(&gradients).map(|(weight, gradient)| {
            Ok((
                weight.path().to_string(),
                gradient.whole()?.force_contiguous()?,
            ))
        });
        named.collect()
    }

    /// Forward and loss.
    pub(crate) fn test_step(&self, x: &Tensor, y: &Tensor) -> Result<TestStep> {
        let chain = self.built("evaluate")?;
        let (loss, head) = self.compiled("evaluate")?.head();
        let outputs = chain.forward(x, head)?;
        let y_true = losses::aligned(y, &outputs)?;
        let losses = losses::values(loss, &y_true, &outputs)
            .map_err(|error| Error::of_part("loss", loss.name(), error))?;
        Ok(TestStep {
            y_pred: if self.compiled("evaluate")?.metrics.is_empty() {
                outputs
            } else {
                finished(&outputs, chain, head)?
            },
            losses,
            y_true,
        })
    }
}

/// What a batch of an evaluation is counted by.
pub(crate) struct TestStep {
    pub(crate) losses: Tensor,
    pub(crate) y_true: Tensor,
    /// What metrics count; anything where there are none.
    pub(crate) y_pred: Tensor,
}

/// A training step up to its loss.
struct Step {
    /// What the last layer gave to the loss.
    outputs: Tensor,
    tape: Tape,
    head: Head,
    /// The targets, in the outputs' shape where they can be.
    y_true: Tensor,
    losses: Tensor,
    /// Of the sum of the losses with respect to `outputs`.
    gradient: Tensor,
}

impl Step {
    fn new(
        chain: &Chain,
        compiled: &Compiled,
        x: &Tensor,
        y: &Tensor,
        number: u64,
        updates: Updates,
    ) -> Result<Self> {
        let (loss, head) = compiled.head();
        let (outputs, tape) = chain.forward_training(x, number, head, updates)?;
        let y_true = losses::aligned(y, &outputs)?;
        let (losses, gradient) = losses::differentiate(loss, &y_true, &outputs)
            .map_err(|error| Error::of_part("loss", loss.name(), error))?;
        Ok(Self {
            outputs,
            tape,
            head,
            y_true,
            losses,
            gradient,
        })
    }

    /// The model's outputs.
    fn outputs(&self, chain: &Chain) -> Result<Tensor> {
        finished(&self.outputs, chain, self.head)
    }

    /// Of the mean of the losses with respect to every trainable weight, in order.
    fn gradients(&self, chain: &Chain) -> Result<Vec<Gradient>> {
        let gradient = (&self.gradient / self.losses.elem_count() as f64)?;
        chain.backward(&self.tape, &gradient, self.head)
    }
}

/// The model's outputs, from what the last layer gave to the loss.
fn finished(outputs: &Tensor, chain: &Chain, head: Head) -> Result<Tensor> {
    match head {
        Head::Whole => Ok(outputs.clone()),
        Head::Logits => chain
            .last_activation()
            .call_owned(outputs.force_contiguous()?),
    }
}
