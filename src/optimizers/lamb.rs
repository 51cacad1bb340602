use super::{
    Optimizer, Settings, Slot, Step, argument_setters, beta_power, change_weight, check_epsilon,
    check_fraction, other_slots, schedules::LearningRate, settings_access, settings_setters,
    toward,
};
use crate::{Result, weights::Weight};
use candle_core::{Tensor, Var};
use serde::{Deserialize, Serialize};

/// Adam whose steps are as long as the weight, so that large batches can take a large learning rate.
///
/// m ← m + (g - m)·(1 - β₁), v ← v + (g² - v)·(1 - β₂), r = m/(1 - β₁ᵗ) / (√(v/(1 - β₂ᵗ)) + ε),
/// w ← w - η·‖w‖/‖r‖·r in step t, with 1 in place of the ratio where a norm is 0.
///
/// # Defaults
/// β₁ 0.9, β₂ 0.999, ε 1e-7. Keras's learning rate is 0.001.
///
/// ```
/// use candle_keras::optimizers::Lamb;
/// Lamb::new(0.01).weight_decay(0.01);
/// ```
///
/// # Errors
/// `compile` fails for a learning rate below 0, a beta outside 0..1 or an epsilon not above 0.
///
/// Keras: `Lamb` (You et al., 2019, "Large batch optimization for deep learning: training BERT in
/// 76 minutes"). As in Keras, weight decay is taken off before the step and not part of r.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Lamb {
    #[serde(flatten)]
    settings: Settings,
    beta_1: f64,
    beta_2: f64,
    epsilon: f64,
}

impl Default for Lamb {
    /// Keras's learning rate, 0.001.
    fn default() -> Self {
        Self::new(0.001)
    }
}

impl Lamb {
    /// Lamb with Keras's defaults.
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
        /// How slowly the mean of the squared gradients forgets.
        beta_2: f64;
        /// What keeps the division away from 0.
        epsilon: f64;
    }

    settings_setters!();

    /// r: Adam's step, both means corrected.
    fn direction(&self, step: Step, gradient: &Tensor, m: &Var, v: &Var) -> Result<Tensor> {
        let corrected = |slot: &Var, beta: f64| {
            slot.as_detached_tensor() / f64::from(1.0 - beta_power(beta, step))
        };
        toward(m, gradient, (1.0 - self.beta_1) as f32)?;
        toward(v, &gradient.sqr()?, (1.0 - self.beta_2) as f32)?;
        let root = (corrected(v, self.beta_2)?.sqrt()? + self.epsilon)?;
        Ok((corrected(m, self.beta_1)? / root)?)
    }
}

impl Optimizer for Lamb {
    fn name(&self) -> &str {
        "lamb"
    }

    settings_access!("Lamb");

    fn slots(&self, _weight: &Weight) -> Vec<Slot> {
        vec![Slot::zeros("momentum"), Slot::zeros("velocity")]
    }

    fn check(&self) -> Result<()> {
        check_fraction("beta_1", self.beta_1, "0.9")?;
        check_fraction("beta_2", self.beta_2, "0.999")?;
        check_epsilon(self.epsilon)
    }

    fn update(&self, step: Step, weight: &Weight, gradient: &Tensor, slots: &[Var]) -> Result<()> {
        let [m, v] = slots else {
            return Err(other_slots(2, slots));
        };
        let direction = self.direction(step, gradient, m, v)?;
        let ratio = ratio_of_norms(weight.value(), &direction)?;
        let change = direction.broadcast_mul(&(ratio * step.learning_rate)?)?;
        change_weight(weight, &change)
    }
}

/// ‖w‖/‖r‖, a scalar; 1 where one of them is 0. It stays on the device.
fn ratio_of_norms(weight: &Tensor, direction: &Tensor) -> Result<Tensor> {
    let norm = |tensor: &Tensor| tensor.sqr()?.sum_all()?.sqrt();
    let (weight, direction) = (norm(weight)?, norm(direction)?);
    let both = (weight.gt(0.0)? * direction.gt(0.0)?)?;
    let one = weight.ones_like()?;
    Ok(both.where_cond(&(weight / direction)?, &one)?)
}
