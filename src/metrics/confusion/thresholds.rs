use crate::{Error, Result, metrics::check_share};
use serde::{Deserialize, Serialize};

/// One threshold or several, each from 0 to 1. A metric has a value for each.
///
/// `0.5`, `[0.25, 0.75]` and a `Vec` become one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Thresholds {
    /// One threshold.
    One(f64),
    /// Several thresholds, in the order of their values.
    Several(Vec<f64>),
}

impl From<f64> for Thresholds {
    fn from(threshold: f64) -> Self {
        Self::One(threshold)
    }
}

impl<const N: usize> From<[f64; N]> for Thresholds {
    fn from(thresholds: [f64; N]) -> Self {
        Self::Several(thresholds.to_vec())
    }
}

impl From<Vec<f64>> for Thresholds {
    fn from(thresholds: Vec<f64>) -> Self {
        Self::Several(thresholds)
    }
}

impl Thresholds {
    pub(super) fn as_slice(&self) -> &[f64] {
        match self {
            Self::One(threshold) => std::slice::from_ref(threshold),
            Self::Several(thresholds) => thresholds,
        }
    }

    /// An error unless there are some, each from 0 to 1.
    pub(super) fn check(&self) -> Result<()> {
        if self.as_slice().is_empty() {
            let advice = "leave them out for Keras's default";
            return Err(Error::argument(
                "thresholds",
                "at least one",
                "none",
                advice,
            ));
        }
        let mut thresholds = self.as_slice().iter();
        thresholds.try_for_each(|threshold| check_share("thresholds", *threshold))
    }
}

/// The most even thresholds: more than an f32 between 0 and 1 can tell apart in most places, and a
/// count from a file must not fill the memory.
const MOST_EVEN: usize = 1 << 20;

/// An error for more even thresholds than that.
pub(super) fn check_count(num_thresholds: usize) -> Result<()> {
    if num_thresholds <= MOST_EVEN {
        return Ok(());
    }
    let expected = format!("at most {MOST_EVEN}");
    let advice = "Keras has 200";
    Err(Error::argument(
        "num_thresholds",
        expected,
        num_thresholds,
        advice,
    ))
}

/// Thresholds in ascending order. As in Keras they are f32, and an output says yes if it is greater
/// than the threshold.
#[derive(Debug, Clone)]
pub(super) struct Ladder {
    ascending: Vec<f32>,
    /// The place of each threshold in `ascending`, in the order in which they were given.
    places: Vec<usize>,
    steps: Steps,
}

/// How the thresholds below an output are found.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Steps {
    /// By search.
    Uneven,
    /// By Keras's formula for i/(n - 1), which takes outputs into 0 to 1 and rounds in f32. All
    /// numbers exceed the first `least`.
    Even { least: usize },
}

impl Ladder {
    /// Of thresholds as they were given; Keras's formula applies where they are i/(n - 1).
    pub(super) fn new(thresholds: &[f64]) -> Self {
        let even = are_even(thresholds);
        Self::with_steps(
            thresholds,
            if even {
                Steps::Even { least: 0 }
            } else {
                Steps::Uneven
            },
        )
    }

    /// i/(n - 1) for n thresholds; 0.5 for one.
    pub(super) fn even(count: usize) -> Self {
        match count {
            0 | 1 => Self::with_steps(&[0.5], Steps::Uneven),
            _ => Self::with_steps(&even_thresholds(count), Steps::Even { least: 0 }),
        }
    }

    /// i/(n - 1) for n thresholds, the first and the last of them moved outwards by Keras's epsilon
    /// so that all outputs exceed the first, and none the last.
    pub(super) fn even_with_epsilon(count: usize) -> Self {
        Self::with_steps(&widened(even_thresholds(count)), Steps::Even { least: 1 })
    }

    /// Thresholds between the ends 0 and 1, which are moved outwards by Keras's epsilon.
    pub(super) fn between_ends(inner: &[f64]) -> Self {
        let mut thresholds = vec![0.0];
        thresholds.extend(inner);
        thresholds.push(1.0);
        thresholds.sort_by(f64::total_cmp);
        let steps = if are_even(&thresholds) {
            Steps::Even { least: 1 }
        } else {
            Steps::Uneven
        };
        Self::with_steps(&widened(thresholds), steps)
    }

