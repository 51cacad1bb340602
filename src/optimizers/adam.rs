use super::{
    Elementwise, Optimizer, Settings, Slot, Step, adam_rule::AdamRule, argument_setters,
    schedules::LearningRate, settings_access, settings_setters,
};
use crate::{Result, weights::Weight};
use candle_core::{Tensor, Var};
use serde::{Deserialize, Serialize};

/// Steps of a size that adapts to each number's gradients.
///
/// m ← m + (g - m)·(1 - β₁), v ← v + (g² - v)·(1 - β₂), w ← w - α·m / (√v + ε), where
/// α = η·√(1 - β₂ᵗ) / (1 - β₁ᵗ) in step t. With `amsgrad` the greatest v so far takes v's place in
/// the last of them.
///
/// # Defaults
/// β₁ 0.9, β₂ 0.999, ε 1e-7, outside the root and applied to the uncorrected v; not `amsgrad`.
/// Keras's learning rate is 0.001.
///
/// ```
/// use candle_keras::prelude::*;
/// Adam::new(0.001).beta_1(0.8).epsilon(1e-8);
/// ```
///
/// # Errors
/// `compile` fails for a learning rate below 0, a beta outside 0..1 or an epsilon not above 0.
///
/// Keras: `Adam` (Kingma and Ba, 2014, "Adam: a method for stochastic optimization", in the form
/// before its section 2.1; Reddi et al., 2018, "On the convergence of Adam and beyond").
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Adam {
    #[serde(flatten)]
    settings: Settings,
    beta_1: f64,
    beta_2: f64,
    epsilon: f64,
    amsgrad: bool,
}

impl Default for Adam {
    /// Keras's learning rate, 0.001.
    fn default() -> Self {
        Self::new(0.001)
    }
}

impl Adam {
    /// Adam with Keras's defaults.
    pub fn new(learning_rate: impl Into<LearningRate>) -> Self {
        Self {
            settings: Settings::new(learning_rate),
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

impl Optimizer for Adam {
    fn name(&self) -> &str {
        "adam"
    }

    settings_access!("Adam");

    fn slots(&self, _weight: &Weight) -> Vec<Slot> {
        self.rule().slots()
    }

    fn slots_side_by_side(&self) -> usize {
        2 // velocity_hat, of amsgrad, comes after them
    }

    fn check(&self) -> Result<()> {
        self.rule().check()
    }

    fn update(&self, step: Step, weight: &Weight, gradient: &Tensor, slots: &[Var]) -> Result<()> {
        self.rule().update(step, weight, gradient, slots)
    }

    fn elementwise(&self, step: Step) -> Option<Box<Elementwise<'_>>> {
        Some(self.rule().elementwise(step))
    }
}
