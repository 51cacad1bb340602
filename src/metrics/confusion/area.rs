use super::precision::precision;
use super::recall::recall;
use super::{Confusion, Counts, Ladder, Summary, View, counter, ratio, shares};
use crate::metrics::base::{Base, default_is_new, metric_access, metric_setters};
use crate::metrics::{Counter, Direction, Metric, check_share, shapes, tally::Tally};
use crate::{Error, Result};
use serde::{Deserialize, Serialize};

/// The curve under which [`Auc`] is the area.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub enum Curve {
    /// The share of targets of yes that are found, over the share of those of no that are missed:
    /// receiver operating characteristic.
    #[default]
    #[serde(rename = "ROC", alias = "roc")]
    Roc,
    /// Precision over recall.
    #[serde(rename = "PR", alias = "pr")]
    Pr,
    /// Precision gain over recall gain (Flach and Kull, 2015).
    #[serde(rename = "PRGAIN", alias = "prgain")]
    PrGain,
}

/// The heights of the rectangles whose sum is the area.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SummationMethod {
    /// The middle of both ends; under precision over recall, true and false positives are
    /// interpolated, and not their ratio (Davis and Goadrich, 2006).
    #[default]
    #[serde(alias = "Interpolation")]
    Interpolation,
    /// The greater end.
    #[serde(alias = "Majoring")]
    Majoring,
    /// The smaller end.
    #[serde(alias = "Minoring")]
    Minoring,
}

/// The area under a curve of right and wrong answers over all thresholds: how well outputs tell
/// targets of yes from those of no, whatever the threshold. 0.5 is a guess, 1 without a mistake.
///
/// # Shapes
/// `y_true` and `y_pred` (batch, ..), both of one shape, all of which is counted together; with
/// [`multi_label`](Self::multi_label) both (batch, labels).
///
/// # Defaults
/// The ROC curve, interpolated between 200 thresholds: i/199, the first and the last of them moved
/// outwards by 1e-7.
///
/// ```
/// use candle_keras::{metrics::{Auc, Metric}, prelude::*};
/// # fn main() -> anyhow::Result<()> {
/// let mut area = Auc::new().counter();
/// let y_true = Tensor::new(&[0f32, 0., 1., 1.], &Device::Cpu)?;
/// let y_pred = Tensor::new(&[0f32, 0.5, 0.3, 0.9], &Device::Cpu)?;
/// area.update(&y_true, &y_pred, None)?;
/// assert_eq!(area.result()?, 0.75);
/// # Ok(()) }
/// ```
///
/// # Errors
/// `fit` and `evaluate` fail for fewer than two thresholds or one outside 0 to 1, label weights or
/// `num_labels` that are not as many as labels, and shapes that do not fit.
///
/// Keras: `AUC`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Auc {
    num_thresholds: usize,
    curve: Curve,
    summation_method: SummationMethod,
    thresholds: Option<Vec<f64>>,
    multi_label: bool,
    num_labels: Option<usize>,
    #[serde(deserialize_with = "numbers")]
    label_weights: Option<Vec<f64>>,
    from_logits: bool,
    #[serde(flatten)]
    base: Base,
}

impl Auc {
    /// The area under the ROC curve.
    pub fn new() -> Self {
        Self {
            num_thresholds: 200,
            curve: Curve::default(),
            summation_method: SummationMethod::default(),
            thresholds: None,
            multi_label: false,
            num_labels: None,
            label_weights: None,
            from_logits: false,
            base: Base::new("auc"),
        }
    }

    /// How many thresholds, evenly spaced, the curve is drawn from.
    pub fn num_thresholds(mut self, num_thresholds: usize) -> Self {
        self.num_thresholds = num_thresholds;
        self.thresholds = None;
        self
    }

    /// The thresholds between 0 and 1, which are added, in place of evenly spaced ones.
    pub fn thresholds(mut self, thresholds: impl Into<Vec<f64>>) -> Self {
        let thresholds = thresholds.into();
        self.num_thresholds = thresholds.len() + 2;
        self.thresholds = Some(thresholds);
        self
    }

    /// The curve under which the area is.
    pub fn curve(mut self, curve: Curve) -> Self {
        self.curve = curve;
        self
    }

    /// How the area is summed up.
    pub fn summation_method(mut self, summation_method: SummationMethod) -> Self {
        self.summation_method = summation_method;
        self
    }

    /// Takes the mean of every label's area in place of counting all outputs together.
    pub fn multi_label(mut self) -> Self {
        self.multi_label = true;
        self
    }

    /// How many labels [`multi_label`](Self::multi_label) outputs have; by default as many as
    /// there are.
    pub fn num_labels(mut self, num_labels: usize) -> Self {
        self.num_labels = Some(num_labels);
        self
    }

    /// How much each label counts.
    pub fn label_weights(mut self, label_weights: impl Into<Vec<f64>>) -> Self {
        self.label_weights = Some(label_weights.into());
        self
    }

    /// Takes `y_pred` as logits: the inputs of a sigmoid, not its outputs.
    pub fn from_logits(mut self) -> Self {
        self.from_logits = true;
        self
    }

    metric_setters!();

    fn confusion(&self) -> Confusion<Area> {
        let ladder = match &self.thresholds {
            Some(thresholds) => Ladder::between_ends(thresholds),
            None => Ladder::even_with_epsilon(self.num_thresholds),
        };
        let view = View {
            multi_label: self.multi_label,
            label_weights: self.label_weights.clone(),
            from_logits: self.from_logits,
            ..View::default()
        };
        let summary = Area {
            curve: self.curve,
            summation_method: self.summation_method,
            label_weights: self.label_weights.clone().filter(|_| self.multi_label),
        };
        Confusion::new(ladder, view, summary)
    }

