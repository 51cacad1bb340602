"""initializers.json

`cases`: [{`name`, `object`, `shape`, `mean`, `variance`, `min`, `max`, `values`}]: moments in
float64 and extremes of one large draw. Tests can only compare these: another generator draws other
numbers. Deterministic initializers alone have `values`, a Tensor, of a small shape of its own.

`orthogonal`: [{`name`, `object`, `shape`, `gain`}], whose draws this script has checked: with the
last axis as columns, the shorter side's vectors are orthogonal and of length gain.

`scales`: [{`name`, `object`, `shape`, `stddev`}]: the standard deviation of the distribution that
is drawn from, as Keras's formulas have it for shapes of every rank (checked against a draw). For a
truncated normal it is that of what is left after truncation, for a uniform one limit / sqrt(3).
"""

import math

import numpy as np
import keras

from .writing import SEED, check_coverage, described, float32, rebuilt, tensor

SHAPE = (250, 400)
# STFT makes kernels for spectrograms.
LEFT_OUT = ["Initializer", "STFT", "STFTInitializer", "RandomInitializer"]


def random_rows(seed=SEED):
    i = keras.initializers
    rows = [
        ("random_normal", i.RandomNormal(seed=seed)),
        ("random_normal_custom", i.RandomNormal(mean=1.0, stddev=0.5, seed=seed)),
        ("random_uniform", i.RandomUniform(seed=seed)),
        ("random_uniform_custom", i.RandomUniform(minval=-1.0, maxval=3.0, seed=seed)),
        ("truncated_normal", i.TruncatedNormal(seed=seed)),
        ("truncated_normal_custom", i.TruncatedNormal(mean=1.0, stddev=0.5, seed=seed)),
        ("orthogonal", i.Orthogonal(seed=seed)),
        ("orthogonal_gain", i.Orthogonal(gain=2.0, seed=seed)),
    ]
    return rows + scaling_rows(seed)


def scaling_rows(seed=SEED):
    i = keras.initializers
    distributions = ["truncated_normal", "untruncated_normal", "uniform"]
    variants = [
        (
            f"variance_scaling_{mode}_{distribution}",
            i.VarianceScaling(scale=1.5, mode=mode, distribution=distribution, seed=seed),
        )
        for mode in ["fan_in", "fan_out", "fan_avg"]
        for distribution in distributions
    ]
    return [
        ("variance_scaling", i.VarianceScaling(seed=seed)),
        *variants,
        ("glorot_uniform", i.GlorotUniform(seed=seed)),
        ("glorot_normal", i.GlorotNormal(seed=seed)),
        ("he_uniform", i.HeUniform(seed=seed)),
        ("he_normal", i.HeNormal(seed=seed)),
        ("lecun_uniform", i.LecunUniform(seed=seed)),
        ("lecun_normal", i.LecunNormal(seed=seed)),
    ]


def deterministic_rows():
    i = keras.initializers
    return [
        ("zeros", i.Zeros(), (2, 3)),
        ("ones", i.Ones(), (2, 3)),
        ("constant", i.Constant(), (2, 3)),
        ("constant_custom", i.Constant(0.25), (4,)),
        ("identity", i.Identity(), (3, 3)),
        ("identity_gain_wide", i.Identity(gain=0.5), (2, 4)),
        ("identity_tall", i.Identity(gain=2.0), (4, 2)),
    ]


def measured(name, initializer, small_shape=None):
    draw = np.asarray(initializer(SHAPE), dtype=np.float32)
    wide = draw.astype(np.float64)
    values = {} if small_shape is None else {"values": tensor(initializer(small_shape))}
    return {
        **values,
        **described(initializer),
        "name": name,
        "shape": list(SHAPE),
        "mean": float(wide.mean()),
        "variance": float(wide.var()),
        "min": float32(draw.min()),
        "max": float32(draw.max()),
    }


def orthogonal(gain, shape):
    initializer = keras.initializers.Orthogonal(gain=gain, seed=SEED)
    matrix = np.asarray(initializer(shape), dtype=np.float64).reshape(-1, shape[-1])
    if matrix.shape[0] < matrix.shape[1]:
        matrix = matrix.T
    assert np.allclose(matrix.T @ matrix, gain**2 * np.eye(matrix.shape[1]), atol=1e-5)
    return {
        **described(initializer),
        "name": "orthogonal_" + "x".join(map(str, shape)),
        "shape": list(shape),
        "gain": gain,
    }


def fans(shape):
    if len(shape) < 2:
        return (shape or (1,)) * 2
    field = math.prod(shape[:-2])
    return shape[-2] * field, shape[-1] * field


def many_draws(initializer, shape):
    """Enough numbers for a standard deviation: one initializer draws the same ones each time."""
    initializers = [rebuilt(initializer, seed=seed) for seed in range(40)]
    return np.concatenate([np.ravel(each(shape)) for each in initializers])


def scale(name, initializer, shape):
    fan_in, fan_out = fans(shape)
    fan = {"fan_in": fan_in, "fan_out": fan_out, "fan_avg": (fan_in + fan_out) / 2}
    stddev = math.sqrt(initializer.scale / max(1.0, fan[initializer.mode]))
    drawn = np.std(many_draws(initializer, shape), dtype=np.float64)
    assert abs(drawn / stddev - 1) < 0.1, (name, shape, drawn, stddev)
    return {
        **described(initializer),
        "name": name + "_" + "x".join(map(str, shape)),
        "shape": list(shape),
        "stddev": stddev,
    }


def content():
    cases = [measured(*row) for row in [*random_rows(), *deterministic_rows()]]
    shapes = [(20,), (6, 10), (5, 4, 6), (3, 3, 5, 7)]
    names = ["glorot_uniform", "he_normal", "lecun_normal", "variance_scaling_fan_out_uniform"]
    chosen = [row for row in scaling_rows() if row[0] in names]
    squarish = [(4, 6), (6, 4), (3, 2, 4)]
    classes = {case["object"]["class_name"] for case in cases}
    check_coverage(keras.initializers, classes, LEFT_OUT)
    return {
        "cases": cases,
        "orthogonal": [orthogonal(gain, shape) for gain in [1.0, 2.0] for shape in squarish],
        "scales": [scale(*row, shape) for row in chosen for shape in shapes],
    }
