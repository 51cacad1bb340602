use super::{
    Elementwise, Optimizer, Settings, Slot, Step, adam_rule::AdamRule, argument_setters,
    schedules::LearningRate, settings_access, settings_setters,
};
use crate::{Error, Result, weights::Weight};
use candle_core::{Tensor, Var};
use serde::{Deserialize, Serialize};

/// [`Adam`](super::Adam) with weight decay, which goes around the adaptive steps: every weight
/// first loses η·λ of itself.
///
/// w ← w - w·λ·η; then Adam's step.
///
/// # Defaults
/// λ, the `weight_decay`, 0.004; the others are Adam's: β₁ 0.9, β₂ 0.999, ε 1e-7, not `amsgrad`.
/// Keras's learning rate is 0.001. Biases decay too, unless
/// [`exclude_from_weight_decay`](Self::exclude_from_weight_decay) leaves them out.
///
/// ```
/// use candle_keras::optimizers::AdamW;
/// AdamW::new(0.001).weight_decay(0.01).exclude_from_weight_decay(["bias"]);
/// ```
///
/// # Errors
/// `compile` fails for a learning rate or weight decay below 0, a beta outside 0..1 or an epsilon
/// not above 0.
///
/// Keras: `AdamW` (Loshchilov and Hutter, 2017, "Decoupled weight decay regularization").
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct AdamW {
    #[serde(flatten)]
    settings: Settings,
    beta_1: f64,
    beta_2: f64,
    epsilon: f64,
    amsgrad: bool,
}

impl Default for AdamW {
    /// Keras's learning rate, 0.001.
    fn default() -> Self {
        Self::new(0.001)
    }
}

impl AdamW {
    /// Adam with a weight decay of 0.004.
    pub fn new(learning_rate: impl Into<LearningRate>) -> Self {
        Self {
            settings: Settings::new(learning_rate).weight_decay(0.004),
            beta_1: 0.9,
            beta_2: 0.999,
            epsilon: 1e-7,
            amsgrad: false,
        }
    }

    argument_setters! {
        /// How slowly the mean of the gradients forgets.
        beta_1: f64;
        /// How slowly the mean of the squared gradients forgets.
        beta_2: f64;
        /// What keeps the division away from 0.
        epsilon: f64;
        /// Whether a number's steps are divided by the greatest mean of its squared gradients so
        /// far, and not by the one of now.
        amsgrad: bool;
    }

    settings_setters!();

    fn rule(&self) -> AdamRule {
        AdamRule {
            beta_1: self.beta_1,
            beta_2: self.beta_2,
            epsilon: self.epsilon,
            amsgrad: self.amsgrad,
        }
    }
}

impl Optimizer for AdamW {
    fn name(&self) -> &str {
        "adamw"
    }

    settings_access!("AdamW");

    fn slots(&self, _weight: &Weight) -> Vec<Slot> {
        self.rule().slots()
    }

    fn slots_side_by_side(&self) -> usize {
        2 // velocity_hat, of amsgrad, comes after them
    }

    fn check(&self) -> Result<()> {
        if self.settings.weight_decay.is_none() {
            let advice = "0.004 is Keras's default; Adam goes without";
            return Err(Error::argument("weight_decay", "a number", "none", advice));
        }
        self.rule().check()
    }

    fn update(&self, step: Step, weight: &Weight, gradient: &Tensor, slots: &[Var]) -> Result<()> {
        self.rule().update(step, weight, gradient, slots)
    }

    fn elementwise(&self, step: Step) -> Option<Box<Elementwise<'_>>> {
        Some(self.rule().elementwise(step))
    }
}