    fn with_steps(thresholds: &[f64], steps: Steps) -> Self {
        let mut order: Vec<usize> = (0..thresholds.len()).collect();
        order.sort_by(|a, b| thresholds[*a].total_cmp(&thresholds[*b]));
        let mut places = vec![0; order.len()];
        for (place, index) in order.iter().enumerate() {
            places[*index] = place;
        }
        Self {
            ascending: order
                .iter()
                .map(|index| thresholds[*index] as f32)
                .collect(),
            places,
            steps,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.ascending.len()
    }

    /// How many thresholds an output is greater than; NaN is greater than none, not even than those
    /// that all numbers exceed.
    pub(super) fn exceeded(&self, output: f32) -> usize {
        match self.steps {
            _ if output.is_nan() => 0,
            Steps::Uneven => self
                .ascending
                .partition_point(|threshold| *threshold < output),
            Steps::Even { least } => {
                let intervals = self.len() - 1;
                let exceeded = (output.clamp(0.0, 1.0) * intervals as f32).ceil();
                (exceeded as usize).clamp(least, intervals)
            }
        }
    }

    /// Values of the ascending thresholds, in the order in which the thresholds were given.
    pub(super) fn in_given_order(&self, ascending: &[f64]) -> Vec<f64> {
        let values = self.places.iter().map(|place| ascending.get(*place));
        values
            .map(|value| value.copied().unwrap_or(f64::NAN))
            .collect()
    }
}

/// i/(n - 1).
fn even_thresholds(count: usize) -> Vec<f64> {
    let count = count.min(MOST_EVEN); // `check_count` says so
    let last = count.saturating_sub(1).max(1) as f64;
    (0..count.max(2)).map(|index| index as f64 / last).collect()
}

/// The same with the first and the last moved outwards by Keras's epsilon.
fn widened(mut thresholds: Vec<f64>) -> Vec<f64> {
    if let Some(first) = thresholds.first_mut() {
        *first -= crate::losses::EPSILON;
    }
    if let Some(last) = thresholds.last_mut() {
        *last += crate::losses::EPSILON;
    }
    thresholds
}

/// Whether three or more thresholds are i/(n - 1), by numpy's `allclose`.
fn are_even(thresholds: &[f64]) -> bool {
    let even = even_thresholds(thresholds.len());
    let mut pairs = thresholds.iter().zip(even);
    thresholds.len() >= 3
        && pairs.all(|(given, even)| (given - even).abs() <= crate::losses::EPSILON + 1e-5 * even)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_output_equal_to_a_threshold_does_not_exceed_it() {
        for thresholds in [vec![0.0, 0.25, 0.5, 0.75, 1.0], vec![0.0, 0.25, 0.5]] {
            let ladder = Ladder::new(&thresholds);
            assert_eq!([0.0, 0.25, 0.3].map(|p| ladder.exceeded(p)), [0, 1, 2]);
            assert_eq!(ladder.exceeded(f32::NAN), 0);
        }
        assert_eq!(
            Ladder::new(&[0.0, 0.25, 0.5, 0.75, 1.0]).steps,
            Steps::Even { least: 0 }
        );
        assert_eq!(Ladder::new(&[0.0, 0.25, 0.5]).steps, Steps::Uneven);
    }

    #[test]
    fn every_output_exceeds_the_first_threshold_of_an_area_and_none_the_last() {
        for ladder in [
            Ladder::even_with_epsilon(5),
            Ladder::between_ends(&[0.5, 0.25, 0.75]),
            Ladder::between_ends(&[0.2, 0.5, 0.6]),
        ] {
            assert_eq!(ladder.len(), 5);
            assert_eq!([0.0, 1.0].map(|p| ladder.exceeded(p)), [1, 4]);
            assert_eq!(ladder.exceeded(f32::NAN), 0);
        }
    }

    #[test]
    fn values_come_in_the_order_of_the_given_thresholds() {
        let ladder = Ladder::new(&[0.6, 0.2, 0.5]);
        assert_eq!(ladder.in_given_order(&[1.0, 2.0, 3.0]), [3.0, 1.0, 2.0]);
    }
}
