use super::{Schedule, Steps, check_rate, check_steps};
use crate::{Config, Result};
use serde::{Deserialize, Serialize};

/// A learning rate that falls to `end_learning_rate` within `decay_steps` steps, and stays there:
/// η = (`initial_learning_rate` - `end_learning_rate`)·(1 - step / `decay_steps`)^`power` +
/// `end_learning_rate`.
///
/// # Defaults
/// To 0.0001, with power 1: in a straight line. Without `cycle`; with it the `decay_steps` become
/// their first multiple that is not below the step, so that the rate rises again and falls ever
/// more slowly.
///
/// ```
/// use candle_keras::optimizers::schedules::{PolynomialDecay, Schedule};
/// let schedule = PolynomialDecay::new(0.5, 10).end_learning_rate(0.25);
/// assert_eq!(schedule.learning_rate(5), 0.375);
/// assert_eq!(schedule.learning_rate(100), 0.25);
/// assert_eq!(schedule.clone().cycle(true).learning_rate(15), 0.3125);
/// ```
///
/// # Errors
/// `compile` fails for rates or a power below 0 and for 0 steps.
///
/// Keras: `PolynomialDecay`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct PolynomialDecay {
    initial_learning_rate: f64,
    decay_steps: Steps,
    end_learning_rate: f64,
    power: f64,
    cycle: bool,
}

impl PolynomialDecay {
    /// A decay from `initial_learning_rate` on.
    pub fn new(initial_learning_rate: f64, decay_steps: u64) -> Self {
        Self {
            initial_learning_rate,
            decay_steps: decay_steps.into(),
            end_learning_rate: 1e-4,
            power: 1.0,
            cycle: false,
        }
    }

    /// The learning rate in the end.
    pub fn end_learning_rate(mut self, end_learning_rate: f64) -> Self {
        self.end_learning_rate = end_learning_rate;
        self
    }

    /// The power of the polynomial.
    pub fn power(mut self, power: f64) -> Self {
        self.power = power;
        self
    }

    /// Whether the learning rate rises again after `decay_steps` steps.
    pub fn cycle(mut self, cycle: bool) -> Self {
        self.cycle = cycle;
        self
    }
}

impl Schedule for PolynomialDecay {
    fn learning_rate(&self, step: u64) -> f64 {
        let passed = step as f64 / self.decay_steps.0;
        let passed = if self.cycle {
            passed / passed.ceil().max(1.0)
        } else {
            passed.min(1.0)
        };
        let range = self.initial_learning_rate - self.end_learning_rate;
        range * (1.0 - passed).powf(self.power) + self.end_learning_rate
    }

    fn check(&self) -> Result<()> {
        check_rate("initial_learning_rate", self.initial_learning_rate)?;
        check_steps("decay_steps", self.decay_steps)?;
        check_rate("end_learning_rate", self.end_learning_rate)?;
        check_rate("power", self.power)
    }

    fn config(&self) -> Option<Config> {
        Config::of_keras("PolynomialDecay", self)
    }
}
