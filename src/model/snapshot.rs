//! What training changes, kept aside to go back to.

use super::Sequential;
use crate::{Result, ops::all_finite, weights::Weight};
use candle_core::Tensor;

/// A copy of all weights, of what the optimizer keeps of each, and of the steps of both.
///
/// The learning rate is not in it: one that a callback changed is the callback's doing.
pub(crate) struct Snapshot {
    weights: Vec<Tensor>,
    /// By weight, as layers may be frozen and unfrozen until the way back.
    kept: Vec<Option<Vec<Tensor>>>,
    optimizer_steps: u64,
    /// Dropout draws by the model's steps.
    model_steps: u64,
    /// Shuffling draws by its passes over the data.
    passes: u64,
}

impl Sequential {
    /// A copy of the model's state as it is now.
    pub(crate) fn snapshot(&self) -> Result<Snapshot> {
        let optimizer = &self.compiled("fit")?.optimizer;
        Ok(Snapshot {
            weights: self.weights().map(Weight::copy).collect::<Result<_>>()?,
            kept: optimizer.copies()?,
            optimizer_steps: optimizer.steps,
            model_steps: self.trained.steps,
            passes: self.trained.passes,
        })
    }

    /// Goes back to a state. Which layers are frozen stays.
    pub(crate) fn restore(&mut self, snapshot: &Snapshot) -> Result<()> {
        for (weight, values) in self.weights().zip(&snapshot.weights) {
            weight.replace(values)?;
        }
        if let (Some(compiled), Some(chain)) = (&mut self.compiled, &self.chain) {
            compiled
                .optimizer
                .restore(&snapshot.kept, chain.weights())?;
            compiled.optimizer.steps = snapshot.optimizer_steps;
        }
        self.trained.steps = snapshot.model_steps;
        self.trained.passes = snapshot.passes;
        Ok(())
    }

    /// The first weight with a number that is not finite.
    pub(crate) fn weight_not_finite(&self) -> Result<Option<&str>> {
        for weight in self.weights() {
            if !all_finite(weight.value())? {
                return Ok(Some(weight.path()));
            }
        }
        Ok(None)
    }
}
