//! What every metric of the catalogue keeps to: its name, its configuration, and that it counts all
//! samples of all batches. A metric without a case here fails.

mod common;

use candle_keras::metrics::{Counter, Direction, Metric, Weighted};
use candle_keras::{Result, losses, metrics, prelude::*};
use common::{assert_close, numbers};
use serde_json::{Value, json};

/// A metric of the catalogue, the name it has by itself, and samples that it counts.
struct Case {
    class_name: &'static str,
    name: &'static str,
    arguments: Value,
    direction: Option<Direction>,
    samples: Samples,
}

/// What a metric counts.
#[derive(Clone, Copy, PartialEq)]
enum Samples {
    /// 0 or 1 for each of three outputs, which are probabilities.
    Columns,
    /// One-hot targets, and the probability of each of four classes.
    OneHot,
    /// Labels, and the probability of each of four classes.
    Labels,
    /// Labels, and labels as outputs.
    Predicted,
    /// Numbers, three for each sample.
    Numbers,
}

const SAMPLES: usize = 8;

impl Samples {
    fn tensors(self) -> (Tensor, Tensor) {
        let probabilities = |shape: &[usize]| numbers(shape, "outputs").affine(0.49, 0.5).unwrap();
        let labels = |step: usize| {
            let labels: Vec<f32> = (0..SAMPLES).map(|i| (i * step % 4) as f32).collect();
            Tensor::new(labels, &Device::Cpu).unwrap()
        };
        match self {
            Self::Columns => {
                let targets = numbers(&[SAMPLES, 3], "targets").ge(0.0).unwrap();
                let targets = targets.to_dtype(DType::F32).unwrap();
                (targets, probabilities(&[SAMPLES, 3]))
            }
            Self::OneHot => {
                let targets = candle_keras::datasets::to_categorical(&labels(3), 4).unwrap();
                (targets, probabilities(&[SAMPLES, 4]))
            }
            Self::Labels => (labels(3), probabilities(&[SAMPLES, 4])),
            Self::Predicted => (labels(3), labels(1)),
            Self::Numbers => {
                let outputs = probabilities(&[SAMPLES, 3]).affine(3.0, 0.1).unwrap();
                let targets = numbers(&[SAMPLES, 3], "targets").affine(1.0, 1.2).unwrap();
                (targets, outputs)
            }
        }
    }
}

