use super::{Schedule, Steps, check_rate, check_steps};
use crate::{Config, Result};
use serde::{Deserialize, Serialize};

/// A learning rate that falls as 1/step does:
/// η = `initial_learning_rate` / (1 + `decay_rate`·step / `decay_steps`).
///
/// # Defaults
/// Not a staircase: it falls a little in every step.
///
/// ```
/// use candle_keras::optimizers::schedules::{InverseTimeDecay, Schedule};
/// let schedule = InverseTimeDecay::new(0.1, 10, 1.0);
/// assert_eq!(schedule.learning_rate(0), 0.1);
/// assert_eq!(schedule.learning_rate(10), 0.05);
/// ```
///
/// # Errors
/// `compile` fails for rates below 0 and for 0 steps.
///
/// Keras: `InverseTimeDecay`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct InverseTimeDecay {
    initial_learning_rate: f64,
    decay_steps: Steps,
    decay_rate: f64,
    staircase: bool,
}

impl InverseTimeDecay {
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

impl Schedule for InverseTimeDecay {
    fn learning_rate(&self, step: u64) -> f64 {
        let passed = step as f64 / self.decay_steps.0;
        let passed = if self.staircase {
            passed.floor()
        } else {
            passed
        };
        self.initial_learning_rate / (1.0 + self.decay_rate * passed)
    }

    fn check(&self) -> Result<()> {
        check_rate("initial_learning_rate", self.initial_learning_rate)?;
        check_steps("decay_steps", self.decay_steps)?;
        check_rate("decay_rate", self.decay_rate)
    }

    fn config(&self) -> Option<Config> {
        Config::of_keras("InverseTimeDecay", self)
    }
}
