use super::{Schedule, Steps, check_rate, check_steps};
use crate::{Config, Error, Result};
use serde::{Deserialize, Serialize};
use std::f64::consts::PI;

/// A learning rate that falls as a cosine does from 0 to π, again and again: the first time within
/// `first_decay_steps` steps, each later time within `t_mul` times as many, and from `m_mul` times
/// the height.
///
/// η = `initial_learning_rate`·((1 - `alpha`)·`m_mul`^i·(1 + cos(π·f)) / 2 + `alpha`) in restart i, of
/// which the fraction f has passed.
///
/// # Defaults
/// `t_mul` 2, `m_mul` 1, `alpha` 0.
///
/// ```
/// use candle_keras::optimizers::schedules::{CosineDecayRestarts, Schedule};
/// let schedule = CosineDecayRestarts::new(0.1, 8).m_mul(0.5);
/// assert_eq!(schedule.learning_rate(4), 0.05);
/// assert_eq!(schedule.learning_rate(8), 0.05); // of the second time the first step
/// assert_eq!(schedule.learning_rate(16), 0.025);
/// ```
///
/// # Errors
/// `compile` fails for rates, an alpha or an m_mul below 0, for 0 steps and for a t_mul below 1.
///
/// Keras: `CosineDecayRestarts` (Loshchilov and Hutter, 2016, "SGDR: stochastic gradient descent
/// with warm restarts"). Where a restart falls on a step, that step always begins it; in Keras the
/// rounding of a logarithm decides.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct CosineDecayRestarts {
    initial_learning_rate: f64,
    first_decay_steps: Steps,
    t_mul: f64,
    m_mul: f64,
    alpha: f64,
}

impl CosineDecayRestarts {
    /// A decay from `initial_learning_rate` on.
    pub fn new(initial_learning_rate: f64, first_decay_steps: u64) -> Self {
        Self {
            initial_learning_rate,
            first_decay_steps: first_decay_steps.into(),
            t_mul: 2.0,
            m_mul: 1.0,
            alpha: 0.0,
        }
    }

    /// How many times as many steps each decay takes as the one before.
    pub fn t_mul(mut self, t_mul: f64) -> Self {
        self.t_mul = t_mul;
        self
    }

    /// The height from which a decay begins, as a fraction of that of the one before.
    pub fn m_mul(mut self, m_mul: f64) -> Self {
        self.m_mul = m_mul;
        self
    }

    /// The least learning rate, as a fraction of the initial one.
    pub fn alpha(mut self, alpha: f64) -> Self {
        self.alpha = alpha;
        self
    }

    /// The number of restarts before a step, and the fraction of the decay since the last one that
    /// has passed. `passed` counts in lengths of the first decay.
    fn restarts(&self, passed: f64) -> (f64, f64) {
        if self.t_mul <= 1.0 {
            return (passed.floor(), passed - passed.floor());
        }
        // The length of all decays up to and without the i-th: 1 + t + t² + ..
        let before = |restarts: f64| (self.t_mul.powf(restarts) - 1.0) / (self.t_mul - 1.0);
        let mut restarts = (1.0 + passed * (self.t_mul - 1.0)).ln() / self.t_mul.ln();
        restarts = restarts.floor();
        // Logarithms are rounded: at a boundary they may say one less.
        if before(restarts + 1.0) <= passed {
            restarts += 1.0;
        }
        let since = passed - before(restarts);
        (
            restarts,
            (since / self.t_mul.powf(restarts)).clamp(0.0, 1.0),
        )
    }
}

impl Schedule for CosineDecayRestarts {
    fn learning_rate(&self, step: u64) -> f64 {
        let (restarts, fraction) = self.restarts(step as f64 / self.first_decay_steps.0);
        let cosine = 0.5 * self.m_mul.powf(restarts) * (1.0 + (PI * fraction).cos());
        self.initial_learning_rate * ((1.0 - self.alpha) * cosine + self.alpha)
    }

    fn check(&self) -> Result<()> {
        check_rate("initial_learning_rate", self.initial_learning_rate)?;
        check_steps("first_decay_steps", self.first_decay_steps)?;
        if !(self.t_mul.is_finite() && self.t_mul >= 1.0) {
            let advice = "2 is usual; shorter and shorter decays would end";
            let expected = "a finite number of at least 1";
            return Err(Error::argument("t_mul", expected, self.t_mul, advice));
        }
        check_rate("m_mul", self.m_mul)?;
        check_rate("alpha", self.alpha)
    }

    fn config(&self) -> Option<Config> {
        Config::of_keras("CosineDecayRestarts", self)
    }
}
