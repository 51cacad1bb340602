//! Metrics: what is counted while a model trains, and the trait for metrics of your own.

mod accuracy;
mod along_axis;
mod base;
mod binary_accuracy;
mod categorical_accuracy;
mod confusion;

mod exact_accuracy;
mod f_score;
mod from_fn;
mod iou;
mod mean;
mod of_losses;
mod r2_score;
mod root_mean_squared_error;
mod rule;
mod running_mean;
mod shapes;
mod tally;
mod top_k_categorical_accuracy;

pub use accuracy::Accuracy;
pub use along_axis::{ConcordanceCorrelation, CosineSimilarity, PearsonCorrelation};
pub use binary_accuracy::BinaryAccuracy;
pub use categorical_accuracy::{CategoricalAccuracy, SparseCategoricalAccuracy};
pub use confusion::{
    Auc, Curve, FalseNegatives, FalsePositives, Precision, PrecisionAtRecall, Recall,
    RecallAtPrecision, SensitivityAtSpecificity, SpecificityAtSensitivity, SummationMethod,
    Thresholds, TrueNegatives, TruePositives,
};
pub use exact_accuracy::ExactAccuracy;
pub use f_score::{Average, F1Score, FBetaScore};
pub use from_fn::{FromFn, from_fn};
pub use iou::{BinaryIoU, IoU, MeanIoU, OneHotIoU, OneHotMeanIoU};
pub use of_losses::{
    BinaryCrossentropy, CategoricalCrossentropy, CategoricalHinge, Hinge, KLDivergence,
    LogCoshError, MeanAbsoluteError, MeanAbsolutePercentageError, MeanSquaredError,
    MeanSquaredLogarithmicError, Poisson, SparseCategoricalCrossentropy, SquaredHinge,
};
pub use r2_score::{ClassAggregation, R2Score};
pub use root_mean_squared_error::RootMeanSquaredError;
pub use running_mean::RunningMean;
pub use top_k_categorical_accuracy::{SparseTopKCategoricalAccuracy, TopKCategoricalAccuracy};

use crate::{
    Config, Error, Result, config::Entry, config::serde_of_part, config::table, error::tuple,
};
use candle_core::Tensor;
use std::fmt::Debug;

/// A number over all samples of an epoch: its name, and how to count.
///
/// ```
/// use candle_keras::prelude::*;
/// use candle_keras::metrics::{Counter, Metric, RunningMean};
///
/// /// The mean of the greatest output.
/// #[derive(Debug)]
/// struct Confidence;
///
/// impl Metric for Confidence {
///     fn name(&self) -> &str {
///         "confidence"
///     }
///     fn counter(&self) -> Box<dyn Counter> {
///         Box::new(ConfidenceCounter::default())
///     }
/// }
///
/// #[derive(Debug, Default)]
/// struct ConfidenceCounter(RunningMean);
///
/// impl Counter for ConfidenceCounter {
///     fn update(
///         &mut self,
///         _y_true: &Tensor,
///         y_pred: &Tensor,
///         sample_weight: Option<&Tensor>,
///     ) -> candle_keras::Result<()> {
///         self.0.add_weighted(&y_pred.max(1)?, sample_weight)
///     }
///     fn result(&mut self) -> candle_keras::Result<f64> {
///         self.0.result()
///     }
/// }
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no metric",
    note = "losses and metrics of one name are two types: `metrics::MeanSquaredError` is the metric",
    note = "a closure becomes one by `metrics::from_fn(name, closure)`"
)]
pub trait Metric: Debug + Send + Sync {
    /// The name in logs and history: `accuracy`. Validation puts `val_` before it.
    fn name(&self) -> &str;

    /// A counter that has seen no sample; every epoch and every evaluation takes a new one.
    fn counter(&self) -> Box<dyn Counter>;

    /// Whether it counts samples by their weights; [`Weighted`] makes one that does.
    fn weighted(&self) -> bool {
        false
    }

    /// Whether it can count targets of shape (None, `target_shape`) with outputs of shape
    /// (None, `output_shape`), and its arguments are in range. `fit` and `evaluate` ask once.
    ///
    /// # Errors
    /// When it cannot; the message says which shape fits.
    fn check(&self, target_shape: &[usize], output_shape: &[usize]) -> Result<()> {
        let _ = (target_shape, output_shape);
        Ok(())
    }

