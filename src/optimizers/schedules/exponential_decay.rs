use super::{Schedule, Steps, check_rate, check_steps};
use crate::{Config, Result};
use serde::{Deserialize, Serialize};

/// A learning rate that is multiplied by `decay_rate` every `decay_steps` steps:
/// η = `initial_learning_rate`·`decay_rate`^(step / `decay_steps`).
///
/// # Defaults
/// Not a staircase: it falls a little in every step.
///
/// ```
/// use candle_keras::optimizers::schedules::{ExponentialDecay, Schedule};
/// let schedule = ExponentialDecay::new(0.1, 10, 0.5);
/// assert_eq!(schedule.learning_rate(0), 0.1);
/// assert_eq!(schedule.learning_rate(10), 0.05);
/// ```
///
/// # Errors
/// `compile` fails for rates below 0 and for 0 steps.
///
/// Keras: `ExponentialDecay`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ExponentialDecay {
    initial_learning_rate: f64,
    decay_steps: Steps,
    decay_rate: f64,
    staircase: bool,
}

impl ExponentialDecay {
    /// A decay from `initial_learning_rate` on.
    pub fn new(initial_learning_rate: f64, decay_steps: u64, decay_rate: f64) -> Self {
        Self {
            initial_learning_rate,
            decay_steps: decay_steps.into(),
            decay_rate,
            staircase: false,
        }
    }

    /// Whether the learning rate stays the same for `decay_steps` steps.
    pub fn staircase(mut self, staircase: bool) -> Self {
        self.staircase = staircase;
        self
    }
}

impl Schedule for ExponentialDecay {
    fn learning_rate(&self, step: u64) -> f64 {
        let passed = step as f64 / self.decay_steps.0;
        let passed = if self.staircase {
            passed.floor()
        } else {
            passed
        };
        self.initial_learning_rate * self.decay_rate.powf(passed)
    }

    fn check(&self) -> Result<()> {
        check_rate("initial_learning_rate", self.initial_learning_rate)?;
        check_steps("decay_steps", self.decay_steps)?;
        check_rate("decay_rate", self.decay_rate)
    }

    fn config(&self) -> Option<Config> {
        Config::of_keras("ExponentialDecay", self)
    }
}
