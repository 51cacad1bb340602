"""losses.json

`cases`: [{`name`, `object`, `y_true`, `y_pred`, `sample_weight`, `per_sample`, `value`,
`gradient`}], all but name and object Tensors or numbers:

- per_sample is with reduction "none" and no sample weight, a scalar for some Dice and Tversky.
- value (a number) is by the object's own reduction, with sample_weight (a Tensor or null).
- gradient is d value / d y_pred.

`fused`: the same, but the loss gets y_pred = activation(z): {.., `activation`, `z`} in place of
`y_pred`, and gradient is d value / dz. The crossentropies see that y_pred came straight out of
softmax or sigmoid and work on z, so these do not saturate; BinaryFocalCrossentropy does so for its
crossentropy, not for its factor. Not so CategoricalFocalCrossentropy, nor a y_pred that the loss
has to squeeze first, nor SparseCategoricalCrossentropy with ignore_class: these clip to
[1e-7, 1 - 1e-7], and their cases are here to show it.

Labels of classes are integers, other targets float32. Outputs are (4, 3), (4, 1) or (2, 3, 4), and
(4, 3, 1) where the loss squeezes them.
"""

import numpy as np
import tensorflow as tf
import keras

from .writing import SEED, check_coverage, described, f32, float32, rebuilt, tensor

LEFT_OUT = ["CTC", "Loss"]

REGRESSION_TRUE = f32([[1, -0.5, 2], [0, 0.25, -1.5], [3, 1, 0], [-2, 0.75, 1]])
REGRESSION_PRED = f32([[0.8, -0.1, 2.4], [0.3, 0.25, -1], [2.2, 1.7, -0.4], [-1.1, 0.5, 1.9]])
POSITIVE_TRUE = f32([[1, 0.5, 2], [4, 0.25, 1.5], [3, 1, 7], [2, 0.75, 1]])
POSITIVE_PRED = f32([[0.8, 0.1, 2.4], [0.3, 0.25, 1], [2.2, 1.7, 0.4], [1.1, 0.5, 1.9]])
COUNTS = f32([[1, 0, 2], [4, 0, 1], [3, 1, 7], [2, 0, 1]])
ONE_HOT = f32([[0, 1, 0], [0, 0, 1], [1, 0, 0], [0, 1, 0]])
SOFT = f32([[0.1, 0.8, 0.1], [0, 0.25, 0.75], [1, 0, 0], [0.5, 0.25, 0.25]])
MANY_HOT = f32([[1, 0, 1], [0, 0, 0], [1, 1, 1], [0, 1, 0]])
SIGNS = 2 * MANY_HOT - 1
LABELS = np.array([1, 2, 0, 1], dtype=np.int32)
# Not saturated; the last row does not sum to 1, which Keras normalises.
SOFTMAXED = f32([[0.05, 0.9, 0.05], [0.1, 0.7, 0.2], [0.6, 0.3, 0.1], [0.4, 0.5, 0.3]])
SIGMOIDED = f32([[0.9, 0.2, 0.6], [0.1, 0.4, 0.3], [0.7, 0.8, 0.95], [0.5, 0.05, 0.65]])
LOGITS = f32([[0.5, 2, -1], [1.5, -0.3, 0.2], [-2, 0, 3], [0.1, 0.1, 0.1]])
EXTREME = f32([[1e4, -1e4, 0], [-1e4, 50, 1e4], [1e4, 1e4, -1e4], [-100, 100, 40]])
# So steep that a loss which is not fused clips some of its probabilities.
STEEP = f32([[50, -60, 0], [-40, 20, 30], [18, 17, -90], [-25, 16, 4]])
COLUMN_TRUE = f32([[1], [0], [1], [0]])
COLUMN_PRED = f32([[0.8], [0.3], [0.45], [0.6]])
COLUMN_LOGITS = f32([[1.25], [-0.75], [-0.2], [0.4]])
COLUMN_EXTREME = f32([[1e4], [1e4], [-1e4], [-100]])
WEIGHTS = f32([1, 0, 2.5, 0.5])
WEIGHTS_3D = f32([[1, 0, 2], [0.5, 1.5, 0.25]])
EMBEDDINGS = f32([[1, 0], [0.8, 0.6], [0, 1], [0.6, 0.8], [0.28, 0.96], [-0.6, 0.8]])
IDENTITIES = np.array([0, 0, 1, 1, 2, 2], dtype=np.int32)


