use super::{
    Elementwise, Optimizer, Settings, Slot, Step, check_fraction, schedules::LearningRate,
    settings_access, settings_setters,
};
use crate::{Result, ops::update, weights::Weight};
use candle_core::{Tensor, Var};
use serde::{Deserialize, Serialize};

/// Stochastic gradient descent, with momentum if asked for.
///
/// Plain: w ← w - η·g. With momentum μ: v ← μ·v - η·g, then w ← w + v; with Nesterov's,
/// w ← w + μ·v - η·g with the new v.
///
/// # Defaults
/// Momentum 0, not Nesterov's. Keras's learning rate is 0.01.
///
/// ```
/// use candle_keras::prelude::*;
/// Sgd::new(0.01).momentum(0.9).nesterov(true);
/// ```
///
/// # Errors
/// `compile` fails for a learning rate below 0 or a momentum outside 0..1.
///
/// Keras: `SGD`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Sgd {
    #[serde(flatten)]
    settings: Settings,
    momentum: f64,
    nesterov: bool,
}

impl Default for Sgd {
    /// Keras's learning rate, 0.01, without momentum.
    fn default() -> Self {
        Self::new(0.01)
    }
}

impl Sgd {
    /// Plain descent.
    pub fn new(learning_rate: impl Into<LearningRate>) -> Self {
        Self {
            settings: Settings::new(learning_rate),
            momentum: 0.0,
            nesterov: false,
        }
    }

    /// How much of the last step is kept in the next one.
    pub fn momentum(mut self, momentum: f64) -> Self {
        self.momentum = momentum;
        self
    }

    /// Whether the momentum is Nesterov's; without momentum it changes nothing.
    pub fn nesterov(mut self, nesterov: bool) -> Self {
        self.nesterov = nesterov;
        self
    }

    settings_setters!();
}

impl Optimizer for Sgd {
    fn name(&self) -> &str {
        "sgd"
    }

    settings_access!("SGD");

    fn slots(&self, _weight: &Weight) -> Vec<Slot> {
        if self.momentum == 0.0 {
            return Vec::new();
        }
        vec![Slot::zeros("momentum")]
    }

    fn check(&self) -> Result<()> {
        check_fraction("momentum", self.momentum, "0.9")
    }

    fn update(&self, step: Step, weight: &Weight, gradient: &Tensor, slots: &[Var]) -> Result<()> {
        let step = (gradient * step.learning_rate)?;
        let value = weight.value();
        let Some(velocity) = slots.first() else {
            return Ok(weight.variable().set(&(value - step)?)?);
        };
        velocity.set(&((velocity.as_detached_tensor() * self.momentum)? - &step)?)?;
        let change = if self.nesterov {
            ((velocity.as_detached_tensor() * self.momentum)? - step)?
        } else {
            velocity.as_detached_tensor()
        };
        Ok(weight.variable().set(&(value + change)?)?)
    }

    fn elementwise(&self, step: Step) -> Option<Box<Elementwise<'_>>> {
        let (rate, momentum) = (step.learning_rate as f32, self.momentum as f32);
        let nesterov = self.nesterov;
        Some(Box::new(move |weight, gradient, slots| match slots {
            [velocity, ..] => {
                update::descend_with_momentum(weight, gradient, velocity, rate, momentum, nesterov);
            }
            [] => update::descend(weight, gradient, rate),
        }))
    }
}
