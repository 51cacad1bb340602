use super::base::{Base, default_is_new, metric_access, metric_setters};
use super::tally::{Batch, Tally, TallyCounter};
use super::{Counter, Direction, Metric, check_finite};
use crate::{Axes, Error, Result, error::batched, losses::EPSILON};
use serde::{Deserialize, Serialize};

/// The overlap of targets and outputs of chosen classes: the mean of intersection over union, true
/// positives / (true positives + false positives + false negatives).
///
/// A class that neither targets nor outputs have does not count, nor does a sample whose target or
/// output is no class.
///
/// # Shapes
/// `y_true` and `y_pred` (batch, ..), the labels of classes; with `sparse_y_true(false)` or
/// `sparse_y_pred(false)` (batch, .., classes), of which the greatest is the label.
///
/// # Defaults
/// Labels in both, and no class is left out.
///
/// ```
/// use candle_keras::{metrics::{IoU, Metric}, prelude::*};
/// # fn main() -> anyhow::Result<()> {
/// let mut overlap = IoU::new(2, [0]).counter();
/// let y_true = Tensor::new(&[0f32, 0., 1., 1.], &Device::Cpu)?;
/// let y_pred = Tensor::new(&[0f32, 1., 0., 1.], &Device::Cpu)?;
/// overlap.update(&y_true, &y_pred, None)?;
/// assert!((overlap.result()? - 1.0 / 3.0).abs() < 1e-6);
/// # Ok(()) }
/// ```
///
/// # Errors
/// `fit` and `evaluate` fail for a class that is none, more than 8,192 classes, and shapes that do not
/// fit.
///
/// Keras: `IoU`. As there, numbers and weights are cut to whole ones.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct IoU {
    num_classes: usize,
    target_class_ids: Vec<usize>,
    ignore_class: Option<i64>,
    sparse_y_true: bool,
    sparse_y_pred: bool,
    axis: i64,
    #[serde(flatten)]
    base: Base,
}

/// The same of two classes, from outputs of one number: at least the threshold is class 1.
///
/// # Shapes
/// `y_true` (batch, ..) of 0 and 1, and `y_pred` of the same shape, or `y_true` (batch) for one
/// output.
///
/// # Defaults
/// Both classes, at the threshold 0.5.
///
/// ```
/// use candle_keras::{metrics::{BinaryIoU, Metric}, prelude::*};
/// # fn main() -> anyhow::Result<()> {
/// let mut overlap = BinaryIoU::new().threshold(0.3).counter();
/// let y_true = Tensor::new(&[0f32, 1., 0., 1.], &Device::Cpu)?;
/// let y_pred = Tensor::new(&[0.1f32, 0.2, 0.4, 0.7], &Device::Cpu)?;
/// overlap.update(&y_true, &y_pred, None)?;
/// assert!((overlap.result()? - 1.0 / 3.0).abs() < 1e-6);
/// # Ok(()) }
/// ```
///
/// # Errors
/// `fit` and `evaluate` fail for a class other than 0 and 1, a threshold that is not finite, and
/// shapes that do not fit.
///
/// Keras: `BinaryIoU`. As there, targets and weights are cut to whole numbers.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct BinaryIoU {
    target_class_ids: Vec<usize>,
    threshold: f64,
    #[serde(flatten)]
    base: Base,
}

/// The overlap of targets and outputs, [`IoU`], of all classes.
///
/// # Shapes
/// `y_true` and `y_pred` (batch, ..), the labels of classes; with `sparse_y_true(false)` or
/// `sparse_y_pred(false)` (batch, .., classes), of which the greatest is the label.
///
/// # Defaults
/// Labels in both, and no class is left out.
///
/// ```
/// use candle_keras::{metrics::{MeanIoU, Metric}, prelude::*};
/// # fn main() -> anyhow::Result<()> {
/// let mut overlap = MeanIoU::new(2).counter();
/// let y_true = Tensor::new(&[0f32, 0., 1., 1.], &Device::Cpu)?;
/// let y_pred = Tensor::new(&[0f32, 1., 0., 1.], &Device::Cpu)?;
/// overlap.update(&y_true, &y_pred, None)?;
/// assert!((overlap.result()? - 1.0 / 3.0).abs() < 1e-6);
/// # Ok(()) }
/// ```
///
/// # Errors
/// `fit` and `evaluate` fail for more than 8,192 classes, and shapes that do not fit.
///
/// Keras: `MeanIoU`. As there, numbers and weights are cut to whole ones.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct MeanIoU {
    num_classes: usize,
    ignore_class: Option<i64>,
    sparse_y_true: bool,
    sparse_y_pred: bool,
    axis: i64,
    #[serde(flatten)]
    base: Base,
}

