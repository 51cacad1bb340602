//! Metrics of right and wrong answers of yes and no at thresholds.

mod area;
mod constrained;
mod counts;
mod precision;
mod recall;
mod selection;
mod thresholds;

pub use area::{Auc, Curve, SummationMethod};
pub use constrained::{
    PrecisionAtRecall, RecallAtPrecision, SensitivityAtSpecificity, SpecificityAtSensitivity,
};
pub use counts::{FalseNegatives, FalsePositives, TrueNegatives, TruePositives};
pub use precision::Precision;
pub use recall::Recall;
pub use thresholds::Thresholds;

use super::tally::{Batch, Tally};
use super::{Counter, shapes};
use crate::{Error, Result, error::batched};
use std::fmt::Debug;
use thresholds::Ladder;

/// Which outputs are looked at, and as what.
#[derive(Debug, Clone, Default)]
struct View {
    /// The others of a row say no, whatever the threshold.
    top_k: Option<usize>,
    /// One column alone.
    class_id: Option<usize>,
    /// Every column has counts of its own.
    multi_label: bool,
    /// A weight for each column.
    label_weights: Option<Vec<f64>>,
    /// Outputs are the inputs of a sigmoid.
    from_logits: bool,
}

/// Right and wrong answers at each threshold.
#[derive(Debug, Clone, PartialEq)]
struct Counts {
    true_positives: Vec<f64>,
    false_positives: Vec<f64>,
    true_negatives: Vec<f64>,
    false_negatives: Vec<f64>,
}

/// A metric's numbers from its counts.
trait Summary: Debug + Send + Sync {
    /// From the counts of all outputs, or of each column.
    fn values(&self, counts: &[Counts]) -> Vec<f64>;
}

/// Counts answers by how many thresholds they exceed, from which the counts at every threshold
/// follow.
#[derive(Debug)]
struct Confusion<S> {
    ladder: Ladder,
    view: View,
    summary: S,
    /// For each column that has counts of its own.
    columns: Vec<Column>,
}

/// The weights of targets of yes, and of no, whose outputs exceed 0, 1, 2, .. thresholds.
#[derive(Debug, Clone)]
struct Column {
    positives: Vec<f64>,
    negatives: Vec<f64>,
}

impl Column {
    fn new(thresholds: usize) -> Self {
        Self {
            positives: vec![0.0; thresholds + 1],
            negatives: vec![0.0; thresholds + 1],
        }
    }

    /// The counts at every threshold, in ascending order.
    fn counts(&self) -> Counts {
        let (false_negatives, true_positives) = below_and_above(&self.positives);
        let (true_negatives, false_positives) = below_and_above(&self.negatives);
        Counts {
            true_positives,
            false_positives,
            true_negatives,
            false_negatives,
        }
    }
}

/// For each threshold the weights of what does not exceed it, and of what does, from those of what
/// exceeds 0, 1, 2, .. thresholds.
fn below_and_above(exceeding: &[f64]) -> (Vec<f64>, Vec<f64>) {
    let mut below: Vec<f64> = exceeding.to_vec();
    let mut above: Vec<f64> = exceeding.to_vec();
    for index in 1..exceeding.len() {
        below[index] += below[index - 1];
    }
    for index in (1..exceeding.len()).rev() {
        above[index - 1] += above[index];
    }
    below.truncate(exceeding.len().saturating_sub(1));
    above.drain(..1.min(exceeding.len()));
    (below, above)
}

impl<S: Summary> Confusion<S> {
    fn new(ladder: Ladder, view: View, summary: S) -> Self {
        Self {
            ladder,
            view,
            summary,
            columns: Vec::new(),
        }
    }

