"""metrics.json

`cases`: [{`name`, `object`, `batches`: [{`y_true`, `y_pred`, `sample_weight`, `result`}]}]: result
is the metric over all batches so far, a number or a list of them; sample_weight is a Tensor or
null. Labels of classes are integers, other targets float32.

`automatic`: [{`name`, `requested`, `chosen`, `batches`: [{`y_true`, `y_pred`, `result`}]}]:
requested is the string given to compile(metrics=[..]), chosen the Keras class it became, result
the metric (a number) over all batches so far.

Scores have ties, and values that equal a threshold exactly.
"""

import numpy as np
import keras

from .writing import check_coverage, described, f32, float32, numbers, rebuilt, tensor

# Means of what the caller has computed, and bases of the others.
LEFT_OUT = ["Mean", "MeanMetricWrapper", "Metric", "Sum"]


def batches_of(y_true, y_pred, weights=None):
    """Two batches: 5 rows and 3."""
    parts = [slice(0, 5), slice(5, 8)]
    return [
        (y_true[part], y_pred[part], None if weights is None else weights[part]) for part in parts
    ]


WEIGHTS = f32([1, 0.5, 2, 0, 1.5, 3, 0.25, 1])
LABELS = np.array([3, 2, 1, 0, 2, 2, 0, 1], dtype=np.int32)
ONE_HOT = np.eye(4, dtype=np.float32)[LABELS]
# Rows with ties at the maximum (3), at the second place (2, 5) and of everything (6).
SCORES = f32(
    [
        [0.1, 0.6, 0.2, 0.1],
        [0.5, 0.2, 0.2, 0.1],
        [0.4, 0.4, 0.15, 0.05],
        [0.3, 0.35, 0.35, 0],
        [0.2, 0.2, 0.5, 0.1],
        [0.25, 0.05, 0.25, 0.45],
        [0.25, 0.25, 0.25, 0.25],
        [0.1, 0.65, 0.05, 0.2],
    ]
)
SOFT = f32(
    [
        [0.1, 0.6, 0.2, 0.1],
        [0.05, 0.15, 0.7, 0.1],
        [0.25, 0.25, 0.25, 0.25],
        [0.1, 0.7, 0.1, 0.1],
        [0, 0.2, 0.8, 0],
        [0.3, 0.1, 0.4, 0.2],
        [1, 0, 0, 0],
        [0.2, 0.2, 0.2, 0.4],
    ]
)
PROBABILITIES = f32(
    [
        [0.1, 0.6, 0.2, 0.1],
        [0.5, 0.2, 0.2, 0.1],
        [0.3, 0.4, 0.25, 0.05],
        [0.3, 0.35, 0.25, 0.1],
        [0.2, 0.1, 0.6, 0.1],
        [0.25, 0.05, 0.25, 0.45],
        [0.4, 0.2, 0.2, 0.2],
        [0.1, 0.65, 0.05, 0.2],
    ]
)
LOGITS = f32(np.round(np.log(PROBABILITIES) * 1.5 + 1, 2))
MANY_HOT = f32(
    [
        [1, 1, 0, 0],
        [0, 0, 1, 1],
        [1, 0, 1, 0],
        [0, 0, 0, 0],
        [1, 0, 1, 1],
        [0, 1, 1, 0],
        [1, 1, 0, 1],
        [0, 0, 1, 1],
    ]
)
# Values that equal the thresholds of the cases below: 0, 0.25, 0.5, 0.75 and 1.
SIGMOIDS = f32(
    [
        [0.9, 0.5, 0.2, 0.25],
        [0.1, 0.75, 0.6, 0.5],
        [0.55, 0.3, 1, 0],
        [0.4, 0.6, 0.05, 0.8],
        [0.7, 0.5, 0.35, 0.95],
        [0.3, 0.45, 0.85, 0.15],
        [0.5, 0.25, 0.65, 0],
        [0.2, 0.1, 1, 0.5],
    ]
)
SIGMOID_LOGITS = f32(np.round((SIGMOIDS - 0.45) * 4, 2))
BINARY = f32([0, 0, 1, 1, 1, 0, 1, 0])
BINARY_SCORES = f32([0.1, 0.6, 0.5, 0.8, 0.3, 0, 1, 0.75])
BINARY_LOGITS = f32([-2, 0.5, 0, 1.5, -0.75, -6, 6, 1.25])
VALUES = f32([[1, -0.5], [0, 0.25], [3, 1], [-2, 0.75], [0.5, 2], [1.5, -1], [-0.25, 0], [4, 1.25]])
PREDICTED = f32(
    [[0.8, -0.1], [0.3, 0.25], [2.2, 1.7], [-1.1, 0.5], [1, 1.5], [1.25, -1.5], [0, 0.5], [3, 1]]
)
CLASSES = np.array([0, 1, 2, 2, 1, 0, 3, 2], dtype=np.int32)
PREDICTED_CLASSES = np.array([0, 2, 2, 1, 1, 3, 3, 2], dtype=np.int32)