/// The overlap of one-hot targets and outputs, [`IoU`], of chosen classes.
///
/// # Shapes
/// `y_true` and `y_pred` (batch, .., classes), of which the greatest is the label; with
/// `sparse_y_pred(true)` `y_pred` (batch, ..), the labels.
///
/// # Defaults
/// Scores of classes as outputs, and no class is left out.
///
/// ```
/// use candle_keras::{metrics::{Metric, OneHotIoU}, prelude::*};
/// # fn main() -> anyhow::Result<()> {
/// let mut overlap = OneHotIoU::new(3, [0, 2]).counter();
/// let y_true = Tensor::new(&[[0f32, 0., 1.], [1., 0., 0.], [0., 1., 0.]], &Device::Cpu)?;
/// let y_pred = Tensor::new(&[[0.2f32, 0.3, 0.5], [0.1, 0.2, 0.7], [0.5, 0.3, 0.1]], &Device::Cpu)?;
/// overlap.update(&y_true, &y_pred, None)?;
/// assert!((overlap.result()? - 0.25).abs() < 1e-6);
/// # Ok(()) }
/// ```
///
/// # Errors
/// `fit` and `evaluate` fail for a class that is none, more than 8,192 classes, and shapes that do not
/// fit.
///
/// Keras: `OneHotIoU`. As there, weights are cut to whole numbers.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct OneHotIoU {
    num_classes: usize,
    target_class_ids: Vec<usize>,
    ignore_class: Option<i64>,
    sparse_y_pred: bool,
    axis: i64,
    #[serde(flatten)]
    base: Base,
}

/// The overlap of one-hot targets and outputs, [`IoU`], of all classes.
///
/// # Shapes
/// `y_true` and `y_pred` (batch, .., classes), of which the greatest is the label; with
/// `sparse_y_pred(true)` `y_pred` (batch, ..), the labels.
///
/// # Defaults
/// Scores of classes as outputs, and no class is left out.
///
/// ```
/// use candle_keras::{metrics::{Metric, OneHotMeanIoU}, prelude::*};
/// # fn main() -> anyhow::Result<()> {
/// let mut overlap = OneHotMeanIoU::new(3).counter();
/// let y_true = Tensor::new(&[[0f32, 0., 1.], [1., 0., 0.], [0., 1., 0.]], &Device::Cpu)?;
/// let y_pred = Tensor::new(&[[0.2f32, 0.3, 0.5], [0.1, 0.2, 0.7], [0.5, 0.3, 0.1]], &Device::Cpu)?;
/// overlap.update(&y_true, &y_pred, None)?;
/// assert!((overlap.result()? - 1.0 / 6.0).abs() < 1e-6);
/// # Ok(()) }
/// ```
///
/// # Errors
/// `fit` and `evaluate` fail for more than 8,192 classes, and shapes that do not fit.
///
/// Keras: `OneHotMeanIoU`. As there, weights are cut to whole numbers.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct OneHotMeanIoU {
    num_classes: usize,
    ignore_class: Option<i64>,
    sparse_y_pred: bool,
    axis: i64,
    #[serde(flatten)]
    base: Base,
}

/// The setters of all but the binary metric.
macro_rules! class_setters {
    () => {
        /// Leaves out the samples whose target is this class, which may be none of the others.
        pub fn ignore_class(mut self, ignore_class: i64) -> Self {
            self.ignore_class = Some(ignore_class);
            self
        }

        /// The axis of classes where there is one: 0 is the batch's, -1 the last, as by default.
        pub fn axis(mut self, axis: i64) -> Self {
            self.axis = axis;
            self
        }

        /// Whether outputs are labels, and not a number for each class.
        pub fn sparse_y_pred(mut self, sparse_y_pred: bool) -> Self {
            self.sparse_y_pred = sparse_y_pred;
            self
        }

        metric_setters!();
    };
}