fn cases() -> Vec<Case> {
    use Samples::{Columns, Labels, Numbers, OneHot, Predicted};
    let (up, down) = (Some(Direction::Up), Some(Direction::Down));
    let mut cases = Vec::new();
    let mut add = |class_name, name, direction, samples, arguments| {
        cases.push(Case {
            class_name,
            name,
            arguments,
            direction,
            samples,
        });
    };
    for samples in [Columns, OneHot, Labels] {
        add("accuracy", "accuracy", up, samples, json!({}));
    }
    add("Accuracy", "accuracy", up, Predicted, json!({}));
    for arguments in [json!({}), json!({"threshold": 0.3})] {
        add("BinaryAccuracy", "binary_accuracy", up, Columns, arguments);
    }
    let logits = json!({"from_logits": true, "label_smoothing": 0.1});
    for arguments in [json!({}), logits.clone()] {
        let name = "binary_crossentropy";
        add("BinaryCrossentropy", name, down, Columns, arguments);
    }
    for ids in [json!([0]), json!([0, 1])] {
        let arguments = json!({"target_class_ids": ids, "threshold": 0.4});
        add("BinaryIoU", "binary_io_u", up, Columns, arguments);
    }
    let name = "categorical_accuracy";
    add("CategoricalAccuracy", name, up, OneHot, json!({}));
    for arguments in [json!({}), logits] {
        let name = "categorical_crossentropy";
        add("CategoricalCrossentropy", name, down, OneHot, arguments);
    }
    let name = "categorical_hinge";
    add("CategoricalHinge", name, down, OneHot, json!({}));
    let name = "concordance_correlation";
    add("ConcordanceCorrelation", name, up, Numbers, json!({}));
    let name = "cosine_similarity";
    for axis in [-1, 1] {
        add("CosineSimilarity", name, up, Numbers, json!({"axis": axis}));
    }
    for average in [
        json!(null),
        json!("micro"),
        json!("macro"),
        json!("weighted"),
    ] {
        for threshold in [json!(null), json!(0.4)] {
            let arguments = json!({"average": average, "threshold": threshold});
            add("F1Score", "f1_score", up, OneHot, arguments.clone());
            let mut arguments = arguments;
            arguments["beta"] = json!(0.5);
            add("FBetaScore", "fbeta_score", up, OneHot, arguments);
        }
    }
    for (class_name, name) in [
        ("FalseNegatives", "false_negatives"),
        ("FalsePositives", "false_positives"),
        ("TrueNegatives", "true_negatives"),
        ("TruePositives", "true_positives"),
    ] {
        for thresholds in [json!(null), json!(0.3), json!([0.2, 0.7])] {
            let arguments = json!({"thresholds": thresholds});
            add(class_name, name, None, Columns, arguments);
        }
    }
    for (class_name, name) in [("Precision", "precision"), ("Recall", "recall")] {
        for arguments in [
            json!({}),
            json!({"thresholds": [0.2, 0.7]}),
            json!({"class_id": 1}),
        ] {
            add(class_name, name, up, Columns, arguments);
        }
        add(class_name, name, up, OneHot, json!({"top_k": 2}));
    }
    for (class_name, name, bound) in [
        ("PrecisionAtRecall", "precision_at_recall", "recall"),
        ("RecallAtPrecision", "recall_at_precision", "precision"),
        (
            "SensitivityAtSpecificity",
            "sensitivity_at_specificity",
            "specificity",
        ),
        (
            "SpecificityAtSensitivity",
            "specificity_at_sensitivity",
            "sensitivity",
        ),
    ] {
        let arguments = json!({bound: 0.5, "num_thresholds": 50});
        add(class_name, name, up, Columns, arguments.clone());
        let mut arguments = arguments;
        arguments["class_id"] = json!(2);
        add(class_name, name, up, Columns, arguments);
    }
    for arguments in [
        json!({}),
        json!({"curve": "PR"}),
        json!({"summation_method": "minoring", "num_thresholds": 20}),
        json!({"thresholds": [0.2, 0.5, 0.8], "summation_method": "majoring"}),
        json!({"multi_label": true, "num_labels": 3}),
    ] {
        add("AUC", "auc", up, Columns, arguments);
    }
    let of_columns = [("Hinge", "hinge"), ("SquaredHinge", "squared_hinge")];
    for (class_name, name) in of_columns {
        add(class_name, name, down, Columns, json!({}));
    }
    let classes = json!({"num_classes": 4});
    let of_two = json!({"num_classes": 4, "target_class_ids": [0, 2]});
    let ignoring = json!({"num_classes": 4, "ignore_class": 3});
    add("IoU", "io_u", up, Predicted, of_two.clone());
    add("MeanIoU", "mean_io_u", up, Predicted, classes.clone());
    add("MeanIoU", "mean_io_u", up, Predicted, ignoring);
    add("OneHotIoU", "one_hot_io_u", up, OneHot, of_two);
    add("OneHotMeanIoU", "one_hot_mean_io_u", up, OneHot, classes);
    for (class_name, name) in [
        ("KLDivergence", "kl_divergence"),
        ("LogCoshError", "logcosh"),
        ("MeanAbsoluteError", "mean_absolute_error"),
        (
            "MeanAbsolutePercentageError",
            "mean_absolute_percentage_error",
        ),
        ("MeanSquaredError", "mean_squared_error"),
        (
            "MeanSquaredLogarithmicError",
            "mean_squared_logarithmic_error",
        ),
        ("Poisson", "poisson"),
        ("RootMeanSquaredError", "root_mean_squared_error"),
    ] {
        add(class_name, name, down, Numbers, json!({}));
    }
    add(
        "PearsonCorrelation",
        "pearson_correlation",
        up,
        Numbers,
        json!({}),
    );
    for aggregation in [
        json!(null),
        json!("uniform_average"),
        json!("variance_weighted_average"),
    ] {
        let arguments = json!({"class_aggregation": aggregation});
        add("R2Score", "r2_score", up, Numbers, arguments);
    }
    add(
        "R2Score",
        "r2_score",
        up,
        Numbers,
        json!({"num_regressors": 2}),
    );
    let name = "sparse_categorical_accuracy";
    add("SparseCategoricalAccuracy", name, up, Labels, json!({}));
    for arguments in [
        json!({}),
        json!({"from_logits": true}),
        json!({"ignore_class": 3}),
    ] {
        let name = "sparse_categorical_crossentropy";
        add(
            "SparseCategoricalCrossentropy",
            name,
            down,
            Labels,
            arguments,
        );
    }
    let name = "sparse_top_k_categorical_accuracy";
    add(
        "SparseTopKCategoricalAccuracy",
        name,
        up,
        Labels,
        json!({"k": 2}),
    );
    let name = "top_k_categorical_accuracy";
    add("TopKCategoricalAccuracy", name, up, OneHot, json!({"k": 2}));
    cases
}