    fn check_arguments(&self, output_shape: &[usize]) -> Result<()> {
        if self.thresholds.is_none() && self.num_thresholds < 2 {
            let (got, advice) = (self.num_thresholds, "Keras has 200");
            return Err(Error::argument("num_thresholds", "at least 2", got, advice));
        }
        super::thresholds::check_count(self.num_thresholds)?;
        let mut thresholds = self.thresholds.iter().flatten();
        thresholds.try_for_each(|threshold| check_share("thresholds", *threshold))?;
        let labels = output_shape.last().copied().unwrap_or(1);
        if let Some(given) = self.num_labels {
            if !self.multi_label {
                let advice = "leave it out, or call .multi_label()";
                let expected = "none without multi_label";
                return Err(Error::argument("num_labels", expected, given, advice));
            }
            if given != labels {
                let expected = format!("{labels}, as many as outputs");
                return Err(Error::argument(
                    "num_labels",
                    expected,
                    given,
                    "leave it out",
                ));
            }
        }
        Ok(())
    }
}

default_is_new!(Auc);

impl Metric for Auc {
    metric_access!("AUC", Some(Direction::Up));

    fn counter(&self) -> Box<dyn Counter> {
        counter(self.confusion())
    }

    fn check(&self, target_shape: &[usize], output_shape: &[usize]) -> Result<()> {
        self.check_arguments(shapes::compared(target_shape, output_shape))?;
        self.confusion().check(target_shape, output_shape)
    }
}

/// The area from counts.
#[derive(Debug)]
struct Area {
    curve: Curve,
    summation_method: SummationMethod,
    /// How much each label's area counts.
    label_weights: Option<Vec<f64>>,
}

impl Summary for Area {
    fn values(&self, counts: &[Counts]) -> Vec<f64> {
        let areas: Vec<f64> = counts.iter().map(|counts| self.area(counts)).collect();
        vec![match &self.label_weights {
            Some(weights) => {
                let weighted = areas
                    .iter()
                    .zip(weights)
                    .map(|(area, weight)| area * weight);
                ratio(weighted.sum(), weights.iter().sum())
            }
            None => areas.iter().sum::<f64>() / areas.len() as f64,
        }]
    }
}

impl Area {
    fn area(&self, counts: &Counts) -> f64 {
        let (x, y) = match (self.curve, self.summation_method) {
            (Curve::Pr, SummationMethod::Interpolation) => return interpolated_precision(counts),
            (Curve::Roc, _) => (
                shares(&counts.false_positives, &counts.true_negatives),
                recall(counts),
            ),
            (Curve::Pr, _) => (recall(counts), precision(counts)),
            (Curve::PrGain, _) => gains(counts),
        };
        let height = |a: f64, b: f64| match self.summation_method {
            SummationMethod::Interpolation => (a + b) / 2.0,
            SummationMethod::Minoring => a.min(b),
            SummationMethod::Majoring => a.max(b),
        };
        let sides = x.windows(2).zip(y.windows(2));
        sides.map(|(x, y)| (x[0] - x[1]) * height(y[0], y[1])).sum()
    }
}

/// The area under precision over recall, between neighbouring thresholds of which true and false
/// positives grow in one ratio. With the slope s = ΔTP/Δ(TP + FP) and the intercept
/// b = TP - s·(TP + FP) it grows by s·(ΔTP + b·ln((TP + FP)₁/(TP + FP)₂)) / targets of yes.
fn interpolated_precision(counts: &Counts) -> f64 {
    let true_positives = &counts.true_positives;
    let answers = true_positives.iter().zip(&counts.false_positives);
    let answers: Vec<f64> = answers.map(|(a, b)| a + b).collect(); // of yes
    let steps = true_positives.windows(2).zip(answers.windows(2));
    let steps = steps.zip(counts.false_negatives.iter().skip(1));
    let growth = steps.map(|((found, answers), missed)| {
        let more = found[0] - found[1];
        let slope = ratio(more, (answers[0] - answers[1]).max(0.0));
        let intercept = found[1] - slope * answers[1];
        let growth = if answers[0] > 0.0 && answers[1] > 0.0 {
            answers[0] / answers[1]
        } else {
            1.0
        };
        ratio(
            slope * (more + intercept * growth.ln()),
            (found[1] + missed).max(0.0),
        )
    });
    growth.sum()
}

/// Recall gain and precision gain: 1 - (targets of yes / of no)·(missed / found), and the same of
/// what is wrong among the answers of yes. Where nothing is found they are 0 and 1, as in Keras, and
/// a recall gain is at least 0.
fn gains(counts: &Counts) -> (Vec<f64>, Vec<f64>) {
    let thresholds = 0..counts.true_positives.len();
    let gains = thresholds.map(|index| {
        let found = counts.true_positives[index];
        let missed = counts.false_negatives[index];
        let wrong = counts.false_positives[index];
        if found == 0.0 {
            return (0.0, 1.0);
        }
        let scale = ratio(found + missed, counts.true_negatives[index] + wrong);
        (
            (1.0 - scale * missed / found).max(0.0),
            1.0 - scale * wrong / found,
        )
    });
    gains.unzip()
}

/// Numbers as a list, or as Keras writes a tensor of them.
fn numbers<'de, D: serde::Deserializer<'de>>(
    from: D,
) -> std::result::Result<Option<Vec<f64>>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Given {
        List(Vec<f64>),
        Tensor { config: Config },
    }
    #[derive(Deserialize)]
    struct Config {
        value: Vec<f64>,
    }
    Ok(
        Option::<Given>::deserialize(from)?.map(|given| match given {
            Given::List(numbers) => numbers,
            Given::Tensor { config } => config.value,
        }),
    )
}