/// The setter of the metrics whose targets may be labels.
macro_rules! sparse_y_true_setter {
    () => {
        /// Whether targets are labels, and not a number for each class.
        pub fn sparse_y_true(mut self, sparse_y_true: bool) -> Self {
            self.sparse_y_true = sparse_y_true;
            self
        }
    };
}

impl IoU {
    /// The mean over `target_class_ids`, of `num_classes` classes.
    pub fn new(num_classes: usize, target_class_ids: impl Into<Vec<usize>>) -> Self {
        Self {
            num_classes,
            target_class_ids: target_class_ids.into(),
            ignore_class: None,
            sparse_y_true: true,
            sparse_y_pred: true,
            axis: -1,
            base: Base::new("io_u"),
        }
    }

    sparse_y_true_setter!();
    class_setters!();

    fn tally(&self) -> Overlap {
        Overlap {
            ids: self.target_class_ids.clone(),
            ignore_class: self.ignore_class,
            targets: Kind::of_classes(self.sparse_y_true),
            outputs: Kind::of_classes(self.sparse_y_pred),
            axis: self.axis,
            ..Overlap::new(self.num_classes)
        }
    }
}

impl BinaryIoU {
    /// Of both classes, at the threshold 0.5.
    pub fn new() -> Self {
        Self {
            target_class_ids: vec![0, 1],
            threshold: 0.5,
            base: Base::new("binary_io_u"),
        }
    }

    /// The classes that count: 0, 1 or both.
    pub fn target_class_ids(mut self, target_class_ids: impl Into<Vec<usize>>) -> Self {
        self.target_class_ids = target_class_ids.into();
        self
    }

    /// The least output of class 1; any finite number, such as 0 for logits.
    pub fn threshold(mut self, threshold: f64) -> Self {
        self.threshold = threshold;
        self
    }

    metric_setters!();

    fn tally(&self) -> Overlap {
        Overlap {
            ids: self.target_class_ids.clone(),
            outputs: Kind::Probabilities(self.threshold as f32),
            ..Overlap::new(2)
        }
    }
}

impl MeanIoU {
    /// Of `num_classes` classes.
    pub fn new(num_classes: usize) -> Self {
        Self {
            num_classes,
            ignore_class: None,
            sparse_y_true: true,
            sparse_y_pred: true,
            axis: -1,
            base: Base::new("mean_io_u"),
        }
    }

    sparse_y_true_setter!();
    class_setters!();

    fn tally(&self) -> Overlap {
        Overlap {
            ignore_class: self.ignore_class,
            targets: Kind::of_classes(self.sparse_y_true),
            outputs: Kind::of_classes(self.sparse_y_pred),
            axis: self.axis,
            ..Overlap::new(self.num_classes)
        }
    }
}

impl OneHotIoU {
    /// The mean over `target_class_ids`, of `num_classes` classes.
    pub fn new(num_classes: usize, target_class_ids: impl Into<Vec<usize>>) -> Self {
        Self {
            num_classes,
            target_class_ids: target_class_ids.into(),
            ignore_class: None,
            sparse_y_pred: false,
            axis: -1,
            base: Base::new("one_hot_io_u"),
        }
    }

    class_setters!();

    fn tally(&self) -> Overlap {
        Overlap {
            ids: self.target_class_ids.clone(),
            ignore_class: self.ignore_class,
            targets: Kind::Scores,
            outputs: Kind::of_classes(self.sparse_y_pred),
            axis: self.axis,
            ..Overlap::new(self.num_classes)
        }
    }
}

impl OneHotMeanIoU {
    /// Of `num_classes` classes.
    pub fn new(num_classes: usize) -> Self {
        Self {
            num_classes,
            ignore_class: None,
            sparse_y_pred: false,
            axis: -1,
            base: Base::new("one_hot_mean_io_u"),
        }
    }

    class_setters!();

    fn tally(&self) -> Overlap {
        Overlap {
            ignore_class: self.ignore_class,
            targets: Kind::Scores,
            outputs: Kind::of_classes(self.sparse_y_pred),
            axis: self.axis,
            ..Overlap::new(self.num_classes)
        }
    }
}

default_is_new!(BinaryIoU);

