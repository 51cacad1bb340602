use super::{
    Elementwise, Optimizer, Settings, Slot, Step, argument_setters, beta_power, change_weight,
    check_epsilon, check_fraction, other_slots, schedules::LearningRate, settings_access,
    settings_setters, toward,
};
use crate::{Result, ops::update, weights::Weight};
use candle_core::{Tensor, Var};
use serde::{Deserialize, Serialize};

/// Adam by the greatest gradient instead of the squared ones' mean: a few large gradients among
/// many zeros, as embeddings have, do not shrink the later steps for long.
///
/// m ← m + (g - m)·(1 - β₁), u ← max(β₂·u, |g|), w ← w - η·m / ((1 - β₁ᵗ)·(u + ε)) in step t.
///
/// # Defaults
/// β₁ 0.9, β₂ 0.999, ε 1e-7. Keras's learning rate is 0.001.
///
/// ```
/// use candle_keras::optimizers::Adamax;
/// Adamax::new(0.002).beta_2(0.99);
/// ```
///
/// # Errors
/// `compile` fails for a learning rate below 0, a beta outside 0..1 or an epsilon not above 0.
///
/// Keras: `Adamax` (Kingma and Ba, 2014, "Adam: a method for stochastic optimization", section
/// 7.1).
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Adamax {
    #[serde(flatten)]
    settings: Settings,
    beta_1: f64,
    beta_2: f64,
    epsilon: f64,
}

impl Default for Adamax {
    /// Keras's learning rate, 0.001.
    fn default() -> Self {
        Self::new(0.001)
    }
}

impl Adamax {
    /// Adamax with Keras's defaults.
    pub fn new(learning_rate: impl Into<LearningRate>) -> Self {
        Self {
            settings: Settings::new(learning_rate),
            beta_1: 0.9,
            beta_2: 0.999,
            epsilon: 1e-7,
        }
    }

    argument_setters! {
        /// How slowly the mean of the gradients forgets.
        beta_1: f64;
        /// How slowly the greatest gradient is forgotten.
        beta_2: f64;
        /// What keeps the division away from 0.
        epsilon: f64;
    }

    settings_setters!();

    /// 1 - β₁ᵗ, in f32 as Keras computes it.
    fn correction(&self, step: Step) -> f32 {
        1.0 - beta_power(self.beta_1, step)
    }
}

impl Optimizer for Adamax {
    fn name(&self) -> &str {
        "adamax"
    }

    settings_access!("Adamax");

    fn slots(&self, _weight: &Weight) -> Vec<Slot> {
        vec![Slot::zeros("momentum"), Slot::zeros("norm")]
    }

    fn check(&self) -> Result<()> {
        check_fraction("beta_1", self.beta_1, "0.9")?;
        check_fraction("beta_2", self.beta_2, "0.999")?;
        check_epsilon(self.epsilon)
    }

    fn update(&self, step: Step, weight: &Weight, gradient: &Tensor, slots: &[Var]) -> Result<()> {
        let [m, u] = slots else {
            return Err(other_slots(2, slots));
        };
        toward(m, gradient, (1.0 - self.beta_1) as f32)?;
        let greatest = (u.as_detached_tensor() * self.beta_2)?.maximum(&gradient.abs()?)?;
        u.set(&greatest)?;
        let divisor = ((greatest + self.epsilon)? * f64::from(self.correction(step)))?;
        let scaled = (m.as_detached_tensor() * step.learning_rate)?;
        change_weight(weight, &(scaled / divisor)?)
    }

    fn elementwise(&self, step: Step) -> Option<Box<Elementwise<'_>>> {
        let (rate, correction) = (step.learning_rate as f32, self.correction(step));
        let one_minus_beta_1 = (1.0 - self.beta_1) as f32;
        let (beta_2, epsilon) = (self.beta_2 as f32, self.epsilon as f32);
        Some(Box::new(move |weight, gradient, slots| {
            if let [m, u] = slots {
                update::with_slots(
                    weight,
                    gradient,
                    [m, u],
                    #[inline(always)]
                    move |w, g, [m, u]| {
                        let m = m + (g - m) * one_minus_beta_1;
                        let (decayed, size) = (beta_2 * u, g.abs());
                        let u = if size > decayed { size } else { decayed };
                        (w - rate * m / (correction * (u + epsilon)), [m, u])
                    },
                );
            }
        }))
    }
}