impl Case {
    fn metric(&self) -> Box<dyn Metric> {
        made(self.class_name, &self.arguments).unwrap()
    }

    fn what(&self) -> String {
        format!("{} {}", self.class_name, self.arguments)
    }

    /// Targets that do not fit the outputs.
    fn misfit(&self) -> Tensor {
        let columns = match self.samples {
            Samples::Predicted => 2,
            // One-hot ones, which "accuracy" alone takes as well.
            Samples::Labels if self.class_name != "accuracy" => 4,
            _ => 5,
        };
        numbers(&[SAMPLES, columns], "misfit")
    }
}

fn made(class_name: &str, arguments: &Value) -> serde_json::Result<Box<dyn Metric>> {
    serde_json::from_value(json!({"class_name": class_name, "config": arguments}))
}

/// The rows of these numbers.
fn rows(tensor: &Tensor, indices: &[u32]) -> Tensor {
    let indices = Tensor::new(indices, &Device::Cpu).unwrap();
    tensor.index_select(&indices, 0).unwrap()
}

/// What a metric counts of batches, each (targets, outputs, weights).
fn counted(metric: &dyn Metric, batches: &[(Tensor, Tensor, Option<Tensor>)]) -> Vec<f64> {
    let mut counter = metric.counter();
    for (y_true, y_pred, weights) in batches {
        counter.update(y_true, y_pred, weights.as_ref()).unwrap();
    }
    numbers_of(&mut *counter)
}

fn numbers_of(counter: &mut dyn Counter) -> Vec<f64> {
    let mut numbers = counter.values().unwrap();
    numbers.push(counter.result().unwrap());
    numbers
}

#[test]
fn no_metric_is_without_these_contracts() {
    let cases = cases();
    let catalogue = candle_keras::catalogue();
    let (_, classes) = catalogue
        .iter()
        .find(|(kind, _)| *kind == "metric")
        .unwrap();
    for class_name in classes {
        let covered = cases.iter().any(|case| case.class_name == *class_name);
        assert!(covered, "add {class_name} to the table of this file");
    }
}

#[test]
fn a_metric_has_the_name_that_keras_gives_it_and_the_one_that_is_asked_for() {
    for case in cases() {
        assert_eq!(case.metric().name(), case.name, "{}", case.what());
        if case.class_name == "accuracy" {
            continue; // Keras's string, which takes no argument
        }
        let mut arguments = case.arguments.clone();
        arguments["name"] = json!("mine");
        assert_eq!(made(case.class_name, &arguments).unwrap().name(), "mine");
    }
}

#[test]
fn a_metric_says_which_way_is_better_as_in_keras() {
    for case in cases() {
        assert_eq!(case.metric().direction(), case.direction, "{}", case.what());
        let weighted = Weighted(case.metric());
        assert_eq!(weighted.direction(), case.direction, "{}", case.what());
    }
}