macro_rules! metric_of_overlap {
    ($($class:ident)+) => {$(
        impl Metric for $class {
            metric_access!(stringify!($class), Some(Direction::Up));

            fn counter(&self) -> Box<dyn Counter> {
                Box::new(TallyCounter::new(self.tally()))
            }

            fn check(&self, target_shape: &[usize], output_shape: &[usize]) -> Result<()> {
                self.tally().check(target_shape, output_shape)
            }
        }
    )+};
}

metric_of_overlap!(IoU BinaryIoU MeanIoU OneHotIoU OneHotMeanIoU);

/// The most classes, whose matrix takes 512 MiB.
const MOST_CLASSES: usize = 1 << 13;

/// How often each class was the target where each was the output.
#[derive(Debug)]
struct Overlap {
    num_classes: usize,
    /// The classes that count.
    ids: Vec<usize>,
    ignore_class: Option<i64>,
    targets: Kind,
    outputs: Kind,
    axis: i64,
    /// (targets, outputs), row by row; empty before the first batch.
    matrix: Vec<f64>,
}

/// What numbers say of classes.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Kind {
    /// They are labels.
    Labels,
    /// One for every class along an axis; the greatest is the label.
    Scores,
    /// At least the threshold is class 1, less is class 0.
    Probabilities(f32),
}

impl Kind {
    fn of_classes(sparse: bool) -> Self {
        if sparse { Self::Labels } else { Self::Scores }
    }
}

impl Overlap {
    /// Of labels, for all of `num_classes` classes.
    fn new(num_classes: usize) -> Self {
        Self {
            num_classes,
            ids: (0..num_classes.min(MOST_CLASSES)).collect(),
            ignore_class: None,
            targets: Kind::Labels,
            outputs: Kind::Labels,
            axis: -1,
            matrix: Vec::new(),
        }
    }

    fn check_arguments(&self) -> Result<()> {
        super::check_at_least_one("num_classes", self.num_classes)?;
        if self.num_classes > MOST_CLASSES {
            let expected = format!("at most {MOST_CLASSES}");
            let advice = "a number is kept for every pair of classes: count fewer of them";
            let got = self.num_classes;
            return Err(Error::argument("num_classes", expected, got, advice));
        }
        if let Kind::Probabilities(threshold) = self.outputs {
            check_finite("threshold", f64::from(threshold))?;
        }
        if self.ids.is_empty() {
            let advice = "name the classes that count";
            return Err(Error::argument(
                "target_class_ids",
                "at least one",
                "none",
                advice,
            ));
        }
        match self.ids.iter().find(|id| **id >= self.num_classes) {
            Some(id) => {
                let expected = format!("classes below {}", self.num_classes);
                let advice = "classes count from 0";
                Err(Error::argument("target_class_ids", expected, id, advice))
            }
            None => Ok(()),
        }
    }

    /// Where the classes are in numbers of a shape, with the batch's axis.
    fn layout(&self, kind: Kind, shape: &[usize]) -> Result<Layout> {
        let all = shape.iter().product();
        if kind != Kind::Scores {
            return Ok(Layout {
                classes: 1,
                inner: 1,
                labels: all,
            });
        }
        let axis = Axes::One(self.axis).resolve(shape.len())?;
        let axis = axis.first().copied().unwrap_or_default();
        let classes = shape[axis];
        Ok(Layout {
            classes,
            inner: shape[axis + 1..].iter().product(),
            labels: all / classes.max(1),
        })
    }

    /// The shape of the labels in numbers of one sample's shape.
    fn labels_shape(&self, kind: Kind, shape: &[usize]) -> Result<Vec<usize>> {
        let mut shape = [&[1], shape].concat(); // with the batch's axis
        if kind == Kind::Scores {
            let axis = Axes::One(self.axis).resolve(shape.len())?;
            let classes = shape.remove(axis.first().copied().unwrap_or_default());
            if classes > self.num_classes {
                let expected = format!("at least {classes}, the length of the axis of classes");
                let advice = "a class beyond it would never count";
                let got = self.num_classes;
                return Err(Error::argument("num_classes", expected, got, advice));
            }
        }
        Ok(shape.into_iter().filter(|length| *length != 1).collect())
    }

    /// Counts a target's label with an output's.
    fn add_pair(&mut self, target: i64, output: i64, weight: f64) {
        let classes = 0..self.num_classes as i64;
        let ignored = self.ignore_class == Some(target);
        if ignored || !classes.contains(&target) || !classes.contains(&output) {
            return;
        }
        let index = target as usize * self.num_classes + output as usize;
        if let Some(count) = self.matrix.get_mut(index) {
            *count += weight;
        }
    }
}

