use super::{
    Elementwise, Optimizer, Settings, Slot, Step, argument_setters, check_epsilon, check_fraction,
    other_slots, schedules::LearningRate, settings_access, settings_setters,
};
use crate::{Result, ops::update, weights::Weight};
use candle_core::{Tensor, Var};
use serde::{Deserialize, Serialize};

/// Steps as large as the last ones, in the ratio of the gradient to the last gradients.
///
/// a ← ρ·a + (1 - ρ)·g², s = -g·√(d + ε) / √(a + ε), d ← ρ·d + (1 - ρ)·s², w ← w + η·s.
///
/// # Defaults
/// ρ 0.95, ε 1e-7. Keras's learning rate is 0.001, with which it hardly moves; the paper's is 1.
///
/// ```
/// use candle_keras::optimizers::Adadelta;
/// Adadelta::new(1.0).epsilon(1e-6);
/// ```
///
/// # Errors
/// `compile` fails for a learning rate below 0, a rho outside 0..1 or an epsilon not above 0.
///
/// Keras: `Adadelta` (Zeiler, 2012, "ADADELTA: an adaptive learning rate method").
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Adadelta {
    #[serde(flatten)]
    settings: Settings,
    rho: f64,
    epsilon: f64,
}

impl Default for Adadelta {
    /// Keras's learning rate, 0.001.
    fn default() -> Self {
        Self::new(0.001)
    }
}

impl Adadelta {
    /// Adadelta with Keras's defaults.
    pub fn new(learning_rate: impl Into<LearningRate>) -> Self {
        Self {
            settings: Settings::new(learning_rate),
            rho: 0.95,
            epsilon: 1e-7,
        }
    }

    argument_setters! {
        /// How slowly the means of squared gradients and steps forget.
        rho: f64;
        /// What keeps both roots away from 0; the first step has its size from it.
        epsilon: f64;
    }

    settings_setters!();
}

impl Optimizer for Adadelta {
    fn name(&self) -> &str {
        "adadelta"
    }

    settings_access!("Adadelta");

    fn slots(&self, _weight: &Weight) -> Vec<Slot> {
        vec![
            Slot::zeros("accumulated_grad"),
            Slot::zeros("accumulated_delta_var"),
        ]
    }

    fn check(&self) -> Result<()> {
        check_fraction("rho", self.rho, "0.95")?;
        check_epsilon(self.epsilon)
    }

    fn update(&self, step: Step, weight: &Weight, gradient: &Tensor, slots: &[Var]) -> Result<()> {
        let [gradients, changes] = slots else {
            return Err(other_slots(2, slots));
        };
        let mix = |slot: &Var, value: &Tensor| -> candle_core::Result<()> {
            let new = (value.sqr()? * (1.0 - self.rho))?;
            slot.set(&((slot.as_detached_tensor() * self.rho)? + new)?)
        };
        let root = |slot: &Var| (slot.as_detached_tensor() + self.epsilon)?.sqrt();
        mix(gradients, gradient)?;
        let change = ((root(changes)? * gradient)? / root(gradients)?)?.neg()?;
        mix(changes, &change)?;
        let value = (weight.value() + (change * step.learning_rate)?)?;
        Ok(weight.variable().set(&value)?)
    }

    fn elementwise(&self, step: Step) -> Option<Box<Elementwise<'_>>> {
        let (rate, epsilon) = (step.learning_rate as f32, self.epsilon as f32);
        let (rho, one_minus_rho) = (self.rho as f32, (1.0 - self.rho) as f32);
        Some(Box::new(move |weight, gradient, slots| {
            if let [gradients, changes] = slots {
                update::with_slots(
                    weight,
                    gradient,
                    [gradients, changes],
                    #[inline(always)]
                    move |w, g, [a, d]| {
                        let a = rho * a + one_minus_rho * (g * g);
                        let change = -((d + epsilon).sqrt() * g / (a + epsilon).sqrt());
                        let d = rho * d + one_minus_rho * (change * change);
                        (w + rate * change, [a, d])
                    },
                );
            }
        }))
    }
}