#[test]
fn a_metric_made_from_its_own_configuration_is_the_same_metric() {
    for case in cases() {
        let metric = case.metric();
        let object = serde_json::to_value(&*metric).unwrap();
        let again: Box<dyn Metric> = serde_json::from_value(object.clone()).unwrap();
        assert_eq!(serde_json::to_value(&*again).unwrap(), object);
        assert_eq!(format!("{again:?}"), format!("{metric:?}"));
        let (y_true, y_pred) = case.samples.tensors();
        let batch = [(y_true, y_pred, None)];
        let same = counted(&*metric, &batch);
        assert_close(&case.what(), &counted(&*again, &batch), &same, 0.0, 0.0);
    }
}

#[test]
fn a_metric_refuses_an_argument_that_it_does_not_have() {
    for case in cases() {
        let error = made(case.class_name, &json!({"colour": 1})).unwrap_err();
        let text = error.to_string();
        let named = text.starts_with(&format!("metric `{}`: ", case.class_name));
        assert!(
            named && text.contains("`colour`"),
            "{}: {text}",
            case.what()
        );
    }
}

#[test]
fn what_is_counted_depends_neither_on_batches_nor_on_the_order_of_samples() {
    let mut differing = Vec::new();
    for case in cases() {
        let (y_true, y_pred) = case.samples.tensors();
        let metric = case.metric();
        let all = counted(&*metric, &[(y_true.clone(), y_pred.clone(), None)]);
        assert!(
            all.iter().all(|x| x.is_finite()),
            "{}: {all:?}",
            case.what()
        );
        let splits: [&[&[u32]]; 3] = [
            &[&[0, 1, 2], &[3, 4, 5, 6], &[7]],
            &[&[0], &[1], &[2], &[3], &[4], &[5], &[6], &[7]],
            &[&[7, 2, 5, 0], &[6, 4, 1, 3]],
        ];
        for split in splits {
            let batch = |indices: &&[u32]| (rows(&y_true, indices), rows(&y_pred, indices), None);
            let batches: Vec<_> = split.iter().map(batch).collect();
            assert_close(&case.what(), &counted(&*metric, &batches), &all, 1e-5, 1e-7);
        }
        let first = counted(
            &*metric,
            &[(rows(&y_true, &[0, 1]), rows(&y_pred, &[0, 1]), None)],
        );
        differing.push(first != all);
    }
    // Else the samples could not tell a metric that forgets a batch.
    assert!(differing.iter().filter(|differs| !**differs).count() < 6);
}

#[test]
fn asking_for_the_number_in_between_changes_nothing_and_counters_share_nothing() {
    for case in cases() {
        let (y_true, y_pred) = case.samples.tensors();
        let halves = [[0u32, 1, 2, 3], [4, 5, 6, 7]];
        let batch = |half: [u32; 4]| (rows(&y_true, &half), rows(&y_pred, &half), None);
        let metric = case.metric();
        let expected = counted(&*metric, &halves.map(batch));
        let (mut counter, mut other) = (metric.counter(), metric.counter());
        numbers_of(&mut *counter); // before the first sample as well
        for half in halves {
            let (y_true, y_pred, _) = batch(half);
            other.update(&y_true, &y_pred, None).unwrap();
            counter.update(&y_true, &y_pred, None).unwrap();
            numbers_of(&mut *counter);
        }
        let got = numbers_of(&mut *counter);
        assert_close(&case.what(), &got, &expected, 0.0, 0.0);
    }
}

