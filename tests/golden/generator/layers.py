"""layers.json: every layer, called once.

`cases`: [{
  `name`, `object`: the built layer as Keras serialises it (module, class_name, config, ..),
  `input_shape`, `output_shape` (both without the batch),
  `weights`: [{`name`, `trainable`, `data`, `shape`}] in Keras's order, random, so that a wrong
      one shows,
  `training` (bool), `x`, `y`, `c`: Tensors, y = layer(x, training=training),
  `gradient_x`: d sum(c * y) / dx, or null for integers,
  `gradients`: d sum(c * y) / dw, a Tensor for each trainable weight in order,
  `after`: null, or, where the call changed them, the weights that are not trainable, like `weights`,
  `penalty`: null, or the sum of layer.losses (regularizers; an activity regularizer is divided by
      the batch size) as a number. The gradients are without it.
}]

`adapt`: [{`name`, `object` (not adapted yet), `input_shape`, `data`, `mean`, `variance`, `count`,
`x`, `y`}]: a Normalization's weights after adapt(data), and then y = layer(x). count stays 0.
"""

import numpy as np
import tensorflow as tf
from keras import layers, regularizers

from .serialized import serialized
from .writing import SEED, f32, float32, tensor

# Zeros, kinks at -0.5, 1, 2, 6 and values on both sides of each.
EDGES = f32([[-7, -2, -0.5, 0, 0.25, 1], [-1, 0.5, 1.5, 2, 6, 7.5]])
# The last row is all zeros.
WITH_A_ZERO_ROW = f32([[3, -4, 0, 1.5], [0.25, 2, -1, -0.5], [0, 0, 0, 0]])


def rounded(array):
    """Few decimals: short to write, and no last bit that hangs on a processor."""
    return np.round(array, 3).astype(np.float32)


def weight_of(variable):
    return {
        "name": variable.name,
        "trainable": bool(variable.trainable),
        **tensor(variable.numpy()),
    }


def coefficients(shape):
    """Weights of the sum: of both signs, exact in float32, without a pattern along any axis."""
    count = int(np.prod(shape))
    return f32([((7 * i) % 11 - 5) / 4 + 0.125 for i in range(count)]).reshape(shape)


def randomize(layer, random):
    for variable in layer.weights:
        low, high = (0.4, 2) if variable.name in ("moving_variance", "variance") else (-1.5, 1.5)
        if variable.dtype == "float32":
            variable.assign(rounded(random.uniform(low, high, variable.shape)))
    if isinstance(layer, layers.Normalization):
        layer.finalize_state()


def case(name, layer, x, training=False):
    """`x` is the input or its shape, batch included."""
    random = np.random.default_rng([SEED, *name.encode()])
    if isinstance(x, tuple):
        x = rounded(random.uniform(-2, 2, x))
    layer.build((None, *x.shape[1:]))
    randomize(layer, random)
    weights = [weight_of(variable) for variable in layer.weights]

    x = tf.constant(x)
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = layer(x, training=training)
        c = coefficients(y.shape)
        total = tf.reduce_sum(c * y)
    trainable = [variable.value for variable in layer.trainable_weights]
    gradient_x, gradients = tape.gradient(total, [x, trainable])
    after = [weight_of(variable) for variable in layer.weights if not variable.trainable]
    before = [weight for weight in weights if not weight["trainable"]]
    return {
        "name": name,
        "object": serialized(layer),
        "input_shape": list(x.shape[1:]),
        "output_shape": list(y.shape[1:]),
        "weights": weights,
        "training": training,
        "x": tensor(x),
        "y": tensor(y),
        "c": tensor(c),
        "gradient_x": None if gradient_x is None else tensor(gradient_x),
        "gradients": [tensor(tf.convert_to_tensor(gradient)) for gradient in gradients],
        "after": None if after == before else after,
        "penalty": float32(sum(layer.losses)) if layer.losses else None,
    }


def table():
    """(name, layer, input or its shape with the batch[, training])."""
    yield from dense()
    yield from activations()
    yield from identities()
    yield from shapes()
    yield from batch_normalization()
    yield from other_normalizations()
    yield from embeddings()
    yield from preprocessing()
    yield from penalties()