def outputs_3d():
    """Targets and outputs of shape (2, 3, 4) by name."""
    random = np.random.default_rng([SEED, 1])
    shape = (2, 3, 4)
    labels = np.array([[1, 3, 0], [2, 1, 1]], dtype=np.int32)
    logits = f32(np.round(random.uniform(-2, 2, shape), 2))
    exponentials = np.exp(logits.astype(np.float64))
    soft = np.exp(random.uniform(-1, 1, shape))
    return {
        "labels": labels,
        "one_hot": np.eye(shape[-1], dtype=np.float32)[labels],
        "many_hot": random.integers(0, 2, shape).astype(np.float32),
        "soft": f32(np.round(soft / soft.sum(axis=-1, keepdims=True), 3)),
        "values": f32(np.round(random.uniform(-2, 2, shape), 2)),
        "positive": f32(np.round(random.uniform(0.2, 3, shape), 2)),
        "counts": random.integers(0, 5, shape).astype(np.float32),
        "logits": logits,
        "softmaxed": f32(np.round(exponentials / exponentials.sum(axis=-1, keepdims=True), 3)),
        "sigmoided": f32(np.round(exponentials / (1 + exponentials), 3)),
        "outputs": f32(np.round(random.uniform(0.1, 3, shape), 2)),
    }


def regression_rows(d):
    pair, positive = (REGRESSION_TRUE, REGRESSION_PRED), (POSITIVE_TRUE, POSITIVE_PRED)
    pair_3d, positive_3d = (d["values"], d["logits"]), (d["positive"], d["outputs"])
    mse, mae = keras.losses.MeanSquaredError, keras.losses.MeanAbsoluteError
    mape = keras.losses.MeanAbsolutePercentageError
    msle = keras.losses.MeanSquaredLogarithmicError
    huber, cosine = keras.losses.Huber, keras.losses.CosineSimilarity
    zeros = f32(np.zeros((4, 3)))
    return [
        ("mse", mse(), *pair),
        ("mse_column", mse(), REGRESSION_TRUE[:, :1], REGRESSION_PRED[:, :1]),
        ("mse_vector_against_column", mse(), REGRESSION_TRUE[:, 0], REGRESSION_PRED[:, :1]),
        ("mse_3d", mse(), *pair_3d),
        ("mae", mae(), *pair),
        ("mae_vector_against_column", mae(), REGRESSION_TRUE[:, 0], REGRESSION_PRED[:, :1]),
        ("mae_3d", mae(reduction="sum"), *pair_3d),
        ("mape", mape(), *positive),
        ("mape_zero_target", mape(), REGRESSION_TRUE, REGRESSION_PRED),
        ("mape_3d", mape(reduction="sum"), *positive_3d),
        ("msle", msle(), *positive),
        ("msle_negative", msle(), *pair),
        ("msle_3d", msle(reduction="sum"), *positive_3d),
        ("huber", huber(), *pair),
        ("huber_delta", huber(delta=0.5), *pair),
        ("huber_3d", huber(delta=1.5, reduction="sum"), *pair_3d),
        ("log_cosh", keras.losses.LogCosh(), *pair),
        ("log_cosh_large", keras.losses.LogCosh(), 100 * REGRESSION_TRUE, REGRESSION_PRED),
        ("log_cosh_3d", keras.losses.LogCosh(reduction="sum"), *pair_3d),
        ("cosine_similarity", cosine(), *pair),
        ("cosine_similarity_axis_0", cosine(axis=0), *pair),
        ("cosine_similarity_zero_target", cosine(), zeros, REGRESSION_PRED),
        ("cosine_similarity_3d", cosine(axis=1, reduction="sum"), *pair_3d),
        ("poisson", keras.losses.Poisson(), COUNTS, POSITIVE_PRED),
        ("poisson_3d", keras.losses.Poisson(reduction="sum"), d["counts"], d["outputs"]),
    ]


