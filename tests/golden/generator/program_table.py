"""What programs.json is about: each function describes one program, named like it."""

import numpy as np
from keras import layers, losses, metrics, optimizers, regularizers
from keras.constraints import MaxNorm, MinMaxNorm, NonNeg, UnitNorm
from keras.layers import Activation, Dense
from keras.optimizers import schedules

FEATURES = 6
PROGRAMS = []


def program(function):
    PROGRAMS.append(function)
    return function


# ---- data ---------------------------------------------------------------------------------------


def rounded(array, digits):
    """Few decimals: short to write, and no last bit that hangs on a processor's summation order."""
    return np.round(array, digits).astype(np.float32)


def targets(kind, score):
    """Targets of one kind from a score for each sample and output."""
    if kind == "one_hot":
        return np.eye(score.shape[-1], dtype=np.float32)[score.argmax(axis=-1)]
    if kind == "labels":
        return score.argmax(axis=-1).astype(np.int32)
    if kind == "label_column":
        return score.argmax(axis=-1).astype(np.int32)[:, None]
    if kind == "binary":
        return (score > 0).astype(np.float32)
    if kind == "binary_vector":
        return (score[:, 0] > 0).astype(np.float32)
    if kind == "signs":
        return np.where(score > 0, 1, -1).astype(np.float32)
    if kind == "counts":
        return np.floor(np.exp(np.clip(score / 2, -3, 2))).astype(np.float32)
    if kind == "distribution":
        odds = np.exp(score / 2)
        return rounded(odds / odds.sum(axis=-1, keepdims=True), 4)
    assert kind == "values", kind
    return rounded(score, 3)


def data(random, count, outputs, kind, parts=1):
    """(x, y) `parts` times: features in [-2, 2), targets that a small network can learn."""
    teacher = random.standard_normal((FEATURES, outputs))
    pairs = []
    for size in [count, 20][:parts]:
        x = rounded(random.uniform(-2, 2, (size, FEATURES)), 3)
        noise = 0.1 * random.standard_normal((size, outputs))
        score = np.einsum("nf,fk->nk", x.astype(np.float64), teacher) + noise
        pairs.append((x, targets(kind, np.round(score, 6))))
    return pairs


def with_data(random, count, outputs, kind):
    ((x, y),) = data(random, count, outputs, kind)
    return {"x": x, "y": y}


def with_validation(random, count, outputs, kind):
    (x, y), validation = data(random, count, outputs, kind, parts=2)
    return {"x": x, "y": y, "validation_data": validation}


def sequences(random, count, length, words):
    """Rows of word numbers, and a value for each word that targets can hang on."""
    return random.integers(0, words, (count, length)).astype(np.int32), random.standard_normal(words)


# ---- Dense, the losses of classification and regression -----------------------------------------


@program
def walkthrough_in_miniature(random):
    # 53 samples: 42 to train on, 11 to validate on; both end in a smaller batch.
    return {
        **with_data(random, 53, 4, "one_hot"),
        "layers": [
            Dense(8, activation="relu"),
            Dense(5, activation="relu"),
            Dense(4, activation="softmax"),
        ],
        "loss": losses.CategoricalCrossentropy(),
        "optimizer": optimizers.SGD(0.05, momentum=0.9),
        "metrics": ["accuracy"],
        "fit": {"validation_split": 0.2},
    }


@program
def softmax_sparse_adam(random):
    return {
        **with_validation(random, 50, 3, "labels"),
        "layers": [Dense(8, activation="relu"), Dense(3, activation="softmax")],
        "loss": losses.SparseCategoricalCrossentropy(),
        "optimizer": optimizers.Adam(0.01),
        "metrics": ["accuracy"],
    }


@program
def logits_sparse_nesterov(random):
    return {
        **with_data(random, 50, 3, "label_column"),
        "layers": [Dense(7, activation="relu"), Dense(3)],
        "loss": losses.SparseCategoricalCrossentropy(from_logits=True),
        "optimizer": optimizers.SGD(0.05, momentum=0.9, nesterov=True),
        "metrics": ["accuracy"],
    }