    /// Whether more of it is better or less, by which callbacks in Keras's mode `auto` judge it;
    /// `None` where that cannot be said.
    fn direction(&self) -> Option<Direction> {
        None
    }

    /// Its class and arguments, if it can be written to a file.
    fn config(&self) -> Option<Config> {
        None
    }
}

/// Which way a number goes when a model gets better.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// More is better, as of an accuracy.
    Up,
    /// Less is better, as of an error.
    Down,
}

serde_of_part!(Metric, "metric", "keras.metrics", METRICS);

/// Every metric of the crate, by Keras's names.
pub(crate) const METRICS: &[Entry<dyn Metric>] = {
    // Keras's string "accuracy" and its class of that name are two metrics.

    use crate::metrics::Accuracy as accuracy;
    use {Auc as AUC, ExactAccuracy as Accuracy};
    table![dyn Metric:
        accuracy = accuracy, "acc";
        AUC = AUC::new(), "auc";
        Accuracy = Accuracy::new();
        BinaryAccuracy = BinaryAccuracy::new(), "binary_accuracy";
        BinaryCrossentropy = BinaryCrossentropy::new(), "binary_crossentropy", "bce", "BCE";
        BinaryIoU = BinaryIoU::new(), "binary_io_u";
        CategoricalAccuracy = CategoricalAccuracy::new(), "categorical_accuracy";
        CategoricalCrossentropy = CategoricalCrossentropy::new(), "categorical_crossentropy";
        CategoricalHinge = CategoricalHinge::new(), "categorical_hinge";
        ConcordanceCorrelation = ConcordanceCorrelation::new(), "concordance_correlation";
        CosineSimilarity = CosineSimilarity::new(), "cosine_similarity";
        F1Score = F1Score::new(), "f1_score";
        FBetaScore = FBetaScore::new(), "f_beta_score";
        FalseNegatives = FalseNegatives::new(), "false_negatives";
        FalsePositives = FalsePositives::new(), "false_positives";
        Hinge = Hinge::new(), "hinge";
        IoU = IoU::new(1, [0]), ["num_classes", "target_class_ids"], "io_u";
        KLDivergence = KLDivergence::new(), "kl_divergence", "kld", "KLD";
        LogCoshError = LogCoshError::new(), "logcosh", "log_cosh_error";
        MeanAbsoluteError = MeanAbsoluteError::new(), "mean_absolute_error", "mae", "MAE";
        MeanAbsolutePercentageError = MeanAbsolutePercentageError::new(),
            "mean_absolute_percentage_error", "mape", "MAPE";
        MeanIoU = MeanIoU::new(1), ["num_classes"], "mean_io_u";
        MeanSquaredError = MeanSquaredError::new(), "mean_squared_error", "mse", "MSE";
        MeanSquaredLogarithmicError = MeanSquaredLogarithmicError::new(),
            "mean_squared_logarithmic_error", "msle", "MSLE";
        OneHotIoU = OneHotIoU::new(1, [0]), ["num_classes", "target_class_ids"], "one_hot_io_u";
        OneHotMeanIoU = OneHotMeanIoU::new(1), ["num_classes"], "one_hot_mean_io_u";
        PearsonCorrelation = PearsonCorrelation::new(), "pearson_correlation";
        Poisson = Poisson::new(), "poisson";
        Precision = Precision::new(), "precision";
        PrecisionAtRecall = PrecisionAtRecall::new(0.5), ["recall"], "precision_at_recall";
        R2Score = R2Score::new(), "r2_score";
        Recall = Recall::new(), "recall";
        RecallAtPrecision = RecallAtPrecision::new(0.5), ["precision"], "recall_at_precision";
        RootMeanSquaredError = RootMeanSquaredError::new(), "root_mean_squared_error";
        SensitivityAtSpecificity = SensitivityAtSpecificity::new(0.5), ["specificity"],
            "sensitivity_at_specificity";
        SparseCategoricalAccuracy = SparseCategoricalAccuracy::new(),
            "sparse_categorical_accuracy";
        SparseCategoricalCrossentropy = SparseCategoricalCrossentropy::new(),
            "sparse_categorical_crossentropy";
        SparseTopKCategoricalAccuracy = SparseTopKCategoricalAccuracy::new(),
            "sparse_top_k_categorical_accuracy";
        SpecificityAtSensitivity = SpecificityAtSensitivity::new(0.5), ["sensitivity"],
            "specificity_at_sensitivity";
        SquaredHinge = SquaredHinge::new(), "squared_hinge";
        TopKCategoricalAccuracy = TopKCategoricalAccuracy::new(), "top_k_categorical_accuracy";
        TrueNegatives = TrueNegatives::new(), "true_negatives";
        TruePositives = TruePositives::new(), "true_positives";
    ]
};

