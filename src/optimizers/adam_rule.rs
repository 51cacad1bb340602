use super::{Elementwise, Slot, Step, beta_power, change_weight, other_slots, toward};
use crate::{Result, ops::update, weights::Weight};
use candle_core::{Tensor, Var};

/// The rule of [`Adam`](super::Adam), [`AdamW`](super::AdamW), and
/// [`Muon`](super::Muon) where it has no matrix.
#[derive(Debug, Clone, Copy)]
pub(super) struct AdamRule {
    pub(super) beta_1: f64,
    pub(super) beta_2: f64,
    pub(super) epsilon: f64,
    pub(super) amsgrad: bool,
}

/// The numbers of one step.
#[derive(Debug, Clone, Copy)]
struct Constants {
    alpha: f32,
    one_minus_beta_1: f32,
    one_minus_beta_2: f32,
    epsilon: f32,
}

impl AdamRule {
    pub(super) fn slots(&self) -> Vec<Slot> {
        let mut slots = vec![Slot::zeros("momentum"), Slot::zeros("velocity")];
        if self.amsgrad {
            slots.push(Slot::zeros("velocity_hat"));
        }
        slots
    }

    pub(super) fn check(&self) -> Result<()> {
        super::check_fraction("beta_1", self.beta_1, "0.9")?;
        super::check_fraction("beta_2", self.beta_2, "0.999")?;
        super::check_epsilon(self.epsilon)
    }

    /// The constants of a step, in f32 as Keras computes them: 1 - β₂ᵗ differs from its exact
    /// value by 5e-5 in the first step, and the weights follow.
    fn constants(&self, step: Step) -> Constants {
        let correction = (1.0 - beta_power(self.beta_2, step)).sqrt();
        let correction = correction / (1.0 - beta_power(self.beta_1, step));
        Constants {
            alpha: step.learning_rate as f32 * correction,
            one_minus_beta_1: (1.0 - self.beta_1) as f32,
            one_minus_beta_2: (1.0 - self.beta_2) as f32,
            epsilon: self.epsilon as f32,
        }
    }

    pub(super) fn update(
        &self,
        step: Step,
        weight: &Weight,
        gradient: &Tensor,
        slots: &[Var],
    ) -> Result<()> {
        let [m, v, greatest @ ..] = slots else {
            return Err(other_slots(self.slots().len(), slots));
        };
        let constants = self.constants(step);
        toward(m, gradient, constants.one_minus_beta_1)?;
        toward(v, &gradient.sqr()?, constants.one_minus_beta_2)?;
        if let [greatest] = greatest {
            let greater = greatest.as_detached_tensor().maximum(v.as_tensor())?;
            greatest.set(&greater.detach())?;
        }
        let v = greatest.first().unwrap_or(v);
        let scaled = (m.as_detached_tensor() * f64::from(constants.alpha))?;
        let root = (v.as_detached_tensor().sqrt()? + f64::from(constants.epsilon))?;
        change_weight(weight, &(scaled / root)?)
    }

    pub(super) fn elementwise(&self, step: Step) -> Box<Elementwise<'static>> {
        let Constants {
            alpha,
            one_minus_beta_1,
            one_minus_beta_2,
            epsilon,
        } = self.constants(step);
        Box::new(move |weight, gradient, slots| match slots {
            [m, v] => update::with_slots(
                weight,
                gradient,
                [m, v],
                #[inline(always)]
                move |w, g, [m, v]| {
                    let m = m + (g - m) * one_minus_beta_1;
                    let v = v + (g * g - v) * one_minus_beta_2;
                    (w - m * alpha / (v.sqrt() + epsilon), [m, v])
                },
            ),
            [m, v, greatest] => update::with_slots(
                weight,
                gradient,
                [m, v, greatest],
                #[inline(always)]
                move |w, g, [m, v, greatest]| {
                    let m = m + (g - m) * one_minus_beta_1;
                    let v = v + (g * g - v) * one_minus_beta_2;
                    let greatest = if v > greatest { v } else { greatest };
                    let w = w - m * alpha / (greatest.sqrt() + epsilon);
                    (w, [m, v, greatest])
                },
            ),
            _ => {} // not the slots that it asks for
        })
    }
}