    /// Counts one row of outputs, in which `chosen` are looked at.
    fn add_row(&mut self, batch: &Batch<'_>, start: usize, chosen: &[bool]) {
        for (column, in_top_k) in chosen.iter().enumerate() {
            if self
                .view
                .class_id
                .is_some_and(|class_id| class_id != column)
            {
                continue;
            }
            let index = start + column;
            let (Some(y), Some(p)) = (batch.y_true.get(index), batch.y_pred.get(index)) else {
                return;
            };
            let exceeded = match (in_top_k, self.view.from_logits) {
                (false, _) => 0,
                (true, false) => self.ladder.exceeded(*p),
                (true, true) => self.ladder.exceeded(1.0 / (1.0 + (-p).exp())),
            };
            // Where labels have areas of their own, these are weighted.
            let label_weights = self.view.label_weights.as_ref();
            let label_weights = label_weights.filter(|_| !self.view.multi_label);
            let label_weight = label_weights.and_then(|weights| weights.get(column));
            let weight = batch.weight(index) * label_weight.copied().unwrap_or(1.0);
            let own = if self.view.multi_label { column } else { 0 };
            let Some(counts) = self.columns.get_mut(own) else {
                return;
            };
            let side = if *y == 0.0 {
                &mut counts.negatives
            } else {
                &mut counts.positives
            };
            side[exceeded] += weight;
        }
    }
}

impl<S: Summary> Tally for Confusion<S> {
    fn check(&self, target: &[usize], output: &[usize]) -> Result<()> {
        shapes::same(target, output)?;
        let output = shapes::compared(target, output);
        let classes = output.last().copied().unwrap_or(1);
        let View {
            top_k,
            class_id,
            multi_label,
            label_weights,
            ..
        } = &self.view;
        if let Some(k) = top_k.filter(|k| *k > classes) {
            let expected = format!("at most {classes}, the number of classes");
            return Err(Error::argument(
                "top_k",
                expected,
                k,
                "look at fewer outputs",
            ));
        }
        if let Some(class_id) = class_id.filter(|class_id| *class_id >= classes) {
            let expected = format!("an index below {classes}, the number of classes");
            let advice = "classes count from 0";
            return Err(Error::argument("class_id", expected, class_id, advice));
        }
        if *multi_label && output.len() != 1 {
            let advice =
                "multi_label counts the columns of a matrix: a Flatten layer may be missing";
            let got = batched(output);
            return Err(Error::argument("outputs", "(None, labels)", got, advice));
        }
        match label_weights {
            Some(weights) if weights.len() != classes => {
                let expected = format!("{classes} numbers, one for each label");
                let advice = "give every label a weight";
                Err(Error::argument(
                    "label_weights",
                    expected,
                    weights.len(),
                    advice,
                ))
            }
            _ => Ok(()),
        }
    }

    fn add(&mut self, batch: &Batch<'_>) {
        let width = batch.width();
        let columns = if self.view.multi_label { width } else { 1 };
        let thresholds = self.ladder.len();
        self.columns
            .resize_with(columns, || Column::new(thresholds));
        let mut chosen = vec![true; width];
        for start in (0..batch.y_pred.len()).step_by(width.max(1)) {
            if let Some(k) = self.view.top_k
                && let Some(row) = batch.y_pred.get(start..start + width)
            {
                choose_greatest(row, k, &mut chosen);
            }
            self.add_row(batch, start, &chosen);
        }
    }

    fn values(&self) -> Vec<f64> {
        let mut counts: Vec<Counts> = self.columns.iter().map(Column::counts).collect();
        if counts.is_empty() {
            counts.push(Column::new(self.ladder.len()).counts());
        }
        self.summary.values(&counts)
    }

    fn sums(&self) -> Vec<f64> {
        let columns = self.columns.iter();
        let sums = columns.flat_map(|column| column.positives.iter().chain(&column.negatives));
        sums.copied().collect()
    }

    fn restore(&mut self, sums: &[f64]) -> bool {
        let steps = self.ladder.len() + 1;
        let columns = sums.chunks_exact(2 * steps);
        let whole = columns.remainder().is_empty();
        let columns = columns.map(|sums| Column {
            positives: sums[..steps].to_vec(),
            negatives: sums[steps..].to_vec(),
        });
        self.columns = columns.collect();
        whole
    }
}