#[test]
fn a_weight_counts_a_sample_that_often() {
    for case in cases() {
        let (y_true, y_pred) = case.samples.tensors();
        let metric = case.metric();
        let one = |weights: &[f32]| {
            let weights = Tensor::new(weights, &Device::Cpu).unwrap();
            vec![(y_true.clone(), y_pred.clone(), Some(weights))]
        };
        let of = |indices: &[u32]| {
            let weights = Tensor::ones(indices.len(), DType::F32, &Device::Cpu).unwrap();
            vec![(
                rows(&y_true, indices),
                rows(&y_pred, indices),
                Some(weights),
            )]
        };
        let compare = |what: &str, weights: &[f32], indices: &[u32]| {
            // Keras adjusts R² by how many numbers there are, whatever their weights.
            if case.arguments.get("num_regressors").is_some() && what != "once" {
                return;
            }
            let (got, expected) = (
                counted(&*metric, &one(weights)),
                counted(&*metric, &of(indices)),
            );
            assert_close(
                &format!("{} {what}", case.what()),
                &got,
                &expected,
                1e-5,
                1e-6,
            );
        };
        compare("once", &[1.0; 8], &[0, 1, 2, 3, 4, 5, 6, 7]);
        let twice = [1.0, 2.0, 1.0, 1.0, 2.0, 1.0, 1.0, 1.0];
        compare("twice", &twice, &[0, 1, 1, 2, 3, 4, 4, 5, 6, 7]);
        let never = [0.0, 1.0, 1.0, 0.0, 1.0, 1.0, 1.0, 0.0];
        compare("never", &never, &[1, 2, 4, 5, 6]);
    }
}

#[test]
fn a_metric_counts_f64_as_it_counts_f32() {
    for case in cases() {
        let (y_true, y_pred) = case.samples.tensors();
        let metric = case.metric();
        let single = counted(&*metric, &[(y_true.clone(), y_pred.clone(), None)]);
        let double = |tensor: &Tensor| tensor.to_dtype(DType::F64).unwrap();
        let double = counted(&*metric, &[(double(&y_true), double(&y_pred), None)]);
        assert_close(&case.what(), &double, &single, 1e-5, 1e-6);
    }
}

#[test]
fn of_no_samples_and_of_weights_that_are_all_0_a_metric_is_0_and_r2_is_nan_as_in_keras() {
    for case in cases() {
        let (y_true, y_pred) = case.samples.tensors();
        let nothing = |when: &str, numbers: &[f64]| {
            let expected = |x: &f64| match case.class_name {
                "R2Score" => x.is_nan(),
                _ => *x == 0.0,
            };
            let what = case.what();
            assert!(numbers.iter().all(expected), "{what} {when}: {numbers:?}");
        };
        let metric = case.metric();
        let mut counter = metric.counter();
        let before = numbers_of(&mut *counter);
        if case.class_name != "R2Score" {
            nothing("before", &before); // Keras fails for R2Score
        }
        let none = |tensor: &Tensor| tensor.narrow(0, 0, 0).unwrap();
        counter
            .update(&none(&y_true), &none(&y_pred), None)
            .unwrap();
        nothing("of no samples", &numbers_of(&mut *counter));
        let weights = Tensor::zeros(SAMPLES, DType::F32, &Device::Cpu).unwrap();
        counter.update(&y_true, &y_pred, Some(&weights)).unwrap();
        nothing("of zeros", &numbers_of(&mut *counter));
        counter.update(&y_true, &y_pred, None).unwrap();
        let (got, alone) = (
            numbers_of(&mut *counter),
            counted(&*metric, &[(y_true, y_pred, None)]),
        );
        // Keras adjusts R² by how many numbers there are, whatever their weights.
        if case.arguments.get("num_regressors").is_none() {
            assert_close(&case.what(), &got, &alone, 1e-12, 0.0);
        }
    }
}

#[test]
fn the_loss_of_no_batch_is_not_a_number() {
    let mut model = Sequential::new().add(Input::new(1)).add(Dense::new(1));
    model = model.build(&Device::Cpu).unwrap();
    let metrics = [metrics::MeanSquaredError::new()];
    model
        .compile(Sgd::new(0.1), losses::MeanSquaredError::new(), metrics)
        .unwrap();
    let logs = model.running_logs().unwrap();
    assert!(logs["loss"].is_nan());
}