def both(name, metric, y_true, y_pred):
    """The metric without and with sample weights."""
    return [
        (name, metric(), batches_of(y_true, y_pred)),
        (f"{name}_weighted", metric(), batches_of(y_true, y_pred, WEIGHTS)),
    ]


def accuracy_rows():
    m = keras.metrics
    column, pred = BINARY[:, None], BINARY_SCORES[:, None]
    top_2, sparse_top_2 = lambda: m.TopKCategoricalAccuracy(
        2
    ), lambda: m.SparseTopKCategoricalAccuracy(2)
    ids = np.argsort(-SCORES, axis=1, kind="stable").astype(np.float32)
    in_3d = lambda values: values.reshape(8, 2, -1)
    return [
        *both("accuracy", m.Accuracy, CLASSES, PREDICTED_CLASSES),
        *both("binary_accuracy", m.BinaryAccuracy, column, pred),
        ("binary_accuracy_vector", m.BinaryAccuracy(), batches_of(BINARY, pred)),
        *both("binary_accuracy_multi_label", m.BinaryAccuracy, MANY_HOT, SIGMOIDS),
        *both(
            "binary_accuracy_threshold",
            lambda: m.BinaryAccuracy(threshold=0.25),
            MANY_HOT,
            SIGMOIDS,
        ),
        ("binary_accuracy_3d", m.BinaryAccuracy(), batches_of(in_3d(MANY_HOT), in_3d(SIGMOIDS))),
        *both("categorical_accuracy", m.CategoricalAccuracy, ONE_HOT, SCORES),
        *both("sparse_categorical_accuracy", m.SparseCategoricalAccuracy, LABELS, SCORES),
        *both(
            "sparse_categorical_accuracy_column",
            m.SparseCategoricalAccuracy,
            LABELS[:, None],
            SCORES,
        ),
        *both("top_k_categorical_accuracy", top_2, ONE_HOT, SCORES),
        (
            "top_k_categorical_accuracy_k_3",
            m.TopKCategoricalAccuracy(k=3),
            batches_of(ONE_HOT, SCORES),
        ),
        (
            "top_k_categorical_accuracy_k_5",
            m.TopKCategoricalAccuracy(),
            batches_of(ONE_HOT, SCORES),
        ),
        *both("sparse_top_k_categorical_accuracy", sparse_top_2, LABELS, SCORES),
        (
            "sparse_top_k_categorical_accuracy_column",
            sparse_top_2(),
            batches_of(LABELS[:, None], SCORES),
        ),
        (
            "sparse_top_k_categorical_accuracy_from_sorted_ids",
            m.SparseTopKCategoricalAccuracy(k=2, from_sorted_ids=True),
            batches_of(LABELS, ids),
        ),
        *rows_3d(),
    ]


def rows_3d():
    """Two sequences of two, then one; weights of each step."""
    m = keras.metrics
    labels, one_hot = LABELS.reshape(4, 2), ONE_HOT.reshape(4, 2, 4)
    scores, weights = SCORES.reshape(4, 2, 4), WEIGHTS.reshape(4, 2)
    parts = [slice(0, 3), slice(3, 4)]
    rows = []
    for name, metric, y_true in [
        ("sparse_categorical_accuracy_3d", m.SparseCategoricalAccuracy, labels),
        ("categorical_accuracy_3d", m.CategoricalAccuracy, one_hot),
        (
            "sparse_top_k_categorical_accuracy_3d",
            lambda: m.SparseTopKCategoricalAccuracy(2),
            labels,
        ),
        ("mean_squared_error_3d", m.MeanSquaredError, one_hot),
    ]:
        plain = [(y_true[part], scores[part], None) for part in parts]
        weighted = [(y_true[part], scores[part], weights[part]) for part in parts]
        rows += [(name, metric(), plain), (f"{name}_weighted", metric(), weighted)]
    return rows