def dense():
    yield "dense", layers.Dense(3), (4, 5)
    yield "dense_relu", layers.Dense(3, activation="relu"), (4, 5)
    yield "dense_softmax", layers.Dense(4, activation="softmax"), (3, 5)
    yield "dense_no_bias", layers.Dense(4, activation="tanh", use_bias=False), (3, 2)
    yield "dense_rank_3", layers.Dense(2, activation="sigmoid"), (2, 3, 4)
    yield "dense_rank_4", layers.Dense(2), (2, 2, 3, 2)


def activations():
    for function in ["linear", "relu", "leaky_relu", "sigmoid", "tanh", "gelu", "log_softmax"]:
        yield f"activation_{function}", layers.Activation(function), EDGES
    yield "activation_softmax_rank_3", layers.Activation("softmax"), (2, 3, 4)
    yield "relu", layers.ReLU(), EDGES
    yield "relu_6", layers.ReLU(6), EDGES
    yield "relu_max_value", layers.ReLU(max_value=2.0), EDGES
    yield "relu_negative_slope", layers.ReLU(negative_slope=0.1), EDGES
    yield "relu_threshold", layers.ReLU(threshold=1.0), EDGES
    yield "relu_all", layers.ReLU(max_value=6.0, negative_slope=0.25, threshold=0.5), EDGES
    # The layer's default slope is 0.3, the function's 0.2.
    yield "leaky_relu", layers.LeakyReLU(), EDGES
    yield "leaky_relu_slope", layers.LeakyReLU(negative_slope=0.1), EDGES
    yield "prelu", layers.PReLU(), EDGES
    yield "prelu_rank_3", layers.PReLU(), (2, 3, 4)
    yield "prelu_shared_axis_1", layers.PReLU(shared_axes=[1]), (2, 3, 4)
    yield "prelu_shared_axes_1_2", layers.PReLU(shared_axes=[1, 2]), (2, 3, 2, 2)
    yield "elu", layers.ELU(), EDGES
    yield "elu_alpha", layers.ELU(alpha=0.5), EDGES
    yield "softmax", layers.Softmax(), EDGES
    yield "softmax_axis_1", layers.Softmax(axis=1), (2, 3, 4)
    yield "softmax_axes", layers.Softmax(axis=[1, 2]), (2, 3, 4)


def identities():
    """Layers that do nothing but while training."""
    yield "dropout_inference", layers.Dropout(0.5), (2, 3)
    yield "dropout_rate_0_training", layers.Dropout(0.0), (2, 3), True
    yield "alpha_dropout_inference", layers.AlphaDropout(0.5), (2, 3)
    yield "gaussian_dropout_inference", layers.GaussianDropout(0.5), (2, 3)
    yield "gaussian_noise_inference", layers.GaussianNoise(0.5), (2, 3)


def shapes():
    yield "flatten", layers.Flatten(), (2, 3, 2, 2)
    yield "flatten_rank_2", layers.Flatten(), (3, 4)
    yield "flatten_rank_1", layers.Flatten(), (3,)
    yield "reshape", layers.Reshape((2, 3)), (2, 6)
    yield "reshape_unknown", layers.Reshape((-1, 2)), (2, 3, 4)
    yield "reshape_to_vector", layers.Reshape((-1,)), (2, 3, 2)
    yield "permute", layers.Permute((2, 1)), (2, 3, 4)
    yield "permute_rank_4", layers.Permute((3, 1, 2)), (2, 2, 3, 4)
    yield "repeat_vector", layers.RepeatVector(3), (2, 4)


def batch_normalization():
    def both(name, shape, **arguments):
        for training in [True, False]:
            suffix = "training" if training else "inference"
            layer = layers.BatchNormalization(**arguments)
            yield f"batch_normalization_{name}_{suffix}", layer, shape, training

    yield from both("rank_2", (5, 3))
    yield from both("rank_3", (3, 2, 4))
    yield from both("rank_4", (2, 3, 2, 2))
    yield from both("axis_1", (3, 2, 4), axis=1)
    yield from both("axis_1_rank_4", (2, 3, 2, 2), axis=1)
    yield from both("settings", (5, 3), momentum=0.8, epsilon=0.1)
    yield from both("no_center", (5, 3), center=False)
    yield from both("no_scale", (5, 3), scale=False)
    yield from both("no_center_no_scale", (4, 2), center=False, scale=False)
    yield from both("one_sample", (1, 3))
    # Not trainable means inference, whatever the call asks for.
    yield from both("frozen", (5, 3), trainable=False)


