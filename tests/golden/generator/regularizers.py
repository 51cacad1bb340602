"""regularizers.json

`cases`: [{`name`, `object`, `w`, `penalty`, `gradient`}]: penalty (a number) is the regularizer of
the Tensor w, gradient is d penalty / dw.
"""

import tensorflow as tf
import keras

from .writing import check_coverage, described, f32, float32, tensor

VECTOR = f32([0.5, -1.25, 0, 2])
MATRIX = f32([[3, 0.1, -1], [4, -0.2, 0], [0.5, 0, 2], [-1, 1.5, 0.25]])
CUBE = f32([[[0.5, -1], [2, 0.25]], [[-0.75, 0], [1.5, -3]], [[1, 1], [-0.5, 0.125]]])
ROW_OF_ZEROS = f32([[3, 0.1, -1], [0, 0, 0], [0.5, 0, 2]])


def rows():
    l1, l2, both = keras.regularizers.L1, keras.regularizers.L2, keras.regularizers.L1L2
    orthogonal = keras.regularizers.OrthogonalRegularizer
    each = [
        ("l1", l1()),
        ("l1_custom", l1(0.3)),
        ("l2", l2()),
        ("l2_custom", l2(0.3)),
        ("l1_l2", both()),
        ("l1_l2_custom", both(l1=0.1, l2=0.2)),
        ("l1_l2_only_l1", both(l1=0.1)),
        ("l1_l2_only_l2", both(l2=0.2)),
    ]
    inputs = [("vector", VECTOR), ("matrix", MATRIX), ("cube", CUBE)]
    return [
        *((f"{name}_{kind}", regularizer, w) for name, regularizer in each for kind, w in inputs),
        ("orthogonal_rows", orthogonal(), MATRIX),
        ("orthogonal_rows_custom", orthogonal(factor=0.3, mode="rows"), MATRIX),
        ("orthogonal_columns", orthogonal(mode="columns"), MATRIX),
        ("orthogonal_row_of_zeros", orthogonal(factor=0.3), ROW_OF_ZEROS),
    ]


def case(name, regularizer, w):
    w = tf.constant(w)
    with tf.GradientTape() as tape:
        tape.watch(w)
        penalty = regularizer(w)
    # Zero times nothing has no gradient for TensorFlow.
    gradient = tape.gradient(penalty, w, unconnected_gradients=tf.UnconnectedGradients.ZERO)
    return {
        **described(regularizer),
        "name": name,
        "w": tensor(w),
        "penalty": float32(penalty),
        "gradient": tensor(gradient),
    }


def content():
    cases = [case(*row) for row in rows()]
    classes = {case["object"]["class_name"] for case in cases}
    check_coverage(keras.regularizers, classes, ["Regularizer"])
    return {"cases": cases}