def confusion_rows():
    m = keras.metrics
    thresholds, uneven = [0.0, 0.25, 0.5, 0.75, 1.0], [0.2, 0.5, 0.6]
    rows = []
    for name, metric in [
        ("true_positives", m.TruePositives),
        ("true_negatives", m.TrueNegatives),
        ("false_positives", m.FalsePositives),
        ("false_negatives", m.FalseNegatives),
        ("precision", m.Precision),
        ("recall", m.Recall),
    ]:
        rows += [
            *both(name, metric, BINARY, BINARY_SCORES),
            (f"{name}_column", metric(), batches_of(BINARY[:, None], BINARY_SCORES[:, None])),
            (f"{name}_threshold", metric(thresholds=0.25), batches_of(MANY_HOT, SIGMOIDS)),
            *both(f"{name}_even", lambda: metric(thresholds=thresholds), MANY_HOT, SIGMOIDS),
            *both(f"{name}_uneven", lambda: metric(thresholds=uneven), MANY_HOT, SIGMOIDS),
        ]
    for name, metric in [("precision", m.Precision), ("recall", m.Recall)]:
        rows += [
            *both(f"{name}_class_id", lambda: metric(class_id=2), MANY_HOT, SIGMOIDS),
            *both(f"{name}_top_k", lambda: metric(top_k=2), MANY_HOT, SCORES),
            (
                f"{name}_top_k_threshold",
                metric(thresholds=0.3, top_k=2),
                batches_of(MANY_HOT, SCORES),
            ),
            (f"{name}_top_k_class_id", metric(top_k=2, class_id=1), batches_of(ONE_HOT, SCORES)),
            (f"{name}_nothing", metric(thresholds=1.0), batches_of(0 * BINARY, BINARY_SCORES)),
        ]
    return rows


def constrained_rows():
    m = keras.metrics
    rows = []
    for name, metric in [
        ("sensitivity_at_specificity", m.SensitivityAtSpecificity),
        ("specificity_at_sensitivity", m.SpecificityAtSensitivity),
        ("precision_at_recall", m.PrecisionAtRecall),
        ("recall_at_precision", m.RecallAtPrecision),
    ]:
        rows += [
            *both(name, lambda: metric(0.5), BINARY, BINARY_SCORES),
            *both(f"{name}_multi_label", lambda: metric(0.6), MANY_HOT, SIGMOIDS),
            (
                f"{name}_one_threshold",
                metric(0.4, num_thresholds=1),
                batches_of(MANY_HOT, SIGMOIDS),
            ),
            (f"{name}_thresholds", metric(0.7, num_thresholds=5), batches_of(MANY_HOT, SIGMOIDS)),
            (f"{name}_class_id", metric(0.5, class_id=2), batches_of(MANY_HOT, SIGMOIDS)),
            (f"{name}_unmet", metric(1.0), batches_of(BINARY, BINARY_SCORES)),
        ]
    return rows


def auc_rows():
    auc = keras.metrics.AUC
    rows = []
    for curve in ["ROC", "PR", "PRGAIN"]:
        for method in ["interpolation", "minoring", "majoring"]:
            make = lambda: auc(curve=curve, summation_method=method)
            rows += both(f"auc_{curve.lower()}_{method}", make, BINARY, BINARY_SCORES)
        for name, arguments in [
            ("thresholds_5", {"num_thresholds": 5}),
            ("thresholds_2", {"num_thresholds": 2}),
            ("even", {"thresholds": [0.5, 0.25, 0.75]}),
            ("uneven", {"thresholds": [0.2, 0.5, 0.6]}),
            ("multi_label", {"multi_label": True}),
            ("multi_label_uneven", {"multi_label": True, "thresholds": [0.2, 0.5, 0.6]}),
            ("multi_label_num_labels", {"multi_label": True, "num_labels": 4}),
            ("label_weights", {"label_weights": [1.0, 0.5, 2.0, 0.0]}),
            ("multi_label_weights", {"multi_label": True, "label_weights": [1.0, 0.5, 2.0, 0.0]}),
        ]:
            make = lambda: auc(curve=curve, **arguments)
            rows += both(f"auc_{curve.lower()}_{name}", make, MANY_HOT, SIGMOIDS)
        logits = auc(curve=curve, from_logits=True)
        rows.append((f"auc_{curve.lower()}_logits", logits, batches_of(BINARY, BINARY_LOGITS)))
    return rows


