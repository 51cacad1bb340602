"""constraints.json

`cases`: [{`name`, `object`, `w`, `result`}]: result is the constraint of the Tensor w.
"""

import keras

from .writing import check_coverage, described, f32, tensor

VECTOR = f32([0.5, -1.25, 0, 2])
# Columns (and rows) with norms on both sides of the limits, and one of zeros.
MATRIX = f32([[3, 0.1, -1, 0], [4, -0.2, 0, 0], [0.5, 0, 0.2, 0]])
CUBE = f32([[[0.5, -1], [2, 0.25]], [[-0.75, 0], [1.5, -3]], [[1, 0.1], [-0.5, 0.125]]])


def rows():
    c = keras.constraints
    return [
        ("max_norm_vector", c.MaxNorm(), VECTOR),
        ("max_norm", c.MaxNorm(), MATRIX),
        ("max_norm_axis_1", c.MaxNorm(max_value=1, axis=1), MATRIX),
        ("max_norm_axes", c.MaxNorm(max_value=1.5, axis=[0, 1]), CUBE),
        ("non_neg_vector", c.NonNeg(), VECTOR),
        ("non_neg", c.NonNeg(), MATRIX),
        ("unit_norm_vector", c.UnitNorm(), VECTOR),
        ("unit_norm", c.UnitNorm(), MATRIX),
        ("unit_norm_axis_1", c.UnitNorm(axis=1), MATRIX),
        ("unit_norm_axes", c.UnitNorm(axis=[0, 1]), CUBE),
        ("min_max_norm_vector", c.MinMaxNorm(), VECTOR),
        ("min_max_norm", c.MinMaxNorm(), MATRIX),
        ("min_max_norm_custom", c.MinMaxNorm(min_value=0.5, max_value=2.0), MATRIX),
        ("min_max_norm_rate", c.MinMaxNorm(min_value=0.5, max_value=2.0, rate=0.25), MATRIX),
        ("min_max_norm_axis_1", c.MinMaxNorm(0.5, 2.0, rate=0.5, axis=1), MATRIX),
        ("min_max_norm_axes", c.MinMaxNorm(0.5, 1.5, axis=[0, 1]), CUBE),
    ]


def content():
    cases = [
        {
            **described(constraint),
            "name": name,
            "w": tensor(w),
            "result": tensor(constraint(keras.ops.convert_to_tensor(w))),
        }
        for name, constraint, w in rows()
    ]
    classes = {case["object"]["class_name"] for case in cases}
    check_coverage(keras.constraints, classes, ["Constraint"])
    return {"cases": cases}
