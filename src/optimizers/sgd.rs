use super::{Elementwise, Optimizer, check_fraction, check_learning_rate};
use crate::{Result, ops::update};
use candle_core::{Tensor, Var};

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
#[derive(Debug, Clone)]
pub struct Sgd {
    learning_rate: f64,
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
    pub fn new(learning_rate: f64) -> Self {
        Self {
            learning_rate,
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
}

impl Optimizer for Sgd {
    fn name(&self) -> &str {
        "sgd"
    }

    fn learning_rate(&self) -> f64 {
        self.learning_rate
    }

    fn set_learning_rate(&mut self, learning_rate: f64) {
        self.learning_rate = learning_rate;
    }

    fn slots(&self) -> &[&str] {
        if self.momentum == 0.0 {
            &[]
        } else {
            &["momentum"]
        }
    }

    fn check(&self) -> Result<()> {
        check_learning_rate(self.learning_rate)?;
        check_fraction("momentum", self.momentum, "0.9")
    }

    fn update(&self, _step: u64, weight: &Var, gradient: &Tensor, slots: &[Var]) -> Result<()> {
        let step = (gradient * self.learning_rate)?;
        let value = weight.as_detached_tensor();
        let Some(velocity) = slots.first() else {
            return Ok(weight.set(&(value - step)?)?);
        };
        velocity.set(&((velocity.as_detached_tensor() * self.momentum)? - &step)?)?;
        let change = if self.nesterov {
            ((velocity.as_detached_tensor() * self.momentum)? - step)?
        } else {
            velocity.as_detached_tensor()
        };
        Ok(weight.set(&(value + change)?)?)
    }

    fn elementwise(&self) -> Option<&dyn Elementwise> {
        Some(self)
    }
}

impl Elementwise for Sgd {
    fn update_part(
        &self,
        _step: u64,
        weight: &mut [f32],
        gradient: &[f32],
        slots: &mut [&mut [f32]],
    ) {
        let (rate, momentum) = (self.learning_rate as f32, self.momentum as f32);
        match slots {
            [velocity, ..] => {
                let nesterov = self.nesterov;
                update::descend_with_momentum(weight, gradient, velocity, rate, momentum, nesterov);
            }
            [] => update::descend(weight, gradient, rate),
        }
    }
}