def binary_rows(d):
    bce, focal = keras.losses.BinaryCrossentropy, keras.losses.BinaryFocalCrossentropy
    logits = {"from_logits": True}
    column, vector = COLUMN_TRUE, COLUMN_TRUE[:, 0]
    pair, pair_logits = (MANY_HOT, SIGMOIDED), (MANY_HOT, LOGITS)
    pair_3d, logits_3d = (d["many_hot"], d["sigmoided"]), (d["many_hot"], d["logits"])
    balanced = {"apply_class_balancing": True, "alpha": 0.3}
    return [
        ("bce", bce(), *pair),
        ("bce_column", bce(), column, COLUMN_PRED),
        ("bce_vector_against_column", bce(), vector, COLUMN_PRED),
        ("bce_logits", bce(**logits), *pair_logits),
        ("bce_logits_column", bce(**logits), column, COLUMN_LOGITS),
        ("bce_logits_vector_against_column", bce(**logits), vector, COLUMN_LOGITS),
        ("bce_logits_extreme", bce(**logits), MANY_HOT, EXTREME),
        ("bce_logits_column_extreme", bce(**logits), column, COLUMN_EXTREME),
        ("bce_smoothed", bce(label_smoothing=0.2), *pair),
        ("bce_logits_smoothed", bce(label_smoothing=0.1, **logits), *pair_logits),
        ("bce_3d", bce(), *pair_3d),
        ("bce_logits_3d_axis", bce(axis=1, label_smoothing=0.1, **logits), *logits_3d),
        ("binary_focal", focal(), *pair),
        ("binary_focal_column", focal(), column, COLUMN_PRED),
        ("binary_focal_logits", focal(gamma=3.0, **logits), *pair_logits),
        ("binary_focal_balanced", focal(gamma=1.5, **balanced), *pair),
        ("binary_focal_smoothed", focal(label_smoothing=0.2, **balanced), *pair),
        ("binary_focal_3d", focal(axis=1, reduction="sum"), *pair_3d),
    ]


def categorical_rows(d):
    cce, focal = keras.losses.CategoricalCrossentropy, keras.losses.CategoricalFocalCrossentropy
    divergence = keras.losses.KLDivergence
    logits = {"from_logits": True}
    pair, pair_logits = (ONE_HOT, SOFTMAXED), (ONE_HOT, LOGITS)
    pair_3d, logits_3d = (d["one_hot"], d["softmaxed"]), (d["soft"], d["logits"])
    return [
        ("cce", cce(), *pair),
        ("cce_soft_labels", cce(), SOFT, SOFTMAXED),
        ("cce_logits", cce(**logits), *pair_logits),
        ("cce_logits_soft_labels", cce(**logits), SOFT, LOGITS),
        ("cce_logits_extreme", cce(**logits), ONE_HOT, EXTREME),
        ("cce_smoothed", cce(label_smoothing=0.2), *pair),
        ("cce_logits_smoothed", cce(label_smoothing=0.1, **logits), *pair_logits),
        ("cce_3d", cce(), *pair_3d),
        ("cce_logits_3d", cce(label_smoothing=0.1, **logits), *logits_3d),
        # Smoothing divides by the last axis's size, whatever the axis of the classes.
        ("cce_3d_axis", cce(axis=1, label_smoothing=0.1), d["soft"], d["softmaxed"]),
        ("cce_logits_3d_axis", cce(axis=1, **logits), *logits_3d),
        ("categorical_focal", focal(), *pair),
        ("categorical_focal_custom", focal(alpha=0.5, gamma=1.5, label_smoothing=0.1), *pair),
        ("categorical_focal_logits", focal(gamma=3.0, **logits), *pair_logits),
        ("categorical_focal_3d", focal(reduction="sum"), *pair_3d),
        ("categorical_focal_3d_axis", focal(axis=1, **logits), *logits_3d),
        ("kl_divergence", divergence(), SOFT, SOFTMAXED),
        ("kl_divergence_one_hot", divergence(), *pair),
        ("kl_divergence_3d", divergence(reduction="sum"), d["soft"], d["softmaxed"]),
    ]


