use super::{
    Elementwise, Optimizer, Settings, Slot, Step, argument_setters, beta_power, change_weight,
    check_epsilon, check_fraction, other_slots, schedules::LearningRate, settings_access,
    settings_setters, toward,
};
use crate::{Result, ops::update, weights::Weight};
use candle_core::{Tensor, Var};
use serde::{Deserialize, Serialize};

/// Adam with Nesterov's momentum, which grows from β₁/2 to β₁.
///
/// In step t, with μₜ = β₁·(1 - 0.96ᵗ/2) and Uₜ = μ₁·…·μₜ: m ← m + (g - m)·(1 - β₁),
/// v ← v + (g² - v)·(1 - β₂), n = μₜ₊₁·m / (1 - Uₜ₊₁) + (1 - μₜ)·g / (1 - Uₜ),
/// w ← w - η·n / (√(v / (1 - β₂ᵗ)) + ε).
///
/// # Defaults
/// β₁ 0.9, β₂ 0.999, ε 1e-7. Keras's learning rate is 0.001.
///
/// ```
/// use candle_keras::optimizers::Nadam;
/// Nadam::new(0.002).beta_1(0.8);
/// ```
///
/// # Errors
/// `compile` fails for a learning rate below 0, a beta outside 0..1 or an epsilon not above 0.
///
/// Keras: `Nadam` (Dozat, 2016, "Incorporating Nesterov momentum into Adam").
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Nadam {
    #[serde(flatten)]
    settings: Settings,
    beta_1: f64,
    beta_2: f64,
    epsilon: f64,
}

impl Default for Nadam {
    /// Keras's learning rate, 0.001.
    fn default() -> Self {
        Self::new(0.001)
    }
}

/// The numbers of one step.
#[derive(Debug, Clone, Copy)]
struct Constants {
    one_minus_beta_1: f32,
    one_minus_beta_2: f32,
    /// μₜ₊₁ and 1 - Uₜ₊₁.
    of_momentum: (f32, f32),
    /// 1 - μₜ and 1 - Uₜ.
    of_gradient: (f32, f32),
    /// 1 - β₂ᵗ.
    correction: f32,
}

impl Nadam {
    /// Nadam with Keras's defaults.
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

    /// μₜ of step t.
    fn momentum_of(&self, number: u64) -> f32 {
        // 0.96 as in the paper: the momentum has warmed up after some hundred steps.
        let power = f64::from(0.96f32).powf(number as f64) as f32;
        self.beta_1 as f32 * (1.0 - 0.5 * power)
    }

    /// Uₜ = μ₁·…·μₜ of step t, a function of t alone: it need not be kept from step to step.
    fn momentum_product(&self, number: u64) -> f32 {
        /// A file may claim any number of steps, with a momentum that never gets there.
        const MOST: u64 = 1 << 20;
        let mut product = 1.0;
        for step in 1..=number.min(MOST) {
            product *= self.momentum_of(step);
            // It is only ever taken from 1, and from here on changes nothing there: after some 200
            // steps. The least f32 times 0.9 is rounded to itself, so that 0 is never reached.
            if 1.0 - product == 1.0 {
                break;
            }
        }
        product
    }

    /// The constants of a step, in f32 as Keras computes them.
    fn constants(&self, step: Step) -> Constants {
        let (now, next) = (
            self.momentum_of(step.number),
            self.momentum_of(step.number.saturating_add(1)),
        );
        let product = self.momentum_product(step.number);
        Constants {
            one_minus_beta_1: 1.0 - self.beta_1 as f32,
            one_minus_beta_2: 1.0 - self.beta_2 as f32,
            of_momentum: (next, 1.0 - product * next),
            of_gradient: (1.0 - now, 1.0 - product),
            correction: 1.0 - beta_power(self.beta_2, step),
        }
    }
}

impl Optimizer for Nadam {
    fn name(&self) -> &str {
        "nadam"
    }

    settings_access!("Nadam");

    fn slots(&self, _weight: &Weight) -> Vec<Slot> {
        vec![Slot::zeros("momentum"), Slot::zeros("velocity")]
    }

    fn kept_number(&self, updates: u64) -> Option<f64> {
        Some(self.momentum_product(updates).into())
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
        let constants = self.constants(step);
        let share = |tensor: &Tensor, (factor, divisor): (f32, f32)| {
            (tensor * f64::from(factor))? / f64::from(divisor)
        };
        toward(m, gradient, constants.one_minus_beta_1)?;
        toward(v, &gradient.sqr()?, constants.one_minus_beta_2)?;
        let ahead = share(&m.as_detached_tensor(), constants.of_momentum)?;
        let ahead = (ahead + share(gradient, constants.of_gradient)?)?;
        let root = (v.as_detached_tensor() / f64::from(constants.correction))?.sqrt()?;
        let change = ((ahead * step.learning_rate)? / (root + self.epsilon)?)?;
        change_weight(weight, &change)
    }

    fn elementwise(&self, step: Step) -> Option<Box<Elementwise<'_>>> {
        let (rate, epsilon) = (step.learning_rate as f32, self.epsilon as f32);
        let Constants {
            one_minus_beta_1,
            one_minus_beta_2,
            of_momentum,
            of_gradient,
            correction,
        } = self.constants(step);
        Some(Box::new(move |weight, gradient, slots| {
            if let [m, v] = slots {
                update::with_slots(
                    weight,
                    gradient,
                    [m, v],
                    #[inline(always)]
                    move |w, g, [m, v]| {
                        let m = m + (g - m) * one_minus_beta_1;
                        let v = v + (g * g - v) * one_minus_beta_2;
                        let ahead =
                            of_momentum.0 * m / of_momentum.1 + of_gradient.0 * g / of_gradient.1;
                        let root = (v / correction).sqrt();
                        (w - ahead * rate / (root + epsilon), [m, v])
                    },
                );
            }
        }))
    }
}