/// Where the classes are in numbers.
#[derive(Debug, Clone, Copy)]
struct Layout {
    classes: usize,
    /// How far apart the numbers of a label are.
    inner: usize,
    labels: usize,
}

impl Layout {
    /// The index of the first number of a label.
    fn start(&self, label: usize) -> usize {
        label / self.inner * self.classes * self.inner + label % self.inner
    }

    /// The class that numbers say at `label`; as Keras does it cuts labels to whole numbers. -1, no
    /// class, for a label that is not finite.
    fn class(&self, kind: Kind, numbers: &[f32], label: usize) -> i64 {
        let at = |index: usize| numbers.get(index).copied().unwrap_or(f32::NAN);
        let start = self.start(label);
        match kind {
            Kind::Labels if !at(start).is_finite() => -1,
            Kind::Labels => at(start) as i64,
            Kind::Probabilities(threshold) => i64::from(at(start) >= threshold),
            Kind::Scores => {
                // NaN is never the greatest, as in TensorFlow.
                let mut best = (0, f32::NEG_INFINITY);
                for class in 0..self.classes {
                    let score = at(start + class * self.inner);
                    if score > best.1 {
                        best = (class as i64, score);
                    }
                }
                best.0
            }
        }
    }
}

impl Tally for Overlap {
    fn check(&self, target: &[usize], output: &[usize]) -> Result<()> {
        self.check_arguments()?;
        let targets = self.labels_shape(self.targets, target)?;
        let outputs = self.labels_shape(self.outputs, output)?;
        if targets == outputs {
            return Ok(());
        }
        let advice = match (self.targets, self.outputs) {
            (Kind::Labels, Kind::Labels) if outputs.len() > targets.len() => {
                "outputs are a number for each class: call .sparse_y_pred(false)"
            }
            (Kind::Scores, Kind::Scores) if targets.len() < outputs.len() => {
                "targets are one-hot: make them with to_categorical, or use a metric of labels"
            }
            _ => "give a label for every label of the outputs",
        };
        let text = |labels: &[usize]| format!("labels of shape {}", batched(labels));
        Err(Error::argument("y", text(&outputs), text(&targets), advice))
    }

    fn add(&mut self, batch: &Batch<'_>) {
        let targets = self.layout(self.targets, batch.target_shape);
        let outputs = self.layout(self.outputs, batch.output_shape);
        let (Ok(targets), Ok(outputs)) = (targets, outputs) else {
            return; // `check` has seen the axis
        };
        let classes = self.num_classes.min(MOST_CLASSES); // `check` has seen them as well
        self.matrix.resize(classes * classes, 0.0);
        for label in 0..outputs.labels.min(targets.labels) {
            let target = targets.class(self.targets, batch.y_true, label);
            let output = outputs.class(self.outputs, batch.y_pred, label);
            let weight = batch.weight(outputs.start(label)).trunc();
            self.add_pair(target, output, weight);
        }
    }

    fn values(&self) -> Vec<f64> {
        let classes = 0..self.num_classes.min(MOST_CLASSES);
        let at = |target: usize, output: usize| {
            let count = self.matrix.get(target * self.num_classes + output);
            count.copied().unwrap_or_default()
        };
        let overlaps = self
            .ids
            .iter()
            .filter(|id| **id < self.num_classes)
            .map(|id| {
                let targets: f64 = classes.clone().map(|output| at(*id, output)).sum();
                let outputs: f64 = classes.clone().map(|target| at(target, *id)).sum();
                (at(*id, *id), targets + outputs - at(*id, *id))
            });
        let counted: Vec<_> = overlaps.filter(|(_, union)| *union > 1e-9).collect();
        let sum: f64 = counted
            .iter()
            .map(|(both, union)| both / (union + EPSILON))
            .sum();
        vec![sum / (counted.len() as f64 + EPSILON)]
    }

    fn sums(&self) -> Vec<f64> {
        self.matrix.clone()
    }