@program
def binary_sigmoid_adam(random):
    return {
        **with_data(random, 50, 1, "binary"),
        "layers": [Dense(6, activation="relu"), Dense(1, activation="sigmoid")],
        "loss": losses.BinaryCrossentropy(),
        "optimizer": optimizers.Adam(0.01),
        "metrics": ["accuracy"],
    }


@program
def regression_sgd(random):
    return {
        **with_validation(random, 50, 2, "values"),
        "layers": [Dense(6, activation="tanh"), Dense(2)],
        "loss": losses.MeanSquaredError(),
        "optimizer": optimizers.SGD(),
    }


@program
def multi_label_mixed_activations(random):
    # "accuracy" of several sigmoids compares positions of the maximum.
    return {
        **with_data(random, 50, 3, "binary"),
        "layers": [
            Dense(7, activation="tanh"),
            Dense(6, use_bias=False),
            layers.ELU(alpha=0.5),
            Dense(5),
            layers.LeakyReLU(),
            Dense(3, activation="sigmoid"),
        ],
        "loss": losses.BinaryCrossentropy(),
        "optimizer": optimizers.SGD(0.1, momentum=0.9),
        "metrics": ["accuracy", "binary_accuracy"],
    }


@program
def binary_logits_vector_labels(random):
    return {
        **with_data(random, 53, 1, "binary_vector"),
        "layers": [Dense(5, activation="elu"), Dense(1)],
        "loss": losses.BinaryCrossentropy(from_logits=True),
        "optimizer": optimizers.Adam(0.02, beta_1=0.8, beta_2=0.99, epsilon=1e-5),
        "metrics": ["accuracy"],
        "fit": {"validation_split": 0.2},
    }


@program
def logits_categorical_sgd(random):
    return {
        **with_data(random, 50, 3, "one_hot"),
        "layers": [
            Dense(6, activation="sigmoid"),
            Dense(5, activation="leaky_relu"),
            Dense(3),
        ],
        "loss": losses.CategoricalCrossentropy(from_logits=True),
        "optimizer": optimizers.SGD(0.1),
        "metrics": ["accuracy"],
    }


# ---- normalization ------------------------------------------------------------------------------


@program
def batch_normalization_adam(random):
    # The last batch has 5 rows; validation sees the moving averages of the same epoch.
    return {
        **with_validation(random, 53, 3, "labels"),
        "layers": [
            # No beta and no bias before a mean is taken away: their gradients are 0 but for
            # rounding, and Adam would make whole steps of that.
            layers.BatchNormalization(momentum=0.9, center=False),
            Dense(8, use_bias=False),
            layers.BatchNormalization(momentum=0.8, epsilon=0.01),
            layers.ReLU(),
            Dense(3, use_bias=False),
            layers.BatchNormalization(center=False),
            layers.Softmax(),
        ],
        "loss": losses.SparseCategoricalCrossentropy(),
        "optimizer": optimizers.Adam(0.02, amsgrad=True),
        "metrics": ["accuracy", "sparse_categorical_crossentropy"],
    }


@program
def other_normalizations_adamw(random):
    return {
        **with_validation(random, 45, 2, "values"),
        "layers": [
            Dense(8),
            layers.LayerNormalization(),
            Activation("tanh"),
            Dense(10),
            layers.GroupNormalization(groups=2),
            Dense(8, activation="silu"),
            layers.RMSNormalization(),
            Dense(6),
            layers.UnitNormalization(),
            Dense(2),
        ],
        "loss": losses.MeanSquaredError(),
        "optimizer": optimizers.AdamW(0.01, weight_decay=0.05, epsilon=1e-3),
        "metrics": [
            metrics.RootMeanSquaredError(),
            metrics.R2Score(),
            metrics.R2Score(class_aggregation=None, name="r2_of_each"),
            "mae",
        ],
    }


@program
def frozen_layers_sgd(random):
    # A frozen layer loses its penalty; a frozen BatchNormalization keeps its averages.
    return {
        **with_validation(random, 45, 2, "values"),
        "layers": [
            Dense(
                6,
                activation="tanh",
                trainable=False,
                kernel_regularizer=regularizers.L2(0.1),
                activity_regularizer=regularizers.L1(0.01),
            ),
            layers.BatchNormalization(trainable=False),
            Dense(5, activation="tanh"),
            layers.BatchNormalization(momentum=0.9),
            Dense(2),
        ],
        "loss": losses.MeanAbsoluteError(),
        "optimizer": optimizers.SGD(0.05, momentum=0.9, weight_decay=0.01),
        "metrics": ["mse"],
    }