def f_score_rows():
    m = keras.metrics
    rows = []
    for average in [None, "micro", "macro", "weighted"]:
        for threshold in [None, 0.5]:
            make = lambda: m.F1Score(average=average, threshold=threshold)
            ending = f"{average}_{threshold}".lower()
            rows += both(f"f1_score_{ending}", make, MANY_HOT, SIGMOIDS)
            metric = m.FBetaScore(average=average, beta=2.0, threshold=threshold)
            rows.append((f"fbeta_score_{ending}", metric, batches_of(MANY_HOT, SIGMOIDS)))
    zeros = (ONE_HOT, 0 * SCORES)
    return [
        *rows,
        ("f1_score_ties", m.F1Score(), batches_of(ONE_HOT, SCORES)),
        ("f1_score_zeros", m.F1Score(), batches_of(*zeros)),
        ("fbeta_score", m.FBetaScore(), batches_of(ONE_HOT, SCORES)),
        (
            "fbeta_score_half",
            m.FBetaScore(beta=0.5, threshold=0.25),
            batches_of(MANY_HOT, SIGMOIDS),
        ),
    ]


def regression_rows():
    m = keras.metrics
    pair, positive = (VALUES, PREDICTED), (np.abs(VALUES) + 0.5, np.abs(PREDICTED))
    column = (VALUES[:, 0], PREDICTED[:, :1])
    r2 = m.R2Score
    axis_0 = lambda: m.CosineSimilarity(axis=0)
    return [
        *both("mean_absolute_error", m.MeanAbsoluteError, *pair),
        *both("mean_squared_error", m.MeanSquaredError, *pair),
        *both("mean_squared_error_vector_against_column", m.MeanSquaredError, *column),
        *both("root_mean_squared_error", m.RootMeanSquaredError, *pair),
        *both("root_mean_squared_error_vector_against_column", m.RootMeanSquaredError, *column),
        *both("mean_absolute_percentage_error", m.MeanAbsolutePercentageError, *positive),
        *both("mean_squared_logarithmic_error", m.MeanSquaredLogarithmicError, *positive),
        *both("log_cosh_error", m.LogCoshError, *pair),
        *both("cosine_similarity", m.CosineSimilarity, *pair),
        ("cosine_similarity_axis_0", axis_0(), batches_of(*pair)),
        *both("r2_score", r2, *pair),
        *both("r2_score_per_output", lambda: r2(class_aggregation=None), *pair),
        *both("r2_score_by_variance", lambda: r2("variance_weighted_average"), *pair),
        *both("r2_score_adjusted", lambda: r2(num_regressors=2), *pair),
        ("r2_score_adjusted_per_output", r2(None, num_regressors=2), batches_of(*pair)),
        # More regressors than samples: falls back to the plain score, with a warning.
        ("r2_score_too_many_regressors", r2(num_regressors=20), batches_of(*pair)),
        *both(
            "pearson_correlation", m.PearsonCorrelation, SOFT[[0, 1, 3, 4, 5, 6, 7, 7]], SIGMOIDS
        ),
        ("pearson_correlation_axis_0", m.PearsonCorrelation(axis=0), batches_of(*pair)),
        *both("concordance_correlation", m.ConcordanceCorrelation, SOFT, SIGMOIDS),
        ("concordance_correlation_axis_0", m.ConcordanceCorrelation(axis=0), batches_of(*pair)),
    ]


