//! What training changes, kept aside to go back to.

use super::Sequential;
use crate::{Result, ops::all_finite};
use candle_core::{Tensor, Var};

/// A copy of all weights, of the optimizer's slots, and of the steps of both.
pub(crate) struct Snapshot {
    values: Vec<Tensor>,
    optimizer_steps: u64,
    /// Dropout draws by the model's steps.
    model_steps: u64,
    /// Shuffling draws by its passes over the data.
    passes: u64,
}

impl Sequential {
    /// A copy of the model's state as it is now.
    pub(crate) fn snapshot(&self) -> Result<Snapshot> {
        let copies = self
            .state()
            .map(|variable| variable.as_detached_tensor().force_contiguous());
        Ok(Snapshot {
            values: copies.collect::<candle_core::Result<_>>()?,
            optimizer_steps: self
                .compiled
                .as_ref()
                .map_or(0, |compiled| compiled.optimizer.steps),
            model_steps: self.trained.steps,
            passes: self.trained.passes,
        })
    }

    /// Goes back to a state.
    pub(crate) fn restore(&mut self, snapshot: &Snapshot) -> Result<()> {
        for (variable, value) in self.state().zip(&snapshot.values) {
            variable.set(value)?;
        }
        if let Some(compiled) = &mut self.compiled {
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

    fn state(&self) -> impl Iterator<Item = &Var> {
        let slots = self
            .compiled
            .iter()
            .flat_map(|compiled| compiled.optimizer.variables());
        self.weights().map(|weight| weight.variable()).chain(slots)
    }
}
