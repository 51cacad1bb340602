//! Checks of the arguments that losses are made with: `fit` and `evaluate` ask for them.

use crate::{Axes, Error, Result};
use std::ops::RangeInclusive;

/// An error unless `value` lies within a range.
pub(super) fn within(
    argument: &str,
    value: f64,
    range: RangeInclusive<f64>,
    advice: &str,
) -> Result<()> {
    if range.contains(&value) {
        return Ok(());
    }
    let expected = format!("a number from {} to {}", range.start(), range.end());
    Err(Error::argument(argument, expected, value, advice))
}

/// An error unless `value` is at least 0.
pub(super) fn not_negative(argument: &str, value: f64, advice: &str) -> Result<()> {
    if value.is_finite() && value >= 0.0 {
        return Ok(());
    }
    Err(Error::argument(
        argument,
        "a number of at least 0",
        value,
        advice,
    ))
}

/// An error unless `value` is above 0.
pub(super) fn positive(argument: &str, value: f64, advice: &str) -> Result<()> {
    if value.is_finite() && value > 0.0 {
        return Ok(());
    }
    Err(Error::argument(argument, "a number above 0", value, advice))
}

/// An error unless targets can be smoothed by `value`.
pub(super) fn smoothing(value: f64) -> Result<()> {
    within(
        "label_smoothing",
        value,
        0.0..=1.0,
        "0 leaves the targets as they are",
    )
}

/// An error unless outputs of (None, `output_shape`) have the axes.
pub(super) fn axes(axes: &Axes, output_shape: &[usize]) -> Result<()> {
    axes.resolve(output_shape.len() + 1).map(drop)
}
