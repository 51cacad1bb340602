use super::{Elementwise, Optimizer, check_fraction, check_learning_rate};
use crate::{
    Error, Result,
    ops::update::{self, AdamStep},
};
use candle_core::{Tensor, Var};

/// Steps of a size that adapts to each number's gradients.
///
/// m ← m + (g - m)·(1 - β₁), v ← v + (g² - v)·(1 - β₂), w ← w - α·m / (√v + ε), where
/// α = η·√(1 - β₂ᵗ) / (1 - β₁ᵗ) in step t.
///
/// # Defaults
/// β₁ 0.9, β₂ 0.999, ε 1e-7, outside the root and applied to the uncorrected v. Keras's learning
/// rate is 0.001.
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
/// before its section 2.1).
#[derive(Debug, Clone)]
pub struct Adam {
    learning_rate: f64,
    beta_1: f64,
    beta_2: f64,
    epsilon: f64,
}

impl Default for Adam {
    /// Keras's learning rate, 0.001.
    fn default() -> Self {
        Self::new(0.001)
    }
}

impl Adam {
    /// Adam with Keras's defaults.
    pub fn new(learning_rate: f64) -> Self {
        Self {
            learning_rate,
            beta_1: 0.9,
            beta_2: 0.999,
            epsilon: 1e-7,
        }
    }

    /// How slowly the mean of the gradients forgets.
    pub fn beta_1(mut self, beta_1: f64) -> Self {
        self.beta_1 = beta_1;
        self
    }

    /// How slowly the mean of the squared gradients forgets.
    pub fn beta_2(mut self, beta_2: f64) -> Self {
        self.beta_2 = beta_2;
        self
    }

    /// What keeps the division away from 0.
    pub fn epsilon(mut self, epsilon: f64) -> Self {
        self.epsilon = epsilon;
        self
    }

    /// The constants of step `step`, in f32 as Keras computes them: 1 - β₂ᵗ differs from its exact
    /// value by 5e-5 in the first step, and the weights follow.
    fn constants(&self, step: u64) -> AdamStep {
        let power = |beta: f64| f64::from(beta as f32).powf(step as f64) as f32;
        let correction = (1.0 - power(self.beta_2)).sqrt() / (1.0 - power(self.beta_1));
        AdamStep {
            alpha: self.learning_rate as f32 * correction,
            one_minus_beta_1: (1.0 - self.beta_1) as f32,
            one_minus_beta_2: (1.0 - self.beta_2) as f32,
            epsilon: self.epsilon as f32,
        }
    }
}

impl Optimizer for Adam {
    fn name(&self) -> &str {
        "adam"
    }

    fn learning_rate(&self) -> f64 {
        self.learning_rate
    }

    fn set_learning_rate(&mut self, learning_rate: f64) {
        self.learning_rate = learning_rate;
    }

    fn slots(&self) -> &[&str] {
        &["momentum", "velocity"]
    }

    fn check(&self) -> Result<()> {
        check_learning_rate(self.learning_rate)?;
        check_fraction("beta_1", self.beta_1, "0.9")?;
        check_fraction("beta_2", self.beta_2, "0.999")?;
        if self.epsilon.is_finite() && self.epsilon > 0.0 {
            return Ok(());
        }
        let advice = "Keras's default is 1e-7";
        Err(Error::argument(
            "epsilon",
            "a finite number above 0",
            self.epsilon,
            advice,
        ))
    }

    fn update(&self, step: u64, weight: &Var, gradient: &Tensor, slots: &[Var]) -> Result<()> {
        let [m, v] = slots else {
            return Err(Error::argument(
                "slots",
                "2",
                slots.len(),
                "compile the model again",
            ));
        };
        let constants = self.constants(step);
        let toward = |slot: &Var, value: &Tensor, share: f32| -> candle_core::Result<()> {
            let old = slot.as_detached_tensor();
            slot.set(&(&old + ((value - &old)? * f64::from(share))?)?)
        };
        toward(m, gradient, constants.one_minus_beta_1)?;
        toward(v, &gradient.sqr()?, constants.one_minus_beta_2)?;
        let scaled = (m.as_detached_tensor() * f64::from(constants.alpha))?;
        let root = (v.as_detached_tensor().sqrt()? + f64::from(constants.epsilon))?;
        Ok(weight.set(&(weight.as_detached_tensor() - (scaled / root)?)?)?)
    }

    fn elementwise(&self) -> Option<&dyn Elementwise> {
        Some(self)
    }
}

impl Elementwise for Adam {
    fn update_part(
        &self,
        step: u64,
        weight: &mut [f32],
        gradient: &[f32],
        slots: &mut [&mut [f32]],
    ) {
        if let [m, v] = slots {
            update::adam(weight, gradient, m, v, self.constants(step));
        }
    }
}