@program
def rescaling_and_normalization_ftrl(random):
    means = [0.1, -0.2, 0.0, 0.3, 0.5, -0.4]
    return {
        **with_data(random, 50, 1, "values"),
        "layers": [
            layers.Rescaling(2.0, offset=0.5),
            layers.Normalization(mean=means, variance=[4.0, 5.0, 6.0, 4.5, 5.5, 3.0]),
            Dense(6, activation="softsign"),
            layers.Normalization(mean=0.1, variance=0.25, axis=None),
            layers.Dropout(0.0),
            Dense(1),
        ],
        "loss": losses.LogCosh(),
        "optimizer": optimizers.Ftrl(
            0.2, l1_regularization_strength=0.01, l2_regularization_strength=0.02
        ),
        "metrics": [metrics.LogCoshError(), metrics.MeanSquaredError()],
    }


# ---- embeddings and shapes ----------------------------------------------------------------------

# The gradient of an Embedding comes as slices on TensorFlow, one for each occurrence of a word.
# Optimizers that square it, and clipping, then look at each slice alone, so that a repeated word
# gets other updates than on JAX or PyTorch (departures.md). A penalty makes the gradient a plain
# matrix; plain SGD adds the slices up, so that it needs none.
PENALTY = regularizers.L2(0.001)


@program
def embedding_flatten_rmsprop(random):
    x, value = sequences(random, 50, 4, words=9)
    y = (value[x].sum(axis=1) > 0).astype(np.float32)[:, None]
    return {
        "x": x,
        "y": y,
        "layers": [
            layers.Embedding(9, 3, embeddings_regularizer=PENALTY),
            layers.Flatten(),
            Dense(5, activation="relu"),
            Dense(1, activation="sigmoid"),
        ],
        "loss": losses.BinaryCrossentropy(),
        "optimizer": optimizers.RMSprop(0.01, momentum=0.5, centered=True),
        "metrics": [
            metrics.AUC(),
            metrics.AUC(curve="PR", name="pr"),
            metrics.Precision(),
            metrics.Recall(thresholds=[0.4, 0.6]),
        ],
        "fit": {"validation_split": 0.3},
    }


@program
def targets_at_every_position_nadam(random):
    # The loss ignores class 0, accuracy does not.
    x, value = sequences(random, 30, 4, words=8)
    before = np.concatenate([np.zeros((30, 1)), value[x][:, :-1]], axis=1)
    y = np.digitize(value[x] + 0.3 * before, [-0.7, 0.7]).astype(np.int32)
    return {
        "x": x,
        "y": y,
        "layers": [
            layers.Embedding(8, 4, embeddings_regularizer=PENALTY),
            Dense(5, activation="tanh"),
            Dense(3, activation="softmax"),
        ],
        "loss": losses.SparseCategoricalCrossentropy(ignore_class=0),
        "optimizer": optimizers.Nadam(0.02),
        "metrics": ["accuracy", metrics.SparseTopKCategoricalAccuracy(k=2)],
    }


@program
def masked_sequences_sgd(random):
    # Word 0 is padding: its positions count neither for the loss nor for the metric.
    x, value = sequences(random, 30, 5, words=8)
    x[random.uniform(size=x.shape) < 0.3] = 0
    y = (value[x] > 0).astype(np.int32)
    return {
        "x": x,
        "y": y,
        "layers": [
            layers.Embedding(8, 4, mask_zero=True),
            Dense(5, activation="tanh"),
            Dense(2, activation="softmax"),
        ],
        "loss": losses.SparseCategoricalCrossentropy(),
        "optimizer": optimizers.SGD(0.5, momentum=0.5),
        "metrics": ["accuracy"],
    }


