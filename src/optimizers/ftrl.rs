use super::{
    Elementwise, Optimizer, Settings, Slot, Step, argument_setters, check_at_least_zero,
    other_slots, schedules::LearningRate, settings_access, settings_setters,
};
use crate::{Error, Result, ops::update, weights::Weight};
use candle_core::{Tensor, Var};
use serde::{Deserialize, Serialize};

/// "Follow the regularized leader": weights that are computed anew in every step from the sums of
/// the gradients. What they were initialized with is forgotten in the first step; with l1, weights
/// that matter little become 0. It suits shallow models with many sparse features.
///
/// With n the `accumulator` and z the `linear` slot, p the `learning_rate_power` and s the
/// `l2_shrinkage_regularization_strength`: n' = n + g²,
/// z ← z + g + 2·s·w - (n'⁻ᵖ - n⁻ᵖ)/η·w, w ← (clip(z, -l1, l1) - z) / (n'⁻ᵖ/η + 2·(l2 + β/(2·η))),
/// n ← n'.
///
/// # Defaults
/// p -0.5, n begins as 0.1, and l1, l2, s and β are 0. Keras's learning rate is 0.001.
///
/// ```
/// use candle_keras::optimizers::Ftrl;
/// Ftrl::new(0.1).l1_regularization_strength(0.01).beta(1.0);
/// ```
///
/// # Errors
/// `compile` fails for a learning rate that is not above 0 (it is divided by), a power above 0, and
/// for an initial value, a strength or a beta below 0.
///
/// Keras: `Ftrl` (McMahan et al., 2013, "Ad click prediction: a view from the trenches").
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Ftrl {
    #[serde(flatten)]
    settings: Settings,
    learning_rate_power: f64,
    initial_accumulator_value: f64,
    l1_regularization_strength: f64,
    l2_regularization_strength: f64,
    l2_shrinkage_regularization_strength: f64,
    beta: f64,
}

impl Default for Ftrl {
    /// Keras's learning rate, 0.001.
    fn default() -> Self {
        Self::new(0.001)
    }
}

/// The numbers of one step.
#[derive(Debug, Clone, Copy)]
struct Constants {
    rate: f32,
    /// -p.
    power: f32,
    l1: f32,
    /// 2·s.
    shrinkage: f32,
    /// 2·(l2 + β/(2·η)).
    l2: f32,
}

impl Ftrl {
    /// Ftrl with Keras's defaults.
    pub fn new(learning_rate: impl Into<LearningRate>) -> Self {
        Self {
            settings: Settings::new(learning_rate),
            learning_rate_power: -0.5,
            initial_accumulator_value: 0.1,
            l1_regularization_strength: 0.0,
            l2_regularization_strength: 0.0,
            l2_shrinkage_regularization_strength: 0.0,
            beta: 0.0,
        }
    }

    argument_setters! {
        /// How the steps get smaller, at most 0: with 0 they do not.
        learning_rate_power: f64;
        /// What the sum of the squared gradients begins with.
        initial_accumulator_value: f64;
        /// How strongly weights are pulled to 0, whatever their size.
        l1_regularization_strength: f64;
        /// How strongly large weights are pulled to 0.
        l2_regularization_strength: f64;
        /// How strongly the gradients pull large weights to 0: a penalty on the loss, where the
        /// `l2_regularization_strength` is one on the sum of all steps.
        l2_shrinkage_regularization_strength: f64;
        /// The β of the paper, which makes the first steps smaller.
        beta: f64;
    }

    settings_setters!();

    fn constants(&self, step: Step) -> Constants {
        let rate = step.learning_rate as f32;
        let l2 = self.l2_regularization_strength as f32 + self.beta as f32 / (2.0 * rate);
        Constants {
            rate,
            power: -self.learning_rate_power as f32,
            l1: self.l1_regularization_strength as f32,
            shrinkage: (2.0 * self.l2_shrinkage_regularization_strength) as f32,
            l2: 2.0 * l2,
        }
    }

