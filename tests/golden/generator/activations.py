"""activations.json

`cases`: [{`name`, `function`, `arguments`, `input`, `x`, `y`, `c`, `gradient`}]: y = function(x),
gradient = d sum(c * y) / dx. x and gradient are Tensors of one shape (rows, width), y and c of
another only for glu, which halves the width. Softmax, log_softmax, sparsemax and glu run over the
last axis. `input` says which x:

- "moderate" (1, 17): kinks of most functions are among these (0, ±0.5, ±1, ±3, 6). TensorFlow's
  derivative there is the reference.
- "extreme" (1, 8): up to ±1e4. Exponential, which overflows, gets -1e4 to 80 instead.
- "batch" (3, 5), for glu (3, 4).
"""

import tensorflow as tf
import keras

from .writing import check_coverage, f32, tensor

INPUTS = {
    "moderate": [[-6, -4.5, -3, -2, -1, -0.5, -0.1, -1e-3, 0, 1e-3, 0.1, 0.5, 1, 2, 3, 4.5, 6]],
    "extreme": [[-1e4, -100, -1, 0, 0.5, 100, 1e4, 20]],
    "batch": [[0.3, -1.2, 2.5, 0, -0.7], [1, 1, 1, -1, -1], [-3.2, 4.1, 0.05, -0.05, 4]],
}
OF_FUNCTION = {
    "exponential": {"extreme": [[-1e4, -100, -1, 0, 0.5, 40, 80, 20]]},
    # Halves: the first times the sigmoid of the second.
    "glu": {
        "moderate": [[-6, -2, -0.5, 0, 1e-3, 0.5, 1, 3, 4.5, -0.1, 0, 1, -1, 2, -3, 6]],
        "batch": [[0.3, -1.2, 2.5, 0], [1, 1, -1, -1], [-3.2, 4.1, -0.05, 4]],
    },
}


def relu(negative_slope=0.0, max_value=None, threshold=0.0):
    arguments = {"negative_slope": negative_slope, "max_value": max_value, "threshold": threshold}
    return "relu", arguments


FUNCTIONS = [
    ("linear", {}),
    ("sigmoid", {}),
    ("hard_sigmoid", {}),
    ("log_sigmoid", {}),
    ("sparse_sigmoid", {}),
    ("tanh", {}),
    ("hard_tanh", {}),
    ("tanh_shrink", {}),
    # Keras has a branch for each of these; 6 as the maximum has one of its own.
    relu(),
    relu(max_value=2.0),
    relu(max_value=6.0),
    relu(threshold=0.5),
    relu(threshold=-1.0),
    relu(negative_slope=0.25),
    relu(negative_slope=0.25, max_value=2.0),
    relu(negative_slope=0.25, threshold=0.5),
    relu(negative_slope=0.25, threshold=-1.0),
    relu(max_value=2.0, threshold=0.5),
    relu(negative_slope=0.25, max_value=2.0, threshold=0.5),
    ("relu6", {}),
    ("leaky_relu", {"negative_slope": 0.2}),
    ("leaky_relu", {"negative_slope": 0.3}),
    ("elu", {"alpha": 1.0}),
    ("elu", {"alpha": 0.5}),
    ("celu", {"alpha": 1.0}),
    ("celu", {"alpha": 0.5}),
    ("selu", {}),
    ("gelu", {"approximate": False}),
    ("gelu", {"approximate": True}),
    ("silu", {}),
    ("hard_silu", {}),
    ("mish", {}),
    ("glu", {}),
    ("softplus", {}),
    ("softsign", {}),
    ("sparse_plus", {}),
    ("squareplus", {"b": 4.0}),
    ("squareplus", {"b": 1.0}),
    ("soft_shrink", {"threshold": 0.5}),
    ("soft_shrink", {"threshold": 1.0}),
    ("hard_shrink", {"threshold": 0.5}),
    ("hard_shrink", {"threshold": 1.0}),
    ("threshold", {"threshold": 0.5, "default_value": -2.0}),
    ("threshold", {"threshold": -1.0, "default_value": 0.0}),
    ("exponential", {}),
    ("softmax", {}),
    ("log_softmax", {}),
    ("sparsemax", {}),
]


def case(function, arguments, kind, values):
    x = tf.constant(f32(values))
    apply = getattr(keras.activations, function)
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = apply(x, **arguments)
        # Weights of the sum: distinct, of both signs, exact in float32.
        c = f32([((7 * i) % 11 - 5) / 4 + 0.125 for i in range(y.shape.num_elements())])
        c = c.reshape(y.shape)
        total = tf.reduce_sum(c * y)
    return {
        "name": "_".join([function, *map(str, arguments.values()), kind]),
        "function": function,
        "arguments": arguments,
        "input": kind,
        "x": tensor(x),
        "y": tensor(y),
        "c": tensor(c),
        "gradient": tensor(tape.gradient(total, x)),
    }


def content():
    check_coverage(keras.activations, {function for function, _ in FUNCTIONS})
    return {
        "cases": [
            case(function, arguments, kind, values)
            for function, arguments in FUNCTIONS
            for kind, values in {**INPUTS, **OF_FUNCTION.get(function, {})}.items()
        ]
    }