def other_normalizations():
    layer_normalization = layers.LayerNormalization
    yield "layer_normalization", layer_normalization(), (3, 5)
    yield "layer_normalization_rank_3", layer_normalization(), (2, 3, 4)
    yield "layer_normalization_axis_1", layer_normalization(axis=1), (2, 3, 4)
    yield "layer_normalization_axes", layer_normalization(axis=[1, 2]), (2, 3, 4)
    yield "layer_normalization_last_axes", layer_normalization(axis=[-2, -1]), (2, 2, 3, 2)
    yield "layer_normalization_no_center", layer_normalization(center=False), (3, 5)
    yield "layer_normalization_no_scale", layer_normalization(scale=False), (3, 5)
    yield "layer_normalization_epsilon", layer_normalization(epsilon=0.1), (3, 5)
    yield "layer_normalization_constant_row", layer_normalization(), f32([[2, 2, 2], [1, 2, 4]])

    group_normalization = layers.GroupNormalization
    yield "group_normalization", group_normalization(groups=2), (3, 6)
    yield "group_normalization_rank_3", group_normalization(groups=2), (2, 3, 4)
    yield "group_normalization_rank_4", group_normalization(groups=2), (2, 2, 3, 4)
    yield "group_normalization_one_group", group_normalization(groups=1), (2, 3, 4)
    # -1: a group for each channel
    yield "group_normalization_instance", group_normalization(groups=-1), (2, 3, 2)
    yield "group_normalization_axis_1", group_normalization(groups=2, axis=1), (2, 4, 3)
    plain = group_normalization(groups=2, center=False, scale=False, epsilon=0.1)
    yield "group_normalization_plain", plain, (2, 3, 4)

    rms_normalization = layers.RMSNormalization
    yield "rms_normalization", rms_normalization(), (3, 5)
    yield "rms_normalization_rank_3", rms_normalization(), (2, 3, 4)
    # Keras multiplies by the scale along the last axis, whichever axis it took the mean over.
    yield "rms_normalization_axis_1", rms_normalization(axis=1), (2, 4, 4)
    yield "rms_normalization_epsilon", rms_normalization(epsilon=0.1), (3, 5)
    yield "rms_normalization_zero_row", rms_normalization(), WITH_A_ZERO_ROW

    unit_normalization = layers.UnitNormalization
    yield "unit_normalization", unit_normalization(), (3, 5)
    yield "unit_normalization_zero_row", unit_normalization(), WITH_A_ZERO_ROW
    yield "unit_normalization_axis_1", unit_normalization(axis=1), (2, 3, 4)
    yield "unit_normalization_axes", unit_normalization(axis=[1, 2]), (2, 3, 4)


def embeddings():
    sequences = np.array([[0, 3, 1, 3], [4, 2, 2, 0]], dtype=np.int32)
    single = np.array([2, 0, 2, 4, 3], dtype=np.int32)
    yield "embedding_sequences", layers.Embedding(5, 3), sequences
    yield "embedding_single", layers.Embedding(5, 2), single
    # Zeroes nothing: only later layers and the loss see the mask.
    yield "embedding_mask_zero", layers.Embedding(5, 3, mask_zero=True), sequences
    regularized = layers.Embedding(5, 2, embeddings_regularizer=regularizers.L2(0.1))
    yield "embedding_regularized", regularized, sequences