#[test]
fn targets_that_do_not_fit_the_outputs_are_an_error_of_the_metric() {
    for case in cases() {
        let (_, y_pred) = case.samples.tensors();
        let misfit = case.misfit();
        let metric = case.metric();
        let checked = metric.check(&misfit.dims()[1..], &y_pred.dims()[1..]);
        let text = checked.unwrap_err().to_string();
        assert!(text.contains("expected"), "{}: {text}", case.what());
        let updated = metric.counter().update(&misfit, &y_pred, None);
        assert_eq!(updated.unwrap_err().to_string(), text, "{}", case.what());
        let too_few = misfit.narrow(0, 0, SAMPLES - 1).unwrap();
        let updated = metric.counter().update(&too_few, &y_pred, None);
        assert!(updated.is_err(), "{}", case.what());
    }
}

/// What `evaluate` says of a model with one metric, on samples of three numbers for three targets.
fn evaluated(class_name: &str, arguments: &Value) -> Result<f64> {
    let mut model = Sequential::new()
        .add(Input::new(3))
        .add(Rescaling::new(1.0));
    model = model.build(&Device::Cpu)?;
    let metric = made(class_name, arguments).unwrap();
    model.compile(Sgd::new(0.1), MeanSquaredError::new(), vec![metric])?;
    let (y, x) = Samples::Columns.tensors();
    let scores = model.evaluate_with(&x, &y, Evaluate::new().verbose(0))?;
    Ok(scores["loss"])
}

#[test]
fn an_argument_out_of_range_is_an_error_that_names_metric_and_argument() {
    for (class_name, arguments, expected) in [
        (
            "BinaryIoU",
            json!({"target_class_ids": [2]}),
            "`target_class_ids`",
        ),
        (
            "TruePositives",
            json!({"thresholds": [0.5, -0.1]}),
            "`thresholds`",
        ),
        ("Precision", json!({"class_id": 3}), "`class_id`"),
        ("Precision", json!({"top_k": 0}), "`top_k`"),
        ("Recall", json!({"thresholds": []}), "`thresholds`"),
        ("AUC", json!({"num_thresholds": 1}), "`num_thresholds`"),
        (
            "AUC",
            json!({"multi_label": true, "num_labels": 2}),
            "`num_labels`",
        ),
        ("PrecisionAtRecall", json!({"recall": 1.5}), "`recall`"),
        (
            "SensitivityAtSpecificity",
            json!({"specificity": -0.5}),
            "`specificity`",
        ),
        ("FBetaScore", json!({"beta": 0.0}), "`beta`"),
        ("F1Score", json!({"threshold": 0.0}), "`threshold`"),
        ("TopKCategoricalAccuracy", json!({"k": 0}), "`k`"),
        ("MeanIoU", json!({"num_classes": 0}), "`num_classes`"),
        ("CosineSimilarity", json!({"axis": 2}), "`axis`"),
        (
            "BinaryCrossentropy",
            json!({"label_smoothing": 1.5}),
            "`label_smoothing`",
        ),
        (
            "CategoricalCrossentropy",
            json!({"label_smoothing": -0.5}),
            "`label_smoothing`",
        ),
        ("CategoricalCrossentropy", json!({"axis": 2}), "`axis`"),
        ("CategoricalCrossentropy", json!({"axis": 0}), "`axis`"),
    ] {
        let text = evaluated(class_name, &arguments).unwrap_err().to_string();
        let named = text.starts_with("metric `") && text.contains(expected);
        assert!(named, "{class_name} {arguments}: {text}");
    }
    // Logits have thresholds outside 0 to 1, as in Keras.
    for threshold in [-1.0, 0.5, 1.5] {
        let arguments = json!({"threshold": threshold});
        assert!(evaluated("BinaryAccuracy", &arguments).is_ok());
        assert!(evaluated("BinaryIoU", &arguments).is_ok());
    }
}