/// A metric that counts samples by their weights. Keras: `weighted_metrics`.
///
/// ```
/// use candle_keras::{metrics::Weighted, prelude::*};
/// # fn main() -> anyhow::Result<()> {
/// # let mut model = Sequential::new().add(Input::new(4)).add(Dense::new(1).activation(Sigmoid)).build(&Device::Cpu)?;
/// let metrics = (Accuracy, Weighted(Accuracy)); // accuracy, weighted_accuracy
/// model.compile(Adam::new(0.001), BinaryCrossentropy::new(), metrics)?;
/// # Ok(()) }
/// ```
#[derive(Debug, Clone, Copy)]
pub struct Weighted<M>(pub M);

impl<M: Metric> Metric for Weighted<M> {
    fn name(&self) -> &str {
        self.0.name()
    }

    fn counter(&self) -> Box<dyn Counter> {
        self.0.counter()
    }

    fn weighted(&self) -> bool {
        true
    }

    fn check(&self, target_shape: &[usize], output_shape: &[usize]) -> Result<()> {
        self.0.check(target_shape, output_shape)
    }

    fn direction(&self) -> Option<Direction> {
        self.0.direction()
    }

    fn config(&self) -> Option<Config> {
        self.0.config()
    }
}

impl Metric for Box<dyn Metric> {
    fn name(&self) -> &str {
        (**self).name()
    }

    fn counter(&self) -> Box<dyn Counter> {
        (**self).counter()
    }

    fn weighted(&self) -> bool {
        (**self).weighted()
    }

    fn check(&self, target_shape: &[usize], output_shape: &[usize]) -> Result<()> {
        (**self).check(target_shape, output_shape)
    }

    fn direction(&self) -> Option<Direction> {
        (**self).direction()
    }

    fn config(&self) -> Option<Config> {
        (**self).config()
    }
}

/// A metric's count of the samples so far.
pub trait Counter: Debug + Send + Sync {
    /// Counts the samples of a batch, from their targets and the model's outputs, which
    /// [`losses::aligned`](crate::losses::aligned) brings into one shape. `sample_weight` is there for
    /// a weighted metric of samples with weights.
    ///
    /// # Errors
    /// When candle's operations fail.
    fn update(
        &mut self,
        y_true: &Tensor,
        y_pred: &Tensor,
        sample_weight: Option<&Tensor>,
    ) -> Result<()>;

    /// The number so far, of several their mean. Of no sample, or weights that are all 0, the
    /// crate's metrics give 0, as Keras does; [`R2Score`] alone is NaN there.
    ///
    /// # Errors
    /// When candle's operations fail.
    fn result(&mut self) -> Result<f64>;

    /// All numbers of a metric that has several, such as one for each class.
    ///
    /// # Errors
    /// When candle's operations fail.
    fn values(&mut self) -> Result<Vec<f64>> {
        Ok(vec![self.result()?])
    }

    /// What it has counted so far, as numbers, for
    /// [`BackupAndRestore`](crate::callbacks::BackupAndRestore) in the middle of an epoch. A counter
    /// that gives none counts anew when the epoch is taken up again; of one that gives some,
    /// [`restore`](Self::restore) must take them, or the backup cannot be taken up.
    ///
    /// # Errors
    /// When candle's operations fail.
    fn state(&mut self) -> Result<Option<Vec<f64>>> {
        Ok(None)
    }

    /// Goes on from what [`state`](Self::state) gave; whether these are numbers of such a counter. Where
    /// they are not, the backup cannot be taken up.
    fn restore(&mut self, state: &[f64]) -> bool {
        let _ = state;
        false
    }
}