/// Chooses the k greatest numbers of a row; of equal ones the first, and NaN last.
fn choose_greatest(row: &[f32], k: usize, chosen: &mut [bool]) {
    let mut order: Vec<usize> = (0..row.len()).collect();
    let size = |index: usize| match row[index] {
        number if number.is_nan() => f32::NEG_INFINITY,
        number => number,
    };
    order.sort_by(|a, b| size(*b).total_cmp(&size(*a)));
    chosen.fill(false);
    for index in order.into_iter().take(k) {
        chosen[index] = true;
    }
}

/// a / b, and 0 where b is: Keras's `divide_no_nan`.
fn ratio(a: f64, b: f64) -> f64 {
    if b == 0.0 { 0.0 } else { a / b }
}

/// The share of `a` in `a + b` at every threshold.
fn shares(a: &[f64], b: &[f64]) -> Vec<f64> {
    a.iter().zip(b).map(|(a, b)| ratio(*a, a + b)).collect()
}

fn counter<S: Summary + 'static>(confusion: Confusion<S>) -> Box<dyn Counter> {
    Box::new(super::tally::TallyCounter::new(confusion))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::Metric;
    use candle_core::{Device, Tensor};

    #[test]
    fn counts_at_thresholds_follow_from_how_many_are_exceeded() {
        let (below, above) = below_and_above(&[1.0, 2.0, 4.0]);
        assert_eq!(below, [1.0, 3.0]);
        assert_eq!(above, [6.0, 4.0]);
    }

    #[test]
    fn of_equal_outputs_the_first_are_among_the_greatest() {
        let mut chosen = [true; 4];
        choose_greatest(&[0.2, 0.5, 0.2, 0.1], 2, &mut chosen);
        assert_eq!(chosen, [true, true, false, false]);
        choose_greatest(&[f32::NAN, 0.9, 0.8, 0.1], 1, &mut chosen);
        assert_eq!(chosen, [false, true, false, false]);
    }

    /// Numbers of Keras 3.15.1 on TensorFlow.
    #[test]
    fn an_output_that_is_nan_says_no_at_every_threshold() {
        let counted = |metric: &dyn Metric, y_true: [f32; 4]| {
            let mut counter = metric.counter();
            let y_true = Tensor::new(&y_true, &Device::Cpu).unwrap();
            let y_pred = Tensor::new(&[f32::NAN, 0.9, 0.8, 0.1], &Device::Cpu).unwrap();
            counter.update(&y_true, &y_pred, None).unwrap();
            counter.values().unwrap()
        };
        for (area, expected) in [
            (Auc::new(), [0.5, 2.0 / 3.0]),
            (Auc::new().curve(Curve::Pr), [1.0, 2.0 / 3.0]),
            (Auc::new().thresholds([0.3, 0.7]), [0.5, 2.0 / 3.0]),
            (Auc::new().num_thresholds(3), [0.5, 2.0 / 3.0]),
        ] {
            let no = counted(&area, [0.0, 1.0, 1.0, 0.0]);
            let yes = counted(&area, [1.0, 1.0, 1.0, 0.0]);
            assert!((no[0] - expected[0]).abs() < 1e-6, "{area:?}: {no:?}");
            assert!((yes[0] - expected[1]).abs() < 1e-6, "{area:?}: {yes:?}");
        }
        let thresholds = [0.0, 0.5, 1.0];
        let missed = FalseNegatives::new().thresholds(thresholds);
        assert_eq!(counted(&missed, [1.0, 1.0, 1.0, 0.0]), [1.0, 1.0, 3.0]);
        let wrong = FalsePositives::new().thresholds(thresholds);
        assert_eq!(counted(&wrong, [0.0, 1.0, 1.0, 0.0]), [1.0, 0.0, 0.0]);
    }
}
