use super::{Optimizer, check_fraction, check_learning_rate};
use crate::{Result, ops};
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

    /// A step without momentum.
    fn descend(&self, weight: &Var, gradient: &Tensor) -> Result<()> {
        if ops::in_memory(&[weight, gradient]) {
            return ops::read(gradient, |g| {
                ops::write(weight, |w| {
                    ops::update::descend(w, g, self.learning_rate as f32);
                    Ok(())
                })
            });
        }
        let step = (gradient * self.learning_rate)?;
        Ok(weight.set(&(weight.as_detached_tensor() - step)?)?)
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
        let Some(velocity) = slots.first() else {
            return self.descend(weight, gradient);
        };
        let (rate, momentum) = (self.learning_rate as f32, self.momentum as f32);
        if ops::in_memory(&[weight, gradient, velocity]) {
            return ops::read(gradient, |g| {
                ops::write(weight, |w| {
                    ops::write(velocity, |v| {
                        ops::update::descend_with_momentum(w, g, v, rate, momentum, self.nesterov);
                        Ok(())
                    })
                })
            });
        }
        let step = (gradient * self.learning_rate)?;
        velocity.set(&((velocity.as_detached_tensor() * self.momentum)? - &step)?)?;
        let change = if self.nesterov {
            ((velocity.as_detached_tensor() * self.momentum)? - step)?
        } else {
            velocity.as_detached_tensor()
        };
        Ok(weight.set(&(weight.as_detached_tensor() + change)?)?)
    }
}
