use super::{Schedule, Steps, check_rate};
use crate::{Config, Error, Result};
use serde::{Deserialize, Serialize};

/// A learning rate that stays the same between boundaries: the first of `values` up to and with the
/// first boundary's step, the second up to and with the second's, the last after all of them.
///
/// ```
/// use candle_keras::optimizers::schedules::{PiecewiseConstantDecay, Schedule};
/// let schedule = PiecewiseConstantDecay::new([100, 200], [0.1, 0.01, 0.001]);
/// assert_eq!(schedule.learning_rate(100), 0.1);
/// assert_eq!(schedule.learning_rate(101), 0.01);
/// assert_eq!(schedule.learning_rate(1000), 0.001);
/// ```
///
/// # Errors
/// `compile` fails unless the boundaries ascend and there is one value more, none of them below 0.
///
/// Keras: `PiecewiseConstantDecay`, which adds values up where boundaries do not ascend.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct PiecewiseConstantDecay {
    boundaries: Vec<Steps>,
    values: Vec<f64>,
}

impl PiecewiseConstantDecay {
    /// The `values`, which change after the steps `boundaries`.
    pub fn new(
        boundaries: impl IntoIterator<Item = u64>,
        values: impl IntoIterator<Item = f64>,
    ) -> Self {
        Self {
            boundaries: boundaries.into_iter().map(Steps::from).collect(),
            values: values.into_iter().collect(),
        }
    }
}

impl Schedule for PiecewiseConstantDecay {
    fn learning_rate(&self, step: u64) -> f64 {
        let passed = |boundary: &&Steps| step as f64 > boundary.0;
        let index = self.boundaries.iter().filter(passed).count();
        let value = self.values.get(index).or(self.values.last());
        value.copied().unwrap_or_default()
    }

    fn check(&self) -> Result<()> {
        let (boundaries, values) = (self.boundaries.len(), self.values.len());
        if values != boundaries + 1 {
            let expected = format!("{}, one more than boundaries", boundaries + 1);
            let advice = "give a value before the first boundary and one after each";
            return Err(Error::argument("values", expected, values, advice));
        }
        let ascend = |pair: &[Steps]| pair[0].0 < pair[1].0;
        if boundaries == 0 || !self.boundaries.windows(2).all(ascend) {
            let got = self.boundaries.iter().map(|boundary| boundary.0);
            let got = format!("{:?}", got.collect::<Vec<_>>());
            let advice = "give at least one, each greater than the one before";
            return Err(Error::argument(
                "boundaries",
                "ascending steps",
                got,
                advice,
            ));
        }
        let mut values = self.values.iter();
        values.try_for_each(|value| check_rate("values", *value))
    }

    fn config(&self) -> Option<Config> {
        Config::of_keras("PiecewiseConstantDecay", self)
    }
}