def sparse_rows(d):
    scce = keras.losses.SparseCategoricalCrossentropy
    general = keras.losses.CategoricalGeneralizedCrossEntropy
    logits = {"from_logits": True}
    column = LABELS[:, None]
    ignored = np.array([1, -1, 0, -1], dtype=np.int32)
    pair_3d, logits_3d = (d["labels"], d["softmaxed"]), (d["labels"], d["logits"])
    return [
        ("scce", scce(), LABELS, SOFTMAXED),
        ("scce_column_labels", scce(), column, SOFTMAXED),
        ("scce_logits", scce(**logits), LABELS, LOGITS),
        ("scce_logits_column_labels", scce(**logits), column, LOGITS),
        ("scce_logits_extreme", scce(**logits), LABELS, EXTREME),
        ("scce_ignore_class", scce(ignore_class=1), LABELS, SOFTMAXED),
        ("scce_ignore_minus_1", scce(ignore_class=-1), ignored, SOFTMAXED),
        ("scce_logits_ignore_minus_1", scce(ignore_class=-1, **logits), ignored[:, None], LOGITS),
        ("scce_3d", scce(), *pair_3d),
        ("scce_logits_3d", scce(**logits), d["labels"][..., None], d["logits"]),
        ("scce_logits_3d_ignore_class", scce(ignore_class=1, **logits), *logits_3d),
        ("generalized", general(), LABELS, SOFTMAXED),
        ("generalized_q", general(q=0.7), LABELS, SOFTMAXED),
        ("generalized_3d", general(q=0.3, reduction="sum"), *pair_3d),
    ]


def hinge_rows(d):
    mixed = f32([[1, 0, 1], [-1, 0, 0], [1, 1, 1], [0, 1, 0]])
    signs_3d = 2 * d["many_hot"] - 1
    rows = []
    for name, loss in [("hinge", keras.losses.Hinge), ("squared_hinge", keras.losses.SquaredHinge)]:
        rows += [
            (name, loss(), MANY_HOT, LOGITS),
            (f"{name}_signs", loss(), SIGNS, LOGITS),
            # One target that is neither 0 nor 1, and none of the batch becomes a sign.
            (f"{name}_mixed", loss(), mixed, LOGITS),
            (f"{name}_vector_against_column", loss(), COLUMN_TRUE[:, 0], COLUMN_LOGITS),
            (f"{name}_3d", loss(reduction="sum"), signs_3d, d["logits"]),
        ]
    categorical = keras.losses.CategoricalHinge
    return rows + [
        ("categorical_hinge", categorical(), ONE_HOT, LOGITS),
        ("categorical_hinge_signs", categorical(), 2 * ONE_HOT - 1, LOGITS),
        ("categorical_hinge_probabilities", categorical(), ONE_HOT, SOFTMAXED),
        ("categorical_hinge_3d", categorical(reduction="sum"), d["one_hot"], d["logits"]),
    ]


def overlap_rows(d):
    dice, tversky, circle = keras.losses.Dice, keras.losses.Tversky, keras.losses.Circle
    pair, pair_3d = (MANY_HOT, SIGMOIDED), (d["many_hot"], d["sigmoided"])
    # One loss of the whole batch, whatever the samples' weights.
    reduced = [
        (f"dice_{reduction}{ending}", dice(reduction=reduction), *pair, weight)
        for reduction in ["sum", "mean", "mean_with_sample_weight"]
        for ending, weight in [("", None), ("_weighted", WEIGHTS), ("_zeros", 0 * WEIGHTS)]
    ]
    return reduced + [
        ("dice", dice(), *pair),
        ("dice_axis", dice(axis=1), *pair),
        ("dice_axes_3d", dice(axis=[1, 2], reduction="sum"), *pair_3d),
        ("tversky", tversky(), *pair),
        ("tversky_custom", tversky(alpha=0.3, beta=0.7), *pair),
        ("tversky_axis", tversky(alpha=0.8, beta=0.4, axis=0), *pair),
        ("tversky_axes_3d", tversky(alpha=0.8, axis=[1, 2], reduction="sum"), *pair_3d),
        ("circle", circle(), IDENTITIES, EMBEDDINGS),
        ("circle_custom", circle(gamma=8.0, margin=0.25), IDENTITIES, EMBEDDINGS),
        ("circle_column_labels", circle(gamma=8.0), IDENTITIES[:, None], EMBEDDINGS),
        (
            "circle_with_diagonal",
            circle(gamma=8.0, remove_diagonal=False, reduction="sum"),
            IDENTITIES,
            EMBEDDINGS,
        ),
    ]