@program
def masked_batch_normalization_adam(random):
    # Padding counts neither for the batch's moments nor for the loss.
    x, value = sequences(random, 30, 5, words=8)
    x[random.uniform(size=x.shape) < 0.3] = 0
    y = (value[x] > 0).astype(np.int32)
    return {
        "x": x,
        "y": y,
        "layers": [
            layers.Embedding(8, 4, mask_zero=True, embeddings_regularizer=PENALTY),
            layers.BatchNormalization(momentum=0.8),
            Dense(5, activation="tanh"),
            layers.BatchNormalization(renorm=True, renorm_momentum=0.8),
            Dense(2, activation="softmax"),
        ],
        "loss": losses.SparseCategoricalCrossentropy(),
        "optimizer": optimizers.Adam(0.02),
        "metrics": ["accuracy"],
    }


@program
def shapes_lamb(random):
    return {
        **with_data(random, 45, 2, "values"),
        "layers": [
            Dense(4, activation="tanh"),
            layers.RepeatVector(3),
            Dense(2),
            layers.Permute((2, 1)),
            layers.Reshape((3, -1)),
            layers.LayerNormalization(axis=1),
            layers.Flatten(),
            Dense(2),
        ],
        "loss": losses.Huber(delta=0.7),
        "optimizer": optimizers.Lamb(0.02),
        "metrics": ["mae", "mse"],
    }


# ---- activations as layers ----------------------------------------------------------------------


@program
def activation_layers_adamax(random):
    # The Softmax layer fuses with the loss, as activation="softmax" does.
    return {
        **with_data(random, 50, 4, "one_hot"),
        "layers": [
            Dense(8),
            layers.PReLU(),
            Dense(7),
            layers.ELU(),
            Dense(6),
            layers.LeakyReLU(negative_slope=0.1),
            Dense(6),
            layers.ReLU(6),
            Dense(4),
            layers.Softmax(),
        ],
        "loss": losses.CategoricalCrossentropy(label_smoothing=0.1),
        "optimizer": optimizers.Adamax(0.02),
        "metrics": [
            "accuracy",
            metrics.TopKCategoricalAccuracy(k=2),
            metrics.F1Score(),
            metrics.F1Score(average="macro", name="f1_macro"),
        ],
    }


@program
def saturated_softmax_sgd(random):
    # Scores of several hundred: only a loss that works on the logits learns from these.
    ((x, y),) = data(random, 40, 3, "one_hot")
    return {
        "x": (100 * x).round().astype(np.float32),
        "y": y,
        "layers": [Dense(3), Activation("softmax")],
        "loss": losses.CategoricalCrossentropy(),
        "optimizer": optimizers.SGD(1e-3),
        "metrics": ["accuracy"],
    }


@program
def sigmoid_layer_adagrad(random):
    return {
        **with_data(random, 50, 1, "binary"),
        "layers": [Dense(6, activation="gelu"), Dense(1), Activation("sigmoid")],
        "loss": losses.BinaryCrossentropy(label_smoothing=0.1),
        "optimizer": optimizers.Adagrad(0.1),
        "metrics": ["accuracy", metrics.BinaryAccuracy(threshold=0.6, name="strict")],
        "fit": {"class_weight": {0: 0.5, 1: 2.0}},
    }


# ---- regularizers, constraints ------------------------------------------------------------------


@program
def regularizers_and_constraints_sgd(random):
    # val_loss includes the penalties too.
    return {
        **with_validation(random, 45, 2, "values"),
        "layers": [
            Dense(
                6,
                activation="tanh",
                kernel_regularizer=regularizers.L2(0.02),
                bias_regularizer=regularizers.L1(0.05),
                activity_regularizer=regularizers.L2(0.03),
                kernel_constraint=MaxNorm(1.0),
            ),
            Dense(5, activation="relu", kernel_constraint=NonNeg(), bias_constraint=NonNeg()),
            Dense(5, activation="tanh", kernel_constraint=UnitNorm()),
            layers.ActivityRegularization(l1=0.01, l2=0.02),
            Dense(
                2,
                kernel_regularizer=regularizers.L1L2(0.01, 0.02),
                kernel_constraint=MinMaxNorm(0.5, 1.5, rate=0.7),
            ),
        ],
        "loss": losses.MeanSquaredError(),
        "optimizer": optimizers.SGD(0.05, momentum=0.9, clipnorm=0.5),
        "metrics": ["mse"],
    }