def probabilistic_rows():
    m = keras.metrics
    counts = f32([[1, 0], [4, 2], [0, 3], [2, 1], [5, 0], [1, 1], [0, 2], [3, 0]])
    bce, cce, scce = (
        m.BinaryCrossentropy,
        m.CategoricalCrossentropy,
        m.SparseCategoricalCrossentropy,
    )
    smooth, logits = {"label_smoothing": 0.2}, {"from_logits": True}
    unsaturated = np.clip(SIGMOIDS, 0.02, 0.98).astype(np.float32)
    return [
        *both("kl_divergence", m.KLDivergence, SOFT, PROBABILITIES),
        *both("poisson", m.Poisson, counts, np.abs(PREDICTED) + f32(0.5)),
        *both("binary_crossentropy", bce, MANY_HOT, unsaturated),
        ("binary_crossentropy_column", bce(), batches_of(BINARY[:, None], unsaturated[:, :1])),
        ("binary_crossentropy_smoothed", bce(**smooth), batches_of(MANY_HOT, unsaturated)),
        ("binary_crossentropy_logits", bce(**logits), batches_of(MANY_HOT, SIGMOID_LOGITS)),
        *both("categorical_crossentropy", cce, ONE_HOT, PROBABILITIES),
        ("categorical_crossentropy_smoothed", cce(**smooth), batches_of(ONE_HOT, PROBABILITIES)),
        ("categorical_crossentropy_logits", cce(**logits), batches_of(SOFT, LOGITS)),
        *both("sparse_categorical_crossentropy", scce, LABELS, PROBABILITIES),
        (
            "sparse_categorical_crossentropy_column",
            scce(),
            batches_of(LABELS[:, None], PROBABILITIES),
        ),
        ("sparse_categorical_crossentropy_logits", scce(**logits), batches_of(LABELS, LOGITS)),
        # Only with weights do the ignored samples leave the divisor.
        *both(
            "sparse_categorical_crossentropy_ignore_class",
            lambda: scce(ignore_class=1),
            LABELS,
            PROBABILITIES,
        ),
        *both("hinge", m.Hinge, MANY_HOT, SIGMOID_LOGITS),
        *both("hinge_signs", m.Hinge, 2 * MANY_HOT - 1, SIGMOID_LOGITS),
        *both("squared_hinge", m.SquaredHinge, MANY_HOT, SIGMOID_LOGITS),
        *both("categorical_hinge", m.CategoricalHinge, ONE_HOT, LOGITS),
    ]


def iou_rows():
    m = keras.metrics
    classes, sigmoids = (CLASSES, PREDICTED_CLASSES), (BINARY, BINARY_SCORES)
    outside = CLASSES.copy()
    outside[3] = 7  # no such class
    sparse = {"sparse_y_true": False, "sparse_y_pred": False}
    return [
        *both("mean_iou", lambda: m.MeanIoU(num_classes=4), *classes),
        # Classes that never occur do not count.
        ("mean_iou_more_classes", m.MeanIoU(num_classes=6), batches_of(*classes)),
        ("mean_iou_ignore_class", m.MeanIoU(num_classes=4, ignore_class=2), batches_of(*classes)),
        ("mean_iou_outside", m.MeanIoU(num_classes=4), batches_of(outside, PREDICTED_CLASSES)),
        ("mean_iou_one_hot", m.MeanIoU(num_classes=4, **sparse), batches_of(ONE_HOT, SCORES)),
        *both("iou", lambda: m.IoU(num_classes=4, target_class_ids=[0, 2]), *classes),
        ("iou_ignore_class", m.IoU(4, [0, 2], ignore_class=0), batches_of(*classes)),
        *both("binary_iou", m.BinaryIoU, *sigmoids),
        # A prediction equal to the threshold is of class 1.
        (
            "binary_iou_custom",
            m.BinaryIoU(target_class_ids=[1], threshold=0.75),
            batches_of(*sigmoids),
        ),
        ("binary_iou_multi_label", m.BinaryIoU(), batches_of(MANY_HOT, SIGMOIDS)),
        *both(
            "one_hot_iou",
            lambda: m.OneHotIoU(num_classes=4, target_class_ids=[1, 3]),
            ONE_HOT,
            SCORES,
        ),
        (
            "one_hot_iou_sparse_predictions",
            m.OneHotIoU(4, [0, 2], sparse_y_pred=True),
            batches_of(ONE_HOT, PREDICTED_CLASSES),
        ),
        *both("one_hot_mean_iou", lambda: m.OneHotMeanIoU(num_classes=4), ONE_HOT, SCORES),
        (
            "one_hot_mean_iou_sparse_predictions",
            m.OneHotMeanIoU(4, ignore_class=1, sparse_y_pred=True),
            batches_of(ONE_HOT, PREDICTED_CLASSES),
        ),
    ]


def number_or_list(result):
    result = np.asarray(result)
    return float32(result) if result.shape == () else numbers(result)