def squeezed_rows(d):
    """Targets (4, 3) and outputs (4, 3, 1), which Keras makes (4, 3): the last axis is that of 3."""
    l = keras.losses
    numbers, probabilities = REGRESSION_PRED[..., None], SIGMOIDED[..., None]
    table = [
        ("mse", l.MeanSquaredError, REGRESSION_TRUE, numbers),
        ("mae", l.MeanAbsoluteError, REGRESSION_TRUE, numbers),
        ("huber", l.Huber, REGRESSION_TRUE, numbers),
        ("cosine_similarity", l.CosineSimilarity, REGRESSION_TRUE, numbers),
        ("kl_divergence", l.KLDivergence, SOFT, SOFTMAXED[..., None]),
        ("poisson", l.Poisson, COUNTS, POSITIVE_PRED[..., None]),
        ("bce", l.BinaryCrossentropy, MANY_HOT, probabilities),
        ("binary_focal", l.BinaryFocalCrossentropy, MANY_HOT, probabilities),
        ("hinge", l.Hinge, MANY_HOT, LOGITS[..., None]),
        ("dice", l.Dice, MANY_HOT, probabilities),
    ]
    rows = [
        (f"{name}_squeezed{ending}", loss(reduction=reduction), *pair, weight)
        for name, loss, *pair in table
        for ending, reduction, weight in [
            ("", "sum_over_batch_size", None),
            ("_sum", "sum", None),
            ("_weighted", "mean_with_sample_weight", WEIGHTS),
        ]
    ]
    along = {"axis": 0}
    return rows + [
        ("cosine_similarity_squeezed_axis_0", l.CosineSimilarity(**along), *table[3][2:]),
        ("bce_squeezed_axis_0", l.BinaryCrossentropy(**along), *table[6][2:]),
        ("bce_logits_squeezed", l.BinaryCrossentropy(from_logits=True), *table[8][2:]),
        ("mse_squeezed_targets", l.MeanSquaredError(), numbers, REGRESSION_TRUE),
    ]


def reduction_rows(d):
    """Each reduction with and without weights, for four losses; one has a mask of its own."""
    scce = keras.losses.SparseCategoricalCrossentropy
    kinds = [
        ("mse", keras.losses.MeanSquaredError, {}, REGRESSION_TRUE, REGRESSION_PRED),
        ("bce", keras.losses.BinaryCrossentropy, {}, COLUMN_TRUE, COLUMN_PRED),
        ("cce", keras.losses.CategoricalCrossentropy, {}, ONE_HOT, SOFTMAXED),
        ("scce_ignore_class", scce, {"ignore_class": 2}, LABELS, SOFTMAXED),
    ]
    reductions = ["sum", "sum_over_batch_size", "mean", "mean_with_sample_weight"]
    rows = [
        (f"{name}_{reduction}{ending}", loss(reduction=reduction, **arguments), *pair, weight)
        for name, loss, arguments, *pair in kinds
        for reduction in reductions
        for ending, weight in [("", None), ("_weighted", WEIGHTS)]
    ]
    mae = keras.losses.MeanAbsoluteError
    pair = (REGRESSION_TRUE, REGRESSION_PRED)
    weighted = [
        ("mae_weight_column", mae(), *pair, WEIGHTS[:, None]),
        ("mae_weight_scalar", mae(), *pair, f32(2.5)),
        ("mae_zero_weights", mae(reduction="mean_with_sample_weight"), *pair, 0 * WEIGHTS),
        ("huber_weighted", keras.losses.Huber(), *pair, WEIGHTS),
        ("mse_3d_weighted", keras.losses.MeanSquaredError(), d["values"], d["logits"], WEIGHTS_3D),
        ("scce_3d_weighted", scce(), d["labels"], d["softmaxed"], WEIGHTS_3D),
        (
            "scce_3d_ignore_class_weighted",
            scce(ignore_class=1),
            d["labels"],
            d["softmaxed"],
            WEIGHTS_3D,
        ),
    ]
    return rows + weighted


