use super::{
    Elementwise, Optimizer, Settings, Slot, Step, argument_setters, change_weight,
    check_at_least_zero, check_epsilon, other_slots, schedules::LearningRate, settings_access,
    settings_setters,
};
use crate::{Result, ops::update, weights::Weight};
use candle_core::{Tensor, Var};
use serde::{Deserialize, Serialize};

/// Steps that get smaller the more a number has been changed: those that are changed seldom keep
/// large ones.
///
/// a ← a + g², w ← w - η·g / √(a + ε).
///
/// # Defaults
/// a begins as 0.1, the `initial_accumulator_value`; ε 1e-7, inside the root. Keras's learning rate
/// is 0.001; the paper's is 0.01.
///
/// ```
/// use candle_keras::optimizers::Adagrad;
/// Adagrad::new(0.01).initial_accumulator_value(0.0);
/// ```
///
/// # Errors
/// `compile` fails for a learning rate or initial value below 0 or an epsilon not above 0.
///
/// Keras: `Adagrad` (Duchi et al., 2011, "Adaptive subgradient methods for online learning and
/// stochastic optimization").
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Adagrad {
    #[serde(flatten)]
    settings: Settings,
    initial_accumulator_value: f64,
    epsilon: f64,
}

impl Default for Adagrad {
    /// Keras's learning rate, 0.001.
    fn default() -> Self {
        Self::new(0.001)
    }
}

impl Adagrad {
    /// Adagrad with Keras's defaults.
    pub fn new(learning_rate: impl Into<LearningRate>) -> Self {
        Self {
            settings: Settings::new(learning_rate),
            initial_accumulator_value: 0.1,
            epsilon: 1e-7,
        }
    }

    argument_setters! {
        /// What the sum of the squared gradients begins with.
        initial_accumulator_value: f64;
        /// What keeps the root in the division away from 0.
        epsilon: f64;
    }

    settings_setters!();
}

impl Optimizer for Adagrad {
    fn name(&self) -> &str {
        "adagrad"
    }

    settings_access!("Adagrad");

    fn slots(&self, _weight: &Weight) -> Vec<Slot> {
        vec![Slot::full("accumulator", self.initial_accumulator_value)]
    }

    fn check(&self) -> Result<()> {
        let initial = self.initial_accumulator_value;
        check_at_least_zero("initial_accumulator_value", initial, "0.1")?;
        check_epsilon(self.epsilon)
    }

    fn update(&self, step: Step, weight: &Weight, gradient: &Tensor, slots: &[Var]) -> Result<()> {
        let [accumulator] = slots else {
            return Err(other_slots(1, slots));
        };
        let sum = (accumulator.as_detached_tensor() + gradient.sqr()?)?;
        accumulator.set(&sum)?;
        let change = ((gradient * step.learning_rate)? / (sum + self.epsilon)?.sqrt()?)?;
        change_weight(weight, &change)
    }

    fn elementwise(&self, step: Step) -> Option<Box<Elementwise<'_>>> {
        let (rate, epsilon) = (step.learning_rate as f32, self.epsilon as f32);
        Some(Box::new(move |weight, gradient, slots| {
            if let [accumulator] = slots {
                update::with_slots(
                    weight,
                    gradient,
                    [accumulator],
                    #[inline(always)]
                    move |w, g, [sum]| {
                        let sum = sum + g * g;
                        (w - rate * g / (sum + epsilon).sqrt(), [sum])
                    },
                );
            }
        }))
    }
}