@program
def orthogonal_regularizer_clipvalue(random):
    return {
        **with_data(random, 45, 1, "values"),
        "layers": [
            Dense(4, kernel_regularizer=regularizers.OrthogonalRegularizer(0.1, mode="columns")),
            Dense(1),
        ],
        "loss": losses.MeanSquaredError(reduction="sum"),
        "optimizer": optimizers.SGD(0.01, clipvalue=0.7),
    }


# ---- the other losses and optimizers ------------------------------------------------------------


@program
def poisson_adadelta(random):
    return {
        **with_data(random, 50, 2, "counts"),
        "layers": [Dense(6, activation="softplus"), Dense(2, activation="exponential")],
        "loss": losses.Poisson(),
        "optimizer": optimizers.Adadelta(1.0, global_clipnorm=0.8),
        "metrics": [metrics.Poisson(), metrics.MeanSquaredError()],
    }


@program
def kl_divergence_lion(random):
    return {
        **with_data(random, 50, 3, "distribution"),
        "layers": [Dense(6, activation="selu"), Dense(3, activation="softmax")],
        "loss": losses.KLDivergence(),
        "optimizer": optimizers.Lion(0.01, weight_decay=0.01),
        "metrics": [metrics.KLDivergence(), metrics.CosineSimilarity()],
    }


@program
def cosine_similarity_adafactor(random):
    return {
        **with_data(random, 50, 3, "values"),
        "layers": [Dense(6, activation="mish"), Dense(3)],
        "loss": losses.CosineSimilarity(),
        "optimizer": optimizers.Adafactor(0.05),
        "metrics": [metrics.CosineSimilarity()],
    }


@program
def hinge_muon(random):
    return {
        **with_data(random, 50, 1, "signs"),
        "layers": [Dense(6, activation="tanh"), Dense(4, activation="tanh"), Dense(1)],
        "loss": losses.Hinge(),
        "optimizer": optimizers.Muon(0.05),
        "metrics": [metrics.Hinge(), metrics.SquaredHinge()],
    }


@program
def categorical_hinge_schedule(random):
    rate = schedules.PiecewiseConstantDecay([4, 9], [0.1, 0.05, 0.02])
    return {
        **with_data(random, 50, 3, "one_hot"),
        "layers": [Dense(6, activation="hard_sigmoid"), Dense(3)],
        "loss": losses.CategoricalHinge(),
        "optimizer": optimizers.SGD(rate, momentum=0.9, nesterov=True),
        "metrics": ["categorical_accuracy", metrics.CategoricalHinge()],
    }


@program
def binary_focal_ema(random):
    # Validation uses the weights themselves; at the end of fit they become their averages.
    return {
        **with_validation(random, 50, 1, "binary"),
        "layers": [Dense(6, activation="relu"), Dense(1, activation="sigmoid")],
        "loss": losses.BinaryFocalCrossentropy(apply_class_balancing=True, gamma=1.5),
        "optimizer": optimizers.Adam(0.03, use_ema=True, ema_momentum=0.8),
        "metrics": ["binary_accuracy"],
    }


@program
def huber_ema_overwritten(random):
    return {
        **with_data(random, 50, 1, "values"),
        "layers": [Dense(6, activation="tanh"), Dense(1)],
        "loss": losses.Huber(),
        "optimizer": optimizers.RMSprop(
            0.02, use_ema=True, ema_momentum=0.7, ema_overwrite_frequency=4
        ),
        "metrics": ["mae"],
    }


@program
def categorical_focal_accumulation(random):
    # 7 batches an epoch, an update every third one: accumulation goes on over the epoch's end.
    rate = schedules.CosineDecay(0.0, 15, warmup_target=0.5, warmup_steps=6)
    return {
        **with_data(random, 50, 3, "one_hot"),
        "layers": [Dense(6, activation="relu"), Dense(3, activation="softmax")],
        "loss": losses.CategoricalFocalCrossentropy(),
        "optimizer": optimizers.SGD(
            rate, momentum=0.9, gradient_accumulation_steps=3, clipnorm=0.3
        ),
        "metrics": ["accuracy"],
    }


@program
def dice_exponential_decay(random):
    rate = schedules.ExponentialDecay(0.05, 5, 0.7, staircase=True)
    return {
        **with_data(random, 50, 3, "binary"),
        "layers": [Dense(6, activation="relu"), Dense(3, activation="sigmoid")],
        "loss": losses.Dice(),
        "optimizer": optimizers.Adam(rate, global_clipnorm=0.1),
        "metrics": [metrics.F1Score(average="micro", threshold=0.5), "binary_accuracy"],
    }


