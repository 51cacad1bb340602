use super::{
    Elementwise, Optimizer, Settings, Slot, Step, argument_setters, change_weight, check_fraction,
    other_slots, schedules::LearningRate, settings_access, settings_setters,
};
use crate::{Error, Result, ops::update, weights::Weight};
use candle_core::{Tensor, Var};
use serde::{Deserialize, Serialize};

/// Moves every number by the learning rate, in the direction of its mean gradient.
///
/// w ← w - η·sign(β₁·m + (1 - β₁)·g), then m ← β₂·m + (1 - β₂)·g.
///
/// # Defaults
/// β₁ 0.9, β₂ 0.99. Keras's learning rate is 0.001; the paper advises a third to a tenth of Adam's,
/// and three to ten times its weight decay.
///
/// ```
/// use candle_keras::optimizers::Lion;
/// Lion::new(0.0001).weight_decay(0.04);
/// ```
///
/// # Errors
/// `compile` fails for a learning rate below 0, a β₁ outside 0 to 1 (0 excluded, as the sign of
/// each gradient is then all that counts) or a β₂ outside 0..1.
///
/// Keras: `Lion` (Chen et al., 2023, "Symbolic discovery of optimization algorithms").
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Lion {
    #[serde(flatten)]
    settings: Settings,
    beta_1: f64,
    beta_2: f64,
}

impl Default for Lion {
    /// Keras's learning rate, 0.001.
    fn default() -> Self {
        Self::new(0.001)
    }
}

impl Lion {
    /// Lion with Keras's defaults.
    pub fn new(learning_rate: impl Into<LearningRate>) -> Self {
        Self {
            settings: Settings::new(learning_rate),
            beta_1: 0.9,
            beta_2: 0.99,
        }
    }

    argument_setters! {
        /// How much of the mean gradient goes into the step's direction; the rest is the gradient
        /// of now.
        beta_1: f64;
        /// How slowly the mean of the gradients forgets.
        beta_2: f64;
    }

    settings_setters!();

    /// β and 1 - β, in f32 as Keras computes them.
    fn shares(beta: f64) -> (f32, f32) {
        (beta as f32, 1.0 - beta as f32)
    }
}

impl Optimizer for Lion {
    fn name(&self) -> &str {
        "lion"
    }

    settings_access!("Lion");

    fn slots(&self, _weight: &Weight) -> Vec<Slot> {
        vec![Slot::zeros("momentum")]
    }

    fn check(&self) -> Result<()> {
        if !(self.beta_1 > 0.0 && self.beta_1 <= 1.0) {
            let expected = "a number above 0 and up to 1";
            return Err(Error::argument(
                "beta_1",
                expected,
                self.beta_1,
                "0.9 is usual",
            ));
        }
        check_fraction("beta_2", self.beta_2, "0.99")
    }

    fn update(&self, step: Step, weight: &Weight, gradient: &Tensor, slots: &[Var]) -> Result<()> {
        let [m] = slots else {
            return Err(other_slots(1, slots));
        };
        let mixed = |beta: f64| {
            let (old, new) = Self::shares(beta);
            let old = (m.as_detached_tensor() * f64::from(old))?;
            old + (gradient * f64::from(new))?
        };
        let direction = sign(&mixed(self.beta_1)?)?;
        change_weight(weight, &(direction * step.learning_rate)?)?;
        Ok(m.set(&mixed(self.beta_2)?)?)
    }

    fn elementwise(&self, step: Step) -> Option<Box<Elementwise<'_>>> {
        let rate = step.learning_rate as f32;
        let (direction, mean) = (Self::shares(self.beta_1), Self::shares(self.beta_2));
        Some(Box::new(move |weight, gradient, slots| {
            if let [m] = slots {
                update::with_slots(
                    weight,
                    gradient,
                    [m],
                    #[inline(always)]
                    move |w, g, [m]| {
                        let mixed = m * direction.0 + g * direction.1;
                        // The sign, which is 0 for 0 and NaN for NaN: signum() of 0 is 1.
                        let sign = f32::from(mixed > 0.0) - f32::from(mixed < 0.0);
                        let sign = if mixed.is_nan() { mixed } else { sign };
                        (w - rate * sign, [m * mean.0 + g * mean.1])
                    },
                );
            }
        }))
    }
}

/// The sign of every number; that of NaN is NaN, where candle's is 0.
fn sign(x: &Tensor) -> candle_core::Result<Tensor> {
    x.ne(x)?.where_cond(x, &x.sign()?)
}