    /// The update of numbers in memory, where `power` is x⁻ᵖ.
    fn pass(
        constants: Constants,
        weight: &mut [f32],
        gradient: &[f32],
        slots: [&mut [f32]; 2],
        power: impl Fn(f32) -> f32,
    ) {
        let Constants {
            rate,
            l1,
            shrinkage,
            l2,
            ..
        } = constants;
        update::with_slots(
            weight,
            gradient,
            slots,
            #[inline(always)]
            move |w, g, [n, z]| {
                let sum = n + g * g;
                let grown = power(sum);
                let z = z + (g + shrinkage * w - (grown - power(n)) / rate * w);
                let clipped = z.max(-l1).min(l1);
                ((clipped - z) / (grown / rate + l2), [sum, z])
            },
        );
    }
}

impl Optimizer for Ftrl {
    fn name(&self) -> &str {
        "ftrl"
    }

    settings_access!("Ftrl");

    fn slots(&self, _weight: &Weight) -> Vec<Slot> {
        vec![
            Slot::full("accumulator", self.initial_accumulator_value),
            Slot::zeros("linear"),
        ]
    }

    fn check(&self) -> Result<()> {
        if self.settings.schedule().is_none() && self.settings.learning_rate(0) == 0.0 {
            let advice = "Ftrl divides by it; 0.001 is Keras's default";
            return Err(Error::argument(
                "learning_rate",
                "a number above 0",
                0,
                advice,
            ));
        }
        let power = self.learning_rate_power;
        if !(power.is_finite() && power <= 0.0) {
            let expected = "a finite number of at most 0";
            return Err(Error::argument(
                "learning_rate_power",
                expected,
                power,
                "-0.5 is usual",
            ));
        }
        for (name, value, usual) in [
            (
                "initial_accumulator_value",
                self.initial_accumulator_value,
                "0.1",
            ),
            (
                "l1_regularization_strength",
                self.l1_regularization_strength,
                "0",
            ),
            (
                "l2_regularization_strength",
                self.l2_regularization_strength,
                "0",
            ),
            (
                "l2_shrinkage_regularization_strength",
                self.l2_shrinkage_regularization_strength,
                "0",
            ),
            ("beta", self.beta, "0"),
        ] {
            check_at_least_zero(name, value, usual)?;
        }
        Ok(())
    }

    fn update(&self, step: Step, weight: &Weight, gradient: &Tensor, slots: &[Var]) -> Result<()> {
        let [accumulator, linear] = slots else {
            return Err(other_slots(2, slots));
        };
        let constants = self.constants(step);
        let [rate, l1, shrinkage, l2] = [
            constants.rate,
            constants.l1,
            constants.shrinkage,
            constants.l2,
        ]
        .map(f64::from);
        let power = |sum: &Tensor| match constants.power {
            0.5 => sum.sqrt(),
            power => sum.powf(f64::from(power)),
        };
        let (w, n) = (weight.value(), accumulator.as_detached_tensor());
        let sum = (&n + gradient.sqr()?)?;
        let grown = power(&sum)?;
        let slowed = (((&grown - power(&n)?)? / rate)? * w)?;
        let change = ((gradient + (w * shrinkage)?)? - slowed)?;
        let z = (linear.as_detached_tensor() + change)?;
        let value = ((z.clamp(-l1, l1)? - &z)? / ((grown / rate)? + l2)?)?;
        linear.set(&z)?;
        accumulator.set(&sum)?;
        Ok(weight.variable().set(&value)?)
    }

    fn elementwise(&self, step: Step) -> Option<Box<Elementwise<'_>>> {
        let constants = self.constants(step);
        Some(Box::new(move |weight, gradient, slots| {
            let [n, z] = slots else {
                return;
            };
            let slots: [&mut [f32]; 2] = [n, z];
            match constants.power {
                // A root is one instruction on many numbers, any other power a call for each.
                0.5 => Self::pass(
                    constants,
                    weight,
                    gradient,
                    slots,
                    #[inline(always)]
                    |x| x.sqrt(),
                ),
                power => Self::pass(
                    constants,
                    weight,
                    gradient,
                    slots,
                    #[inline(always)]
                    |x| x.powf(power),
                ),
            }
        }))
    }
}