def fused_rows(d):
    bce, cce = keras.losses.BinaryCrossentropy, keras.losses.CategoricalCrossentropy
    scce = keras.losses.SparseCategoricalCrossentropy
    binary_focal = keras.losses.BinaryFocalCrossentropy
    categorical_focal = keras.losses.CategoricalFocalCrossentropy
    ignoring = scce(ignore_class=0)
    sigmoid, softmax = "sigmoid", "softmax"
    return [
        ("bce_sigmoid", bce(), MANY_HOT, LOGITS, None, sigmoid),
        ("bce_sigmoid_extreme", bce(), MANY_HOT, EXTREME, None, sigmoid),
        ("bce_sigmoid_column_extreme", bce(), COLUMN_TRUE, COLUMN_EXTREME, None, sigmoid),
        ("bce_sigmoid_smoothed", bce(label_smoothing=0.1), MANY_HOT, EXTREME, None, sigmoid),
        ("bce_sigmoid_weighted", bce(), MANY_HOT, EXTREME, WEIGHTS, sigmoid),
        ("bce_sigmoid_3d", bce(), d["many_hot"], d["logits"], None, sigmoid),
        ("cce_softmax", cce(), ONE_HOT, LOGITS, None, softmax),
        ("cce_softmax_extreme", cce(), ONE_HOT, EXTREME, None, softmax),
        ("cce_softmax_smoothed", cce(label_smoothing=0.1), ONE_HOT, EXTREME, None, softmax),
        ("cce_softmax_weighted", cce(), ONE_HOT, EXTREME, WEIGHTS, softmax),
        ("cce_softmax_3d", cce(), d["soft"], d["logits"], None, softmax),
        ("scce_softmax", scce(), LABELS, LOGITS, None, softmax),
        ("scce_softmax_extreme", scce(), LABELS, EXTREME, None, softmax),
        ("scce_softmax_weighted", scce(), LABELS, EXTREME, WEIGHTS, softmax),
        ("scce_softmax_3d", scce(), d["labels"], d["logits"], None, softmax),
        ("binary_focal_sigmoid", binary_focal(), MANY_HOT, LOGITS, None, sigmoid),
        ("binary_focal_sigmoid_extreme", binary_focal(), MANY_HOT, STEEP, None, sigmoid),
        ("categorical_focal_softmax", categorical_focal(), ONE_HOT, LOGITS, None, softmax),
        ("categorical_focal_softmax_extreme", categorical_focal(), ONE_HOT, STEEP, None, softmax),
        ("scce_softmax_ignore_class", ignoring, LABELS, LOGITS, None, softmax),
        ("scce_softmax_ignore_class_extreme", ignoring, LABELS, STEEP, None, softmax),
        ("bce_sigmoid_squeezed", bce(), MANY_HOT, LOGITS[..., None], None, sigmoid),
        ("bce_sigmoid_squeezed_extreme", bce(), MANY_HOT, STEEP[..., None], None, sigmoid),
    ]


def case(name, loss, y_true, z, sample_weight=None, activation=None):
    apply = keras.activations.get(activation or "linear")
    loss, unreduced = rebuilt(loss), rebuilt(loss, reduction="none")
    z = tf.constant(z)
    with tf.GradientTape() as tape:
        tape.watch(z)
        value = loss(y_true, apply(z), sample_weight=sample_weight)
    inputs = {"y_pred": tensor(z)}
    if activation is not None:
        inputs = {"z": tensor(z), "activation": activation}
    return {
        **described(loss),
        **inputs,
        "name": name,
        "y_true": tensor(y_true),
        "sample_weight": None if sample_weight is None else tensor(sample_weight),
        "per_sample": tensor(unreduced(y_true, apply(z))),
        "value": float32(value),
        "gradient": tensor(tape.gradient(value, z)),
    }


def content():
    d = outputs_3d()
    groups = [
        regression_rows,
        binary_rows,
        categorical_rows,
        sparse_rows,
        hinge_rows,
        overlap_rows,
        squeezed_rows,
        reduction_rows,
    ]
    cases = [case(*row) for rows in groups for row in rows(d)]
    classes = {case["object"]["class_name"] for case in cases}
    functions = [name for name in vars(keras.losses) if name.islower()]
    check_coverage(keras.losses, classes, [*LEFT_OUT, *functions])
    return {"cases": cases, "fused": [case(*row) for row in fused_rows(d)]}
