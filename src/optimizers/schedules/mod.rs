//! Schedules: learning rates that depend on the step.

mod cosine_decay;
mod cosine_decay_restarts;
mod exponential_decay;
mod inverse_time_decay;
mod piecewise_constant_decay;
mod polynomial_decay;

pub use cosine_decay::CosineDecay;
pub use cosine_decay_restarts::CosineDecayRestarts;
pub use exponential_decay::ExponentialDecay;
pub use inverse_time_decay::InverseTimeDecay;
pub use piecewise_constant_decay::PiecewiseConstantDecay;
pub use polynomial_decay::PolynomialDecay;

use super::{check_above_zero, check_at_least_zero, check_learning_rate};
use crate::{Config, Result, config::Entry, config::serde_of_part, config::table};
use serde::{Deserialize, Serialize};
use std::{fmt::Debug, sync::Arc};

/// The learning rate of every step.
///
/// ```
/// use candle_keras::{optimizers::schedules::Schedule, prelude::*};
///
/// /// A tenth for the first hundred steps, then a hundredth.
/// #[derive(Debug)]
/// struct TwoRates;
///
/// impl Schedule for TwoRates {
///     fn learning_rate(&self, step: u64) -> f64 {
///         if step < 100 { 0.1 } else { 0.01 }
///     }
/// }
/// Sgd::new(TwoRates).momentum(0.9);
/// ```
pub trait Schedule: Debug + Send + Sync {
    /// The learning rate of step `step`, counted from 0.
    fn learning_rate(&self, step: u64) -> f64;

    /// Whether the arguments are in range; `compile` asks.
    ///
    /// # Errors
    /// When one is not.
    fn check(&self) -> Result<()> {
        Ok(())
    }

    /// Its class and arguments, if it can be written to a file.
    fn config(&self) -> Option<Config> {
        None
    }
}

serde_of_part!(
    Schedule,
    "schedule",
    "keras.optimizers.schedules",
    SCHEDULES
);

/// Every schedule of the crate.
pub(crate) const SCHEDULES: &[Entry<dyn Schedule>] = table![dyn Schedule:
    CosineDecay = CosineDecay::new(0.0, 1), ["initial_learning_rate", "decay_steps"];
    CosineDecayRestarts = CosineDecayRestarts::new(0.0, 1),
        ["initial_learning_rate", "first_decay_steps"];
    ExponentialDecay = ExponentialDecay::new(0.0, 1, 1.0),
        ["initial_learning_rate", "decay_steps", "decay_rate"];
    InverseTimeDecay = InverseTimeDecay::new(0.0, 1, 1.0),
        ["initial_learning_rate", "decay_steps", "decay_rate"];
    PiecewiseConstantDecay = PiecewiseConstantDecay::new([], []), ["boundaries", "values"];
    PolynomialDecay = PolynomialDecay::new(0.0, 1), ["initial_learning_rate", "decay_steps"];
];

/// A number of steps. Programs in Python often give a fraction, such as epochs·samples/batch_size;
/// a whole number is written without a point, as there.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(from = "f64", into = "serde_json::Value")]
struct Steps(f64);

impl From<u64> for Steps {
    fn from(steps: u64) -> Self {
        Self(steps as f64)
    }
}

impl From<f64> for Steps {
    fn from(steps: f64) -> Self {
        Self(steps)
    }
}

impl From<Steps> for serde_json::Value {
    fn from(Steps(steps): Steps) -> Self {
        let whole = steps as u64;
        if whole as f64 == steps {
            return whole.into();
        }
        steps.into()
    }
}

/// An error unless there is a step.
fn check_steps(argument: &str, steps: Steps) -> Result<()> {
    check_above_zero(argument, steps.0, "give the steps of some epochs")
}

/// An error unless a rate or a factor of it is a finite number of at least 0.
fn check_rate(argument: &str, rate: f64) -> Result<()> {
    check_at_least_zero(argument, rate, "from 0 to 1")
}

/// A learning rate: a number, or a schedule. Both become one where an optimizer asks for it.
#[derive(Debug, Clone)]
pub struct LearningRate(Rate);

#[derive(Debug, Clone)]
enum Rate {
    Fixed(f64),
    Scheduled(Arc<dyn Schedule>),
}

impl From<f64> for LearningRate {
    fn from(learning_rate: f64) -> Self {
        Self(Rate::Fixed(learning_rate))
    }
}

impl<S: Schedule + 'static> From<S> for LearningRate {
    fn from(schedule: S) -> Self {
        Self(Rate::Scheduled(Arc::new(schedule)))
    }
}

impl From<Box<dyn Schedule>> for LearningRate {
    fn from(schedule: Box<dyn Schedule>) -> Self {
        Self(Rate::Scheduled(Arc::from(schedule)))
    }
}

impl LearningRate {
    /// The learning rate of step `step`, counted from 0.
    pub(super) fn at(&self, step: u64) -> f64 {
        match &self.0 {
            Rate::Fixed(learning_rate) => *learning_rate,
            Rate::Scheduled(schedule) => schedule.learning_rate(step),
        }
    }

    pub(super) fn schedule(&self) -> Option<&dyn Schedule> {
        match &self.0 {
            Rate::Fixed(_) => None,
            Rate::Scheduled(schedule) => Some(&**schedule),
        }
    }

    /// An error when an argument is out of range.
    pub(super) fn check(&self) -> Result<()> {
        match &self.0 {
            Rate::Fixed(learning_rate) => check_learning_rate(*learning_rate),
            Rate::Scheduled(schedule) => schedule.check(),
        }
    }
}

impl Serialize for LearningRate {
    fn serialize<S: serde::Serializer>(&self, to: S) -> std::result::Result<S::Ok, S::Error> {
        match &self.0 {
            Rate::Fixed(learning_rate) => learning_rate.serialize(to),
            Rate::Scheduled(schedule) => schedule.serialize(to),
        }
    }
}

impl<'de> Deserialize<'de> for LearningRate {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> std::result::Result<Self, D::Error> {
        let value = serde_json::Value::deserialize(from)?;
        if let Some(learning_rate) = value.as_f64() {
            return Ok(learning_rate.into());
        }
        let made = crate::config::make("schedule", SCHEDULES, &value);
        made.map(Self::from).map_err(serde::de::Error::custom)
    }
}
