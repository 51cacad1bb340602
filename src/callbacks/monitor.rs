//! What the callbacks share that watch a number of the logs.

use crate::{
    Error, Result, Sequential,
    error::known,
    metrics::{Direction, Metric},
    printing::warn,
    training::{Logs, log_names},
};
use std::fmt;

/// Which way a number that a callback watches goes when the model gets better.
///
/// Keras: the argument `mode`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Mode {
    /// As the loss or the metric of that name says: a loss gets smaller, an accuracy greater.
    #[default]
    Auto,
    /// Smaller is better.
    Min,
    /// Greater is better.
    Max,
}

/// Which way is better, once that is known.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Better {
    Smaller,
    Greater,
}

/// A number of the logs that is watched, and the best of it so far.
#[derive(Debug, Clone)]
pub(super) struct Monitor {
    name: String,
    mode: Mode,
    min_delta: f64,
    better: Option<Better>,
    pub(super) best: Option<f64>,
    warned: bool,
}

impl Monitor {
    /// Of what improves by more than `min_delta`; the first number is the best of all before it.
    pub(super) fn new(min_delta: f64) -> Self {
        Self {
            name: "val_loss".to_string(),
            mode: Mode::Auto,
            min_delta,
            better: None,
            best: None,
            warned: false,
        }
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn rename(&mut self, name: impl Into<String>) {
        self.name = name.into();
    }

    pub(super) fn mode(&mut self, mode: Mode) {
        self.mode = mode;
    }

    pub(super) fn min_delta(&mut self, min_delta: f64) {
        self.min_delta = min_delta;
    }

    /// Finds out which way is better.
    ///
    /// # Errors
    /// When an argument is out of range, or no metric of the model says it.
    pub(super) fn begin(&mut self, model: &Sequential) -> Result<()> {
        check_finite("min_delta", self.min_delta)?;
        self.warned = false;
        self.better = Some(match self.mode {
            Mode::Min => Better::Smaller,
            Mode::Max => Better::Greater,
            Mode::Auto => self.better_in(model)?,
        });
        Ok(())
    }

    fn better_in(&self, model: &Sequential) -> Result<Better> {
        let name = self.name.strip_prefix("val_").unwrap_or(&self.name);
        if name == "loss" {
            return Ok(Better::Smaller);
        }
        let metrics = &model.compiled("fit")?.metrics;
        let mut named = metrics.iter().zip(log_names(metrics));
        let found = named.find(|(_, log)| log == name);
        match found.and_then(|(metric, _)| better(&**metric)) {
            Some(better) => Ok(better),
            None => Err(self.unknown(metrics)),
        }
    }

    fn unknown(&self, metrics: &[Box<dyn Metric>]) -> Error {
        let names = log_names(metrics);
        let sure = metrics
            .iter()
            .zip(&names)
            .filter(|(metric, _)| better(&***metric).is_some());
        let names = ["loss"]
            .into_iter()
            .chain(sure.map(|(_, name)| name.as_str()));
        let expected = format!(
            "the name of a loss or metric that is known to rise or fall, with or without `val_`: {}",
            known(names)
        );
        let advice = "say which way is better with .mode(Mode::Min) or .mode(Mode::Max)";
        Error::argument("monitor", expected, format!("`{}`", self.name), advice)
    }

    /// The number in the logs of an epoch. Where there is none, `warning` goes to standard error
    /// with the names that there are, once in a training.
    pub(super) fn value(&mut self, logs: &Logs, warning: impl fmt::Display) -> Option<f64> {
        let value = logs.get(&self.name);
        if value.is_none() && !self.warned {
            self.warned = true;
            let names: Vec<&str> = logs.iter().map(|(name, _)| name).collect();
            warn(&format!(
                "{warning} Available metrics are: {}",
                names.join(",")
            ));
        }
        value
    }

    /// Takes a number that is better than the best so far; whether it is.
    pub(super) fn improve(&mut self, value: f64) -> bool {
        let improved = self.best.is_none_or(|best| self.is_better(value, best));
        if improved {
            self.best = Some(value);
        }
        improved
    }

    /// Whether `value` is better than `than` by more than `min_delta`, both rounded to f32 as in
    /// Keras: what differs by less is noise. NaN neither is better nor can be bettered.
    pub(super) fn is_better(&self, value: f64, than: f64) -> bool {
        let delta = self.min_delta.abs();
        match self.better {
            Some(Better::Greater) => (value - delta) as f32 > than as f32,
            _ => ((value + delta) as f32) < than as f32,
        }
    }
}

/// Which way a metric goes when the model gets better.
fn better(metric: &dyn Metric) -> Option<Better> {
    metric.direction().map(|direction| match direction {
        Direction::Up => Better::Greater,
        Direction::Down => Better::Smaller,
    })
}

/// An error unless a number is finite.
pub(super) fn check_finite(argument: &str, value: f64) -> Result<()> {
    if value.is_finite() {
        return Ok(());
    }
    let advice = "leave it out for Keras's default";
    Err(Error::argument(argument, "a finite number", value, advice))
}

/// An error unless the learning rate can be set: before the first epoch, not at the first plateau.
pub(super) fn check_learning_rate(callback: &str, model: &mut Sequential) -> Result<()> {
    let learning_rate = model.learning_rate()?;
    let set = model.set_learning_rate(learning_rate);
    set.map_err(|error| Error::of_part("callback", callback, error))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn monitor(mode: Mode, min_delta: f64) -> Monitor {
        let mut monitor = Monitor::new(min_delta);
        monitor.mode(mode);
        monitor.begin(&Sequential::new()).unwrap();
        monitor
    }

    fn improvements(mut monitor: Monitor, values: &[f64]) -> Vec<bool> {
        values.iter().map(|value| monitor.improve(*value)).collect()
    }

    #[test]
    fn only_what_is_strictly_better_by_more_than_min_delta_is_an_improvement() {
        let falling = [1.0, 1.0, 0.75, 0.5, 0.75];
        assert_eq!(
            improvements(monitor(Mode::Min, 0.0), &falling),
            [true, false, true, true, false]
        );
        assert_eq!(
            improvements(monitor(Mode::Min, 0.25), &falling),
            [true, false, false, true, false]
        );
        assert_eq!(
            improvements(monitor(Mode::Max, -0.25), &[1.0, 1.25, 1.5]),
            [true, false, true]
        );
        assert_eq!(
            improvements(monitor(Mode::Auto, 0.0), &[1.0, 0.5]),
            [true, true]
        );
    }

    #[test]
    fn what_is_less_than_the_rounding_of_f32_is_no_improvement() {
        assert_eq!(
            improvements(monitor(Mode::Min, 0.0), &[1.0, 1.0 - 1e-9]),
            [true, false]
        );
    }

    #[test]
    fn a_first_nan_stays_the_best() {
        let values = [f64::NAN, 1.0, f64::NAN];
        assert_eq!(
            improvements(monitor(Mode::Min, 0.0), &values),
            [true, false, false]
        );
        assert_eq!(
            improvements(monitor(Mode::Max, 0.0), &[1.0, f64::NAN, 2.0]),
            [true, false, true]
        );
    }
}
