use super::{
    Elementwise, Optimizer, Settings, Slot, Step, argument_setters, change_weight, check_epsilon,
    check_fraction, other_slots, schedules::LearningRate, settings_access, settings_setters,
};
use crate::{Result, ops::update, weights::Weight};
use candle_core::{Tensor, Var};
use serde::{Deserialize, Serialize};

/// Gradients divided by the root of a moving average of their squares; Keras's default optimizer.
///
/// v ← ρ·v + (1 - ρ)·g², w ← w - η·g / √(v + ε). `centered` also keeps the mean
/// a ← ρ·a + (1 - ρ)·g, and divides by √(v - a² + ε). With momentum μ the steps are added up:
/// m ← μ·m + η·g / √(v + ε), w ← w - m.
///
/// # Defaults
/// ρ 0.9, momentum 0, ε 1e-7, inside the root; not centered. Keras's learning rate is 0.001.
///
/// ```
/// use candle_keras::optimizers::RMSprop;
/// RMSprop::new(0.001).rho(0.95).momentum(0.9).centered(true);
/// ```
///
/// # Errors
/// `compile` fails for a learning rate below 0, a rho or momentum outside 0..1 or an epsilon not
/// above 0.
///
/// Keras: `RMSprop` (Hinton, 2012, lecture 6e of "Neural networks for machine learning").
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RMSprop {
    #[serde(flatten)]
    settings: Settings,
    rho: f64,
    momentum: f64,
    epsilon: f64,
    centered: bool,
}

impl Default for RMSprop {
    /// Keras's learning rate, 0.001.
    fn default() -> Self {
        Self::new(0.001)
    }
}

impl RMSprop {
    /// RMSprop with Keras's defaults.
    pub fn new(learning_rate: impl Into<LearningRate>) -> Self {
        Self {
            settings: Settings::new(learning_rate),
            rho: 0.9,
            momentum: 0.0,
            epsilon: 1e-7,
            centered: false,
        }
    }

    argument_setters! {
        /// How slowly the means of the gradients and of their squares forget.
        rho: f64;
        /// How much of the last step is kept in the next one.
        momentum: f64;
        /// What keeps the root in the division away from 0.
        epsilon: f64;
        /// Whether gradients are divided by their deviation from their mean, and not from 0.
        centered: bool;
    }

    settings_setters!();
}

impl Optimizer for RMSprop {
    fn name(&self) -> &str {
        "rmsprop"
    }

    settings_access!("RMSprop");

    fn slots(&self, _weight: &Weight) -> Vec<Slot> {
        let mut slots = vec![Slot::zeros("velocity")];
        if self.momentum > 0.0 {
            slots.push(Slot::zeros("momentum"));
        }
        if self.centered {
            slots.push(Slot::zeros("average_gradient"));
        }
        slots
    }

    fn slots_side_by_side(&self) -> usize {
        0
    }

    fn check(&self) -> Result<()> {
        check_fraction("rho", self.rho, "0.9")?;
        check_fraction("momentum", self.momentum, "0.9")?;
        check_epsilon(self.epsilon)
    }

    fn update(&self, step: Step, weight: &Weight, gradient: &Tensor, slots: &[Var]) -> Result<()> {
        let (velocity, momentum, average) = match (slots, self.centered) {
            ([v], _) => (v, None, None),
            ([v, average], true) => (v, None, Some(average)),
            ([v, momentum], false) => (v, Some(momentum), None),
            ([v, momentum, average], _) => (v, Some(momentum), Some(average)),
            _ => return Err(other_slots(self.slots(weight).len(), slots)),
        };
        let mix = |slot: &Var, value: &Tensor| -> candle_core::Result<Tensor> {
            let mixed = ((slot.as_detached_tensor() * self.rho)? + (value * (1.0 - self.rho))?)?;
            slot.set(&mixed)?;
            Ok(mixed)
        };
        let mut spread = mix(velocity, &gradient.sqr()?)?;
        if let Some(average) = average {
            spread = (spread - mix(average, gradient)?.sqr()?)?;
        }
        let change = ((gradient * step.learning_rate)? / (spread + self.epsilon)?.sqrt()?)?;
        let Some(momentum) = momentum else {
            return change_weight(weight, &change);
        };
        let change = ((momentum.as_detached_tensor() * self.momentum)? + change)?;
        momentum.set(&change)?;
        change_weight(weight, &change)
    }

    fn elementwise(&self, step: Step) -> Option<Box<Elementwise<'_>>> {
        let rate = step.learning_rate as f32;
        let (rho, one_minus_rho) = (self.rho as f32, (1.0 - self.rho) as f32);
        let (mu, epsilon) = (self.momentum as f32, self.epsilon as f32);
        let centered = self.centered;
        Some(Box::new(move |weight, gradient, slots| match slots {
            [v] => update::with_slots(
                weight,
                gradient,
                [v],
                #[inline(always)]
                move |w, g, [v]| {
                    let v = rho * v + one_minus_rho * (g * g);
                    (w - rate * g / (v + epsilon).sqrt(), [v])
                },
            ),
            [v, average] if centered => update::with_slots(
                weight,
                gradient,
                [v, average],
                #[inline(always)]
                move |w, g, [v, average]| {
                    let v = rho * v + one_minus_rho * (g * g);
                    let average = rho * average + one_minus_rho * g;
                    let root = (v - average * average + epsilon).sqrt();
                    (w - rate * g / root, [v, average])
                },
            ),
            [v, m] => update::with_slots(
                weight,
                gradient,
                [v, m],
                #[inline(always)]
                move |w, g, [v, m]| {
                    let v = rho * v + one_minus_rho * (g * g);
                    let m = mu * m + rate * g / (v + epsilon).sqrt();
                    (w - m, [v, m])
                },
            ),
            [v, m, average] => update::with_slots(
                weight,
                gradient,
                [v, m, average],
                #[inline(always)]
                move |w, g, [v, m, average]| {
                    let v = rho * v + one_minus_rho * (g * g);
                    let average = rho * average + one_minus_rho * g;
                    let root = (v - average * average + epsilon).sqrt();
                    let m = mu * m + rate * g / root;
                    (w - m, [v, m, average])
                },
            ),
            _ => {} // not the slots that it asks for
        }))
    }
}