/// Numbers of Keras 3.15.1 on TensorFlow: `metric.update_state(y_true, y_pred)` with these numbers.
#[test]
fn correlations_take_several_axes_as_in_keras() {
    let y_true = [
        [
            [0.51f32, 0.95, 0.14, 0.95],
            [0.31, 0.42, 0.83, 0.41],
            [0.55, 0.03, 0.75, 0.54],
        ],
        [
            [0.33, 0.79, 0.3, 0.45],
            [0.13, 0.4, 0.2, 0.26],
            [0.75, 0.28, 0.49, 0.98],
        ],
    ];
    let y_pred = [
        [
            [0.96f32, 0.72, 0.54, 0.28],
            [0.16, 0.97, 0.52, 0.12],
            [0.62, 0.78, 0.61, 0.92],
        ],
        [
            [0.04, 0.53, 0.46, 0.06],
            [0.64, 0.85, 0.59, 0.26],
            [0.84, 0.51, 0.51, 0.75],
        ],
    ];
    let [y_true, y_pred] = [y_true, y_pred].map(|x| Tensor::new(&x, &Device::Cpu).unwrap());
    for (class_name, axis, expected) in [
        ("PearsonCorrelation", json!([1, 2]), 0.13883425),
        ("PearsonCorrelation", json!([-1, -2]), 0.13883425),
        ("PearsonCorrelation", json!(1), 0.15011731),
        ("PearsonCorrelation", json!([0, 1]), 0.20842391),
        ("ConcordanceCorrelation", json!([1, 2]), 0.13553447),
        ("ConcordanceCorrelation", json!([0, 1]), 0.16515309),
        ("CosineSimilarity", json!([1, 2]), 0.81907713),
        ("CosineSimilarity", json!([0, 1]), 0.83926725),
    ] {
        let metric = made(class_name, &json!({"axis": axis})).unwrap();
        let got = counted(&*metric, &[(y_true.clone(), y_pred.clone(), None)]);
        assert_close(
            &format!("{class_name} {axis}"),
            &got[..1],
            &[expected],
            2e-6,
            0.0,
        );
        assert_eq!(metric.config().unwrap().arguments["axis"], axis);
        metric.check(&[3, 4], &[3, 4]).unwrap();
    }
    let twice = made("PearsonCorrelation", &json!({"axis": [1, -2]})).unwrap();
    let error = twice.check(&[3, 4], &[3, 4]).unwrap_err().to_string();
    assert!(error.contains("`axis`: expected different axes"), "{error}");
}

/// Numbers of Keras 3.15.1 on TensorFlow, of targets (2, 3) and outputs (2, 3, 1), which it makes
/// (2, 3); its KLDivergence fails there.
#[test]
fn outputs_with_a_last_axis_of_1_meet_targets_without_it_as_in_keras() {
    let y_true = Tensor::new(&[[0.1f32, 0.8, 0.1], [1.0, 0.0, 0.0]], &Device::Cpu).unwrap();
    let y_pred = Tensor::new(&[[0.2f32, 0.5, 0.3], [0.6, 0.3, 0.1]], &Device::Cpu).unwrap();
    let steps = y_pred.unsqueeze(2).unwrap();
    for (class_name, arguments) in [
        ("CosineSimilarity", json!({})),
        ("PearsonCorrelation", json!({})),
        ("KLDivergence", json!({})),
        ("MeanSquaredError", json!({})),
        ("RootMeanSquaredError", json!({})),
        ("BinaryAccuracy", json!({})),
        ("BinaryCrossentropy", json!({})),
        ("Precision", json!({"class_id": 1})),
        ("AUC", json!({"multi_label": true})),
    ] {
        let metric = made(class_name, &arguments).unwrap();
        metric.check(&[3], &[3, 1]).unwrap();
        let got = counted(&*metric, &[(y_true.clone(), steps.clone(), None)]);
        let expected = counted(&*metric, &[(y_true.clone(), y_pred.clone(), None)]);
        assert_close(class_name, &got, &expected, 0.0, 0.0);
    }
    let cosine = made("CosineSimilarity", &json!({})).unwrap();
    let got = counted(&*cosine, &[(y_true, steps, None)]);
    assert_close("cosine", &got[..1], &[0.89160752], 1e-6, 0.0);
}