    fn restore(&mut self, sums: &[f64]) -> bool {
        self.matrix = sums.to_vec();
        let classes = self.num_classes.min(MOST_CLASSES);
        sums.is_empty() || sums.len() == classes * classes
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::{Device, Tensor};

    /// The overlap of two classes' labels, or of outputs of them.
    fn counted(metric: impl Metric, y_true: &[f32], y_pred: &[f32]) -> f64 {
        let mut counter = metric.counter();
        let tensor = |numbers: &[f32]| Tensor::new(numbers, &Device::Cpu).unwrap();
        let update = counter.update(&tensor(y_true), &tensor(y_pred), None);
        update.unwrap();
        counter.result().unwrap()
    }

    #[test]
    fn what_is_not_finite_is_no_class_as_in_keras() {
        // Numbers of Keras 3.15.1: 2/2/(1 + 1e-7) where the third sample is left out.
        for strange in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            let of_output = counted(MeanIoU::new(2), &[0.0, 1.0, 1.0], &[0.0, 1.0, strange]);
            assert!((of_output - 0.9999999).abs() < 1e-6, "{strange}");
            let of_target = counted(MeanIoU::new(2), &[0.0, strange, 1.0], &[0.0, 1.0, 1.0]);
            assert!((of_target - 0.9999999).abs() < 1e-6, "{strange}");
        }
        let cut = counted(MeanIoU::new(2), &[0.0, 1.0, 1.0], &[0.0, -0.5, 1.0]);
        assert!((cut - 0.5).abs() < 1e-6);
        // An output that is NaN is below every threshold, and never the greatest.
        let binary = counted(BinaryIoU::new(), &[0.0, 1.0, 1.0], &[0.0, 1.0, f32::NAN]);
        assert!((binary - 0.5).abs() < 1e-6);
        let y_true = Tensor::new(&[[0f32, 1.0], [1.0, 0.0]], &Device::Cpu).unwrap();
        let y_pred = Tensor::new(&[[0.2f32, f32::NAN], [f32::NAN, 0.1]], &Device::Cpu).unwrap();
        let mut counter = OneHotMeanIoU::new(2).counter();
        counter.update(&y_true, &y_pred, None).unwrap();
        assert_eq!(counter.result().unwrap(), 0.0);
    }

    #[test]
    fn a_threshold_may_be_one_of_logits() {
        let metric = BinaryIoU::new().threshold(-1.0);
        let overlap = counted(metric, &[0.0, 1.0, 1.0], &[-2.0, 1.0, -0.5]);
        assert!((overlap - 1.0).abs() < 1e-6);
    }

    #[test]
    fn more_classes_than_there_is_memory_for_are_an_error() {
        for count in [(1 << 13) + 1, 1 << 32, usize::MAX] {
            let expected = format!(
                "`num_classes`: expected at most 8192, got {count}: a number is kept for every \
                 pair of classes: count fewer of them"
            );
            let metric = MeanIoU::new(count);
            assert_eq!(metric.check(&[], &[]).unwrap_err().to_string(), expected);
            let mut counter = metric.counter();
            assert_eq!(counter.result().unwrap(), 0.0);
            let y = Tensor::new(&[0f32], &Device::Cpu).unwrap();
            let updated = counter.update(&y, &y, None);
            assert_eq!(updated.unwrap_err().to_string(), expected);
        }
        assert!(MeanIoU::new(1 << 13).check(&[], &[]).is_ok());
    }

    #[test]
    fn classes_can_lie_along_any_axis() {
        // (batch, classes, pixels)
        let scores = [[[0.9f32, 0.1], [0.1, 0.9]], [[0.2, 0.3], [0.8, 0.7]]];
        let y_pred = Tensor::new(&scores, &Device::Cpu).unwrap();
        let y_true = Tensor::new(&[[0f32, 1.0], [1.0, 0.0]], &Device::Cpu).unwrap();
        let results =
            [(1, y_pred.clone()), (-1, y_pred.transpose(1, 2).unwrap())].map(|(axis, y_pred)| {
                let metric = MeanIoU::new(2).sparse_y_pred(false).axis(axis);
                let mut counter = metric.counter();
                counter.update(&y_true, &y_pred, None).unwrap();
                counter.result().unwrap()
            });
        // Class 0: 1 of 2; class 1: 2 of 3.
        assert!((results[0] - (0.5 + 2.0 / 3.0) / 2.0).abs() < 1e-6);
        assert_eq!(results[0], results[1]);
    }
}