def case(name, metric, batches):
    description = described(metric)
    metric = rebuilt(metric)
    rows = []
    for y_true, y_pred, weights in batches:
        metric.update_state(y_true, y_pred, sample_weight=weights)
        rows.append(
            {
                "y_true": tensor(y_true),
                "y_pred": tensor(y_pred),
                "sample_weight": None if weights is None else tensor(weights),
                "result": number_or_list(metric.result()),
            }
        )
    return {**description, "name": name, "batches": rows}


def automatic():
    """What metrics=["accuracy"] becomes."""
    # Ties (rows 2 and 3 of the first batch, row 2 of the second): the first maximum counts.
    scores = [
        f32(
            [[0.1, 0.7, 0.2], [0.5, 0.2, 0.3], [0.4, 0.4, 0.2], [0.3, 0.35, 0.35], [0.2, 0.2, 0.6]]
        ),
        f32([[0.25, 0.25, 0.5], [1 / 3, 1 / 3, 1 / 3], [0.1, 0.8, 0.1]]),
    ]
    labels = [np.array([1, 2, 1, 1, 2], dtype=np.int32), np.array([2, 0, 0], dtype=np.int32)]
    # Exactly 0.5 counts as class 0.
    sigmoids = [f32([[0.98], [0.5], [0], [0.6], [0.50000006]]), f32([[0.5], [0.49999997], [1]])]
    binary = [f32([[1], [1], [0], [0], [1]]), f32([[0], [0], [1]])]
    many_hot = [
        f32([[0, 1, 0], [1, 0, 1], [0, 1, 1], [0, 0, 0], [1, 1, 1]]),
        f32([[0, 0, 1], [1, 1, 1], [1, 0, 0]]),
    ]
    table = [
        ("categorical", [np.eye(3, dtype=np.float32)[y] for y in labels], scores),
        ("categorical_multi_label", many_hot, scores),
        ("sparse_vector_labels", labels, scores),
        ("sparse_column_labels", [y[:, None] for y in labels], scores),
        ("binary_column_labels", binary, sigmoids),
        ("binary_vector_labels", [y[:, 0] for y in binary], sigmoids),
        ("binary_integer_labels", [y[:, 0].astype(np.int32) for y in binary], sigmoids),
    ]
    cases = []
    # Outputs with steps: the last axis decides, not the rank.
    def steps(values):
        return [np.stack([v, np.roll(v, 1, axis=0)], axis=1) for v in values]

    table += [
        ("sparse_steps", steps(labels), steps(scores)),
        ("binary_steps", [y[..., 0] for y in steps(binary)], steps(sigmoids)),
    ]
    for name, y_true, y_pred in table:
        # A model that returns its input, so that compile does the choosing, through public calls.
        model = keras.Sequential(
            [keras.Input(y_pred[0].shape[1:]), keras.layers.Activation("linear")]
        )
        model.compile(
            loss=lambda y_true, y_pred: keras.ops.mean(y_pred, axis=-1),
            metrics=["accuracy"],
            jit_compile=False,
        )
        batches = []
        for count, (true, pred) in enumerate(zip(y_true, y_pred), start=1):
            # Over all batches so far: the first has the batch size, the second is a smaller rest.
            so_far = [np.concatenate(values[:count]) for values in (y_pred, y_true)]
            scores = model.evaluate(*so_far, batch_size=5, verbose=0, return_dict=True)
            result = scores["accuracy"]
            batches.append(
                {"y_true": tensor(true), "y_pred": tensor(pred), "result": float32(result)}
            )
        (chosen,) = model._compile_metrics.metrics  # compile's choice has no public name
        cases.append(
            {
                "name": name,
                "requested": "accuracy",
                "chosen": type(chosen).__name__,
                "batches": batches,
            }
        )
    return cases


def content():
    groups = [
        accuracy_rows,
        confusion_rows,
        constrained_rows,
        auc_rows,
        f_score_rows,
        regression_rows,
        probabilistic_rows,
        iou_rows,
    ]
    cases = [case(*row) for rows in groups for row in rows()]
    classes = {case["object"]["class_name"] for case in cases}
    functions = [name for name in vars(keras.metrics) if name.islower()]
    check_coverage(keras.metrics, classes, [*LEFT_OUT, *functions])
    return {"automatic": automatic(), "cases": cases}
