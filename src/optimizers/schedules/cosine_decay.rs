use super::{Schedule, Steps, check_rate, check_steps};
use crate::{Config, Result};
use serde::{Deserialize, Serialize};
use std::f64::consts::PI;

/// A learning rate that falls within `decay_steps` steps as a cosine does from 0 to π, if asked for
/// after a warm-up in a straight line.
///
/// η = `initial_learning_rate`·((1 - `alpha`)·(1 + cos(π·step / `decay_steps`)) / 2 + `alpha`), and
/// `alpha` of the initial one afterwards. With a `warmup_target` it first goes from
/// `initial_learning_rate` to that target in `warmup_steps` steps, and then decays from there.
///
/// # Defaults
/// `alpha` 0, no `warmup_target`, and `warmup_steps` 0, which have no effect without a target.
///
/// ```
/// use candle_keras::optimizers::schedules::{CosineDecay, Schedule};
/// let schedule = CosineDecay::new(0.0, 50).warmup_target(0.1).warmup_steps(10);
/// assert_eq!(schedule.learning_rate(5), 0.05);
/// assert_eq!(schedule.learning_rate(10), 0.1);
/// assert_eq!(schedule.learning_rate(60), 0.0);
/// ```
///
/// # Errors
/// `compile` fails for rates or an alpha below 0 and for 0 decay steps.
///
/// Keras: `CosineDecay` (Loshchilov and Hutter, 2016, "SGDR: stochastic gradient descent with warm
/// restarts").
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct CosineDecay {
    initial_learning_rate: f64,
    decay_steps: Steps,
    alpha: f64,
    warmup_target: Option<f64>,
    warmup_steps: Steps,
}

impl CosineDecay {
    /// A decay from `initial_learning_rate` on.
    pub fn new(initial_learning_rate: f64, decay_steps: u64) -> Self {
        Self {
            initial_learning_rate,
            decay_steps: decay_steps.into(),
            alpha: 0.0,
            warmup_target: None,
            warmup_steps: 0.into(),
        }
    }

    /// The learning rate in the end, as a fraction of the one from which it decays.
    pub fn alpha(mut self, alpha: f64) -> Self {
        self.alpha = alpha;
        self
    }

    /// The learning rate after the warm-up.
    pub fn warmup_target(mut self, warmup_target: f64) -> Self {
        self.warmup_target = Some(warmup_target);
        self
    }

    /// The steps of the warm-up.
    pub fn warmup_steps(mut self, warmup_steps: u64) -> Self {
        self.warmup_steps = warmup_steps.into();
        self
    }

    /// The learning rate `step` steps after the decay from `start` began.
    fn decayed(&self, start: f64, step: f64) -> f64 {
        let passed = (step / self.decay_steps.0).min(1.0);
        let cosine = 0.5 * (1.0 + (PI * passed).cos());
        start * ((1.0 - self.alpha) * cosine + self.alpha)
    }
}

impl Schedule for CosineDecay {
    fn learning_rate(&self, step: u64) -> f64 {
        let (step, initial) = (step as f64, self.initial_learning_rate);
        let Some(target) = self.warmup_target else {
            return self.decayed(initial, step);
        };
        let warmup_steps = self.warmup_steps.0;
        if step < warmup_steps {
            return (target - initial) * (step / warmup_steps) + initial;
        }
        self.decayed(target, step - warmup_steps)
    }

    fn check(&self) -> Result<()> {
        check_rate("initial_learning_rate", self.initial_learning_rate)?;
        check_steps("decay_steps", self.decay_steps)?;
        check_rate("alpha", self.alpha)?;
        check_rate("warmup_target", self.warmup_target.unwrap_or_default())?;
        check_rate("warmup_steps", self.warmup_steps.0)
    }

    fn config(&self) -> Option<Config> {
        Config::of_keras("CosineDecay", self)
    }
}