/// The count that a number of a state is; none where it is no such.
pub(crate) fn whole(number: f64) -> Option<usize> {
    /// Beyond it an f64 does not count.
    const MOST: f64 = (1u64 << 53) as f64;
    let counts = (0.0..=MOST).contains(&number) && number.fract() == 0.0;
    counts.then_some(number as usize)
}

/// An error unless a number is from 0 to 1.
pub(crate) fn check_share(argument: &str, value: f64) -> Result<()> {
    if (0.0..=1.0).contains(&value) {
        return Ok(());
    }
    let advice = "it is compared with probabilities, or shares";
    Err(Error::argument(
        argument,
        "a number from 0 to 1",
        value,
        advice,
    ))
}

/// An error unless a number is finite: a threshold may lie anywhere among logits.
fn check_finite(argument: &str, value: f64) -> Result<()> {
    if value.is_finite() {
        return Ok(());
    }
    let advice = "0.5 suits probabilities, 0 logits";
    Err(Error::argument(argument, "a finite number", value, advice))
}

/// An error unless a count is at least 1.
fn check_at_least_one(argument: &str, value: usize) -> Result<()> {
    if value > 0 {
        return Ok(());
    }
    Err(Error::argument(
        argument,
        "at least 1",
        value,
        "leave it out for the default",
    ))
}

/// An error unless there are values for each sample.
fn check_values(values: &Tensor, y_pred: &Tensor) -> Result<()> {
    if values.rank() > 0 && values.dims().first() == y_pred.dims().first() {
        return Ok(());
    }
    let samples = y_pred.dims().first().copied().unwrap_or_default();
    Err(Error::argument(
        "values",
        format!("one for each of {samples} samples"),
        format!("shape {}", tuple(values.dims())),
        "leave the mean over samples to the metric: take it over the last axis only",
    ))
}

/// What `compile` takes as metrics: `[Accuracy]`, `(Accuracy, Confidence)` for up to 12 of several types,
/// `()` for none, or a `Vec<Box<dyn Metric>>`.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no list of metrics",
    note = "give metrics in brackets: `[Accuracy]`, `(Accuracy, Mine)` for several types, `()` for none",
    note = "more than 12 go into a `Vec<Box<dyn Metric>>`: `vec![Box::new(a) as Box<dyn Metric>, Box::new(b)]`",
    note = "losses and metrics of one name are two types: `metrics::MeanSquaredError` is the metric"
)]
pub trait Metrics {
    /// The metrics in order.
    fn into_metrics(self) -> Vec<Box<dyn Metric>>;
}

impl Metrics for () {
    fn into_metrics(self) -> Vec<Box<dyn Metric>> {
        Vec::new()
    }
}

impl Metrics for Vec<Box<dyn Metric>> {
    fn into_metrics(self) -> Vec<Box<dyn Metric>> {
        self
    }
}

impl<M: Metric + 'static, const N: usize> Metrics for [M; N] {
    fn into_metrics(self) -> Vec<Box<dyn Metric>> {
        self.into_iter()
            .map(|metric| Box::new(metric) as Box<dyn Metric>)
            .collect()
    }
}

macro_rules! metrics_of_tuple {
    ($($name:ident)+) => {
        impl<$($name: Metric + 'static),+> Metrics for ($($name,)+) {
            #[allow(non_snake_case, reason = "the type's name serves as the value's")]
            fn into_metrics(self) -> Vec<Box<dyn Metric>> {
                let ($($name,)+) = self;
                vec![$(Box::new($name)),+]
            }
        }
    };
}

metrics_of_tuple!(A);
metrics_of_tuple!(A B);
metrics_of_tuple!(A B C);
metrics_of_tuple!(A B C D);
metrics_of_tuple!(A B C D E);
metrics_of_tuple!(A B C D E F);
metrics_of_tuple!(A B C D E F G);
metrics_of_tuple!(A B C D E F G H);
metrics_of_tuple!(A B C D E F G H I);
metrics_of_tuple!(A B C D E F G H I J);
metrics_of_tuple!(A B C D E F G H I J K);
metrics_of_tuple!(A B C D E F G H I J K L);
