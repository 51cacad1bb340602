use super::{Logs, step::TestStep};
use crate::{
    Error, Result,
    error::tuple,
    losses::spread,
    metrics::{Counter, Metric, RunningMean},
    saving::Number,
};
use candle_core::Tensor;
use std::collections::{HashMap, HashSet};

/// The loss and the metrics of the samples so far in an epoch or an evaluation.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    loss: RunningMean,
    metrics: Vec<Counted>,
}

/// A metric of which samples are counted.
#[derive(Debug)]
struct Counted {
    name: String,
    weighted: bool,
    counter: Box<dyn Counter>,
}

impl Counters {
    /// Counters that have seen no sample.
    pub(crate) fn new(metrics: &[Box<dyn Metric>]) -> Self {
        let counted = metrics
            .iter()
            .zip(log_names(metrics))
            .map(|(metric, name)| Counted {
                name,
                weighted: metric.weighted(),
                counter: metric.counter(),
            });
        Self {
            loss: RunningMean::default(),
            metrics: counted.collect(),
        }
    }

    /// Whether a metric reads outputs.
    pub(crate) fn reads_outputs(&self) -> bool {
        !self.metrics.is_empty()
    }

    /// Counts the loss of a batch of `samples`, which is the sum of all terms, each (numbers to sum
    /// up, factor). `Some(false)` where the loss is known not to be finite, `None` where a device
    /// would have to be waited for.
    pub(crate) fn add_loss<'a>(
        &mut self,
        terms: impl Iterator<Item = &'a (Tensor, f64)>,
        samples: usize,
    ) -> Result<Option<bool>> {
        let sum = self.loss.add_terms(terms, samples as f64)?;
        Ok(sum.map(f64::is_finite))
    }

    /// Counts a batch of an evaluation; `penalties` are those of the weights.
    pub(crate) fn add_step(&mut self, step: &TestStep, penalties: &[(Tensor, f64)]) -> Result<()> {
        self.add_loss(step.terms.iter().chain(penalties), step.samples)?;
        let (weights, mask) = (step.sample_weight.as_ref(), step.mask.as_ref());
        self.update(&step.y_true, &step.y_pred, weights, mask)
    }

    /// Counts the metrics of a batch: all samples alike, or by their weights in a weighted metric,
    /// and no step that is masked.
    pub(crate) fn update(
        &mut self,
        y_true: &Tensor,
        y_pred: &Tensor,
        sample_weight: Option<&Tensor>,
        mask: Option<&Tensor>,
    ) -> Result<()> {
        for metric in &mut self.metrics {
            let weights = sample_weight.filter(|_| metric.weighted);
            let weights = match (weights, mask) {
                (Some(weights), Some(mask)) => Some((spread(weights, mask)? * mask)?),
                (weights, mask) => weights.or(mask).cloned(),
            };
            metric
                .counter
                .update(y_true, y_pred, weights.as_ref())
                .map_err(|error| misfit_of_mask(error, mask))
                .map_err(|error| Error::of_part("metric", &metric.name, error))?;
        }
        Ok(())
    }

    /// The numbers so far. Waits for the device.
    pub(crate) fn logs(&mut self) -> Result<Logs> {
        let mut logs = Logs::default();
        logs.insert("loss", self.loss()?);
        for Counted { name, counter, .. } in &mut self.metrics {
            logs.insert_values(name.as_str(), counter.values()?);
        }
        logs.sort();
        Ok(logs)
    }

    /// What was counted so far, of the loss and then of every metric; none of one that gives none.
    /// Waits for the device.
    pub(crate) fn state(&mut self) -> Result<Vec<Option<Vec<Number>>>> {
        let mut states = vec![self.loss.state()?];
        for metric in &mut self.metrics {
            states.push(metric.counter.state()?);
        }
        let numbers = |state: Vec<f64>| state.into_iter().map(Number).collect();
        Ok(states.into_iter().map(|state| state.map(numbers)).collect())
    }

    /// Goes on from what [`state`](Self::state) gave; what gives none counts anew.
    ///
    /// # Errors
    /// What is wrong with the numbers, where they are none that the loss or a metric has counted.
    pub(crate) fn restore(
        &mut self,
        states: &[Option<Vec<Number>>],
    ) -> std::result::Result<(), String> {
        let expected = 1 + self.metrics.len();
        if states.len() != expected {
            let got = states.len();
            return Err(format!(
                "expected {expected}, of the loss and of each metric, got {got}"
            ));
        }
        let numbers = |state: &Vec<Number>| -> Vec<f64> {
            state.iter().map(|Number(number)| *number).collect()
        };
        let wrong = |what: &str, state: &[f64]| {
            let got = state.len();
            format!("expected numbers that {what} has counted, got {got} that it has not")
        };
        let mut states = states.iter().map(|state| state.as_ref().map(numbers));
        let state = states.next().flatten().unwrap_or_default();
        if !self.loss.restore(&state) {
            return Err(wrong("the loss", &state));
        }
        for (metric, state) in self.metrics.iter_mut().zip(states) {
            let state = state.filter(|state| !metric.counter.restore(state));
            if let Some(state) = state {
                return Err(wrong(&format!("the metric `{}`", metric.name), &state));
            }
        }
        Ok(())
    }

    /// The loss so far; NaN before the first batch, as 0 would be taken for a perfect one. Waits
    /// for the device.
    pub(crate) fn loss(&mut self) -> Result<f64> {
        self.loss.result_of_some()
    }

    /// The index of the first batch whose loss is not finite, as far as it was read: at once on
    /// the CPU, with the next `logs` elsewhere.
    pub(crate) fn first_not_finite(&self) -> Option<usize> {
        self.loss.first_not_finite()
    }
}

/// What a metric says of weights that do not fit, where a mask is what it was given for them.
fn misfit_of_mask(error: Error, mask: Option<&Tensor>) -> Error {
    match (error, mask) {
        (
            Error::Argument {
                argument, expected, ..
            },
            Some(mask),
        ) if argument == "sample_weight" => Error::argument(
            "mask",
            expected,
            tuple(mask.dims()),
            "a masked step needs a value of its own: give targets the outputs' axes, and take a \
             metric's values over the last axis alone",
        ),
        (error, _) => error,
    }
}

/// The names of metrics in logs, as in Keras: a second of one name is numbered, `accuracy_1`, and a
/// weighted one of a name that an unweighted one has is `weighted_accuracy`.
pub(crate) fn log_names(metrics: &[Box<dyn Metric>]) -> Vec<String> {
    let unweighted = metrics.iter().filter(|metric| !metric.weighted());
    let unweighted: HashSet<&str> = unweighted.map(|metric| metric.name()).collect();
    let mut counts: HashMap<(&str, bool), usize> = HashMap::new();
    let named = metrics.iter().map(|metric| {
        let (own, weighted) = (metric.name(), metric.weighted());
        let name = match weighted && unweighted.contains(own) {
            true => format!("weighted_{own}"),
            false => own.to_string(),
        };
        let count = counts.entry((own, weighted)).or_default();
        *count += 1;
        match *count {
            1 => name,
            count => format!("{name}_{}", count - 1),
        }
    });
    named.collect()
}
