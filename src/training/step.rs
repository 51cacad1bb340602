//! One training step, and one step of an evaluation.

use super::{Batch, feed::Ready, pairs::Pairs};
use crate::{
    Data, Error, Result, Sequential,
    losses::{self, Weighing},
    model::Compiled,
    model::chain::{Chain, Head, Outcome, Tape, Updates},
    ops::Gradient,
};
use candle_core::Tensor;

/// Whether a step waits for its loss on a device, to leave the weights alone where it is not finite.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Waits {
    /// The step looks only where there is nothing to wait for: on the CPU.
    Never,
    /// Of a step that is counted by itself.
    ForLoss,
}

impl Sequential {
    /// Forward, loss, counting, backward, update. Where this batch's loss is seen not to be finite,
    /// there is no update.
    pub(crate) fn train_step(&mut self, batch: &Ready, waits: Waits) -> Result<()> {
        let chain = self
            .chain
            .as_ref()
            .ok_or(Error::NotBuilt { method: "fit" })?;
        let compiled = self
            .compiled
            .as_mut()
            .ok_or(Error::NotCompiled { method: "fit" })?;
        self.trained.steps += 1;
        let step = Step::new(chain, compiled, batch, self.trained.steps, Updates::Taken)?;
        let counters = &mut self.trained.counters;
        let mut finite = counters.add_loss(step.terms.iter(), batch.samples())?;
        if counters.reads_outputs() {
            let y_pred = step.outputs(chain)?;
            let (weights, mask) = (batch.sample_weight.as_ref(), step.mask.as_ref());
            counters.update(&step.y_true, &y_pred, weights, mask)?;
        }
        if finite.is_none() && waits == Waits::ForLoss {
            finite = Some(counters.loss()?.is_finite());
        }
        if finite == Some(false) {
            return Ok(());
        }
        let gradients = step.gradients(chain)?;
        compiled.optimizer.update(chain.weights(), gradients)
    }

    /// The gradient of the loss of samples `x` with targets `y`, taken as one batch of a training
    /// step, penalties included, with respect to every trainable weight, by the weight's path. Changes
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
        let pairs = Pairs::new(self, Batch::new(x, y), "gradients")?;
        let chain = self.built("gradients")?;
        let compiled = self.compiled("gradients")?;
        let batch = pairs.gather(pairs.all(), chain)?;
        let number = self.trained.steps + 1;
        let step = Step::new(chain, compiled, &batch, number, Updates::Ignored)?;
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
    pub(crate) fn test_step(&self, batch: &Ready) -> Result<TestStep> {
        let chain = self.built("evaluate")?;
        let compiled = self.compiled("evaluate")?;
        let (loss, head) = compiled.head();
        let Outcome {
            outputs,
            penalties: mut terms,
            mask,
        } = chain.run(&batch.x, head)?;
        let (y_true, y_pred) = losses::aligned(&batch.y, &outputs)?;
        let of_loss = |error| Error::of_part("loss", loss.name(), error);
        let losses = losses::values(loss, &y_true, &y_pred).map_err(of_loss)?;
        let weights = batch.sample_weight.as_ref();
        let weighing = Weighing::new(loss, &losses, &y_true, weights, mask.as_ref());
        let weighing = weighing.map_err(of_loss)?;
        terms.push(weighing.terms(&losses)?);
        Ok(TestStep {
            terms,
            samples: batch.samples(),
            y_pred: if compiled.metrics.is_empty() {
                outputs
            } else {
                finished(&outputs, chain, head)?
            },
            y_true,
            sample_weight: batch.sample_weight.clone(),
            mask,
        })
    }
}

impl Ready {
    /// How many samples there are.
    pub(crate) fn samples(&self) -> usize {
        self.x.dims().first().copied().unwrap_or_default()
    }
}

/// What a batch of an evaluation is counted by.
pub(crate) struct TestStep {
    /// What the batch's loss is the sum of, but for the weights' penalties: (numbers, factor).
    pub(crate) terms: Vec<(Tensor, f64)>,
    pub(crate) samples: usize,
    pub(crate) y_true: Tensor,
    /// What metrics count; anything where there are none.
    pub(crate) y_pred: Tensor,
    pub(crate) sample_weight: Option<Tensor>,
    pub(crate) mask: Option<Tensor>,
}

/// A training step up to its loss.
struct Step {
    /// What the last layer gave to the loss.
    outputs: Tensor,
    tape: Tape,
    head: Head,
    /// The targets as the loss gets them.
    y_true: Tensor,
    /// Which of the outputs' steps count.
    mask: Option<Tensor>,
    /// What the batch's loss is the sum of: (numbers, factor).
    terms: Vec<(Tensor, f64)>,
    /// Of the loss with respect to `outputs`.
    gradient: Tensor,
}

impl Step {
    fn new(
        chain: &Chain,
        compiled: &Compiled,
        batch: &Ready,
        number: u64,
        updates: Updates,
    ) -> Result<Self> {
        let (loss, head) = compiled.head();
        let (outcome, tape) = chain.forward_training(&batch.x, number, head, updates)?;
        let Outcome {
            outputs,
            penalties,
            mask,
        } = outcome;
        let (y_true, y_pred) = losses::aligned(&batch.y, &outputs)?;
        let of_loss = |error| Error::of_part("loss", loss.name(), error);
        let (losses, gradient) = losses::differentiate(loss, &y_true, &y_pred).map_err(of_loss)?;
        let weights = batch.sample_weight.as_ref();
        let weighing = Weighing::new(loss, &losses, &y_true, weights, mask.as_ref());
        let weighing = weighing.map_err(of_loss)?;
        let mut terms = vec![weighing.terms(&losses)?];
        terms.extend(penalties);
        terms.extend(chain.weight_penalties()?);
        let mut gradient = weighing.gradient(&gradient)?;
        if gradient.rank() < outputs.rank() {
            gradient = gradient.reshape(outputs.shape())?; // the axis that `aligned` has dropped
        }
        Ok(Self {
            outputs,
            tape,
            head,
            y_true,
            mask,
            terms,
            gradient,
        })
    }

    /// The model's outputs.
    fn outputs(&self, chain: &Chain) -> Result<Tensor> {
        finished(&self.outputs, chain, self.head)
    }

    /// Of the loss with respect to every trainable weight, in order.
    fn gradients(&self, chain: &Chain) -> Result<Vec<Gradient>> {
        chain.backward(&self.tape, &self.gradient, self.head)
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