def preprocessing():
    yield "rescaling", layers.Rescaling(0.5), (2, 3)
    yield "rescaling_offset", layers.Rescaling(1 / 127.5, offset=-1.0), (2, 3)
    yield "rescaling_lists", layers.Rescaling([0.5, 2.0, -1.0], offset=[1.0, 0.0, 0.25]), (2, 2, 3)

    normalization = layers.Normalization
    three = {"mean": [0.5, -1.0, 2.0], "variance": [0.25, 4.0, 2.0]}
    yield "normalization", normalization(**three), (2, 3)
    yield "normalization_rank_3", normalization(**three), (2, 2, 3)
    yield "normalization_invert", normalization(**three, invert=True), (2, 3)
    yield "normalization_axis_1", normalization(axis=1, **three), (2, 3, 2)
    one = {"mean": 0.5, "variance": 2.0}
    yield "normalization_one_number", normalization(**one), (2, 3)
    yield "normalization_axis_none", normalization(axis=None, **one), (2, 3)
    two = {"mean": [[0.5, -1.0], [2.0, 0.0]], "variance": [[0.25, 4.0], [2.0, 1.0]]}
    yield "normalization_axes", normalization(axis=(1, 2), **two), (2, 2, 2)
    # A standard deviation below 1e-7 counts as 1e-7.
    flat = normalization(mean=[0.5, 1.0], variance=[0.0, 1.0])
    yield "normalization_variance_0", flat, f32([[0.5, 2], [0.75, 3]])
    # Without mean and variance these are weights.
    yield "normalization_weights", normalization(), (2, 3)


def penalties():
    activity = layers.ActivityRegularization
    yield "activity_regularization", activity(l1=0.1, l2=0.05), (4, 3)
    yield "activity_regularization_l1", activity(l1=0.1), (2, 3, 2)
    yield "activity_regularization_none", activity(), (2, 3)
    l1, l2, l1_l2 = regularizers.L1(0.1), regularizers.L2(0.05), regularizers.L1L2(0.1, 0.2)
    yield "dense_kernel_regularizer", layers.Dense(3, kernel_regularizer=l2), (4, 2)
    yield "dense_bias_regularizer", layers.Dense(3, bias_regularizer=l1), (4, 2)
    relu = layers.Dense(3, activation="relu", activity_regularizer=l2)
    yield "dense_activity_regularizer", relu, (4, 2)
    all_three = layers.Dense(
        3, kernel_regularizer=l1, bias_regularizer=l2, activity_regularizer=l1_l2
    )
    yield "dense_three_regularizers", all_three, (4, 2)
    frozen = layers.Dense(3, kernel_regularizer=l2, activity_regularizer=l1, trainable=False)
    yield "dense_frozen_regularizers", frozen, (4, 2)
    scaled = layers.BatchNormalization(gamma_regularizer=l2, beta_regularizer=l1)
    yield "batch_normalization_regularizers", scaled, (4, 2), True
    yield "prelu_regularizer", layers.PReLU(alpha_regularizer=l1), (3, 2)


def adapt_case(name, layer, data, x):
    unadapted = serialized(layer)
    layer.adapt(data)
    values = {variable.name: variable.numpy() for variable in layer.weights}
    return {
        "name": name,
        "object": unadapted,
        "input_shape": list(data.shape[1:]),
        "data": tensor(data),
        **{key: tensor(values[key]) for key in ("mean", "variance", "count")},
        "x": tensor(x),
        "y": tensor(layer(x)),
    }


def adapt():
    random = np.random.default_rng(SEED)
    table = random.normal([1, -2, 0.5], [0.5, 3, 1], (7, 3))
    grid = random.uniform(-3, 5, (4, 2, 3))
    flat = f32([[1, 2], [1, 4], [1, 9]])  # the first column has no variance
    variants = [
        ("last_axis", {}, table),
        ("axis_none", {"axis": None}, table),
        ("rank_3_last_axis", {}, grid),
        ("rank_3_axis_1", {"axis": 1}, grid),
        ("rank_3_axes", {"axis": (1, 2)}, grid),
        ("rank_3_axis_none", {"axis": None}, grid),
        ("invert", {"invert": True}, table),
        ("no_variance", {}, flat),
    ]
    for name, arguments, data in variants:
        data = rounded(data)
        x = rounded(random.uniform(-2, 2, (2, *data.shape[1:])))
        yield adapt_case(name, layers.Normalization(**arguments), data, x)


def content():
    return {"cases": [case(*row) for row in table()], "adapt": list(adapt())}