@program
def tversky_cosine_restarts(random):
    rate = schedules.CosineDecayRestarts(0.05, 6, m_mul=0.8)
    return {
        **with_data(random, 50, 2, "binary"),
        "layers": [Dense(6, activation="relu"), Dense(2, activation="sigmoid")],
        "loss": losses.Tversky(alpha=0.3, beta=0.7),
        "optimizer": optimizers.Adam(rate, weight_decay=0.1),
        "metrics": ["binary_accuracy"],
    }


# ---- weights of classes and samples, and of fit's other arguments -------------------------------


@program
def class_weight_polynomial_decay(random):
    # Class 1 is not named: its weight is 1.
    rate = schedules.PolynomialDecay(0.3, 15, end_learning_rate=0.05, power=2.0)
    return {
        **with_data(random, 53, 3, "one_hot"),
        "layers": [Dense(6, activation="relu"), Dense(3, activation="softmax")],
        "loss": losses.CategoricalCrossentropy(),
        "optimizer": optimizers.SGD(rate),
        "metrics": ["accuracy"],
        "weighted_metrics": ["accuracy", metrics.CategoricalCrossentropy()],
        "fit": {"class_weight": {0: 2.0, 2: 0.25}, "validation_split": 0.2},
    }


@program
def sample_weight_inverse_time_decay(random):
    rate = schedules.InverseTimeDecay(0.1, 5, 0.5)
    (x, y), (x_validation, y_validation) = data(random, 45, 2, "values", parts=2)
    weights = rounded(random.choice([0, 0.5, 1, 3], 45), 1)
    validation_weights = rounded(random.choice([0, 1, 2], 20), 1)
    return {
        "x": x,
        "y": y,
        "sample_weight": weights,
        "validation_data": (x_validation, y_validation, validation_weights),
        "layers": [Dense(6, activation="tanh"), Dense(2)],
        "loss": losses.MeanSquaredError(),
        "optimizer": optimizers.SGD(rate, momentum=0.5),
        "metrics": ["mse", "mae"],
        "weighted_metrics": ["mse", metrics.R2Score(), metrics.RootMeanSquaredError()],
    }


@program
def sample_weight_split(random):
    # The weights are cut where the samples are; the loss divides by their sum.
    weights = rounded(random.uniform(0, 2, 53), 2)
    return {
        **with_data(random, 53, 1, "binary"),
        "sample_weight": weights,
        "layers": [Dense(6, activation="relu"), Dense(1, activation="sigmoid")],
        "loss": losses.BinaryCrossentropy(reduction="mean_with_sample_weight"),
        "optimizer": optimizers.Adam(0.02),
        "metrics": [metrics.Precision(), metrics.AUC()],
        "weighted_metrics": [
            metrics.Precision(name="weighted_precision"),
            metrics.AUC(name="weighted_auc"),
            metrics.BinaryAccuracy(),
        ],
        "fit": {"validation_split": 0.2},
    }


@program
def later_epochs_and_validation_arguments(random):
    # Epochs 2, 3 and 4, of which those with an even number, counted from 1, validate.
    return {
        **with_validation(random, 45, 3, "labels"),
        "layers": [Dense(6, activation="relu"), Dense(3, activation="softmax")],
        "loss": losses.SparseCategoricalCrossentropy(),
        "optimizer": optimizers.SGD(0.1),
        "metrics": ["sparse_categorical_accuracy"],
        "fit": {
            "epochs": 5,
            "initial_epoch": 2,
            "validation_freq": 2,
            "validation_batch_size": 6,
            "validation_steps": 2,
        },
    }


@program
def steps_per_epoch(random):
    # 10 batches, 3 an epoch: each epoch goes on where the last one stopped.
    return {
        **with_data(random, 80, 1, "values"),
        "layers": [Dense(5, activation="tanh"), Dense(1)],
        "loss": losses.MeanSquaredError(),
        "optimizer": optimizers.SGD(0.05),
        "fit": {"steps_per_epoch": 3},
    }
