"""schedules.json

`cases`: [{`name`, `object`, `steps` (integers), `values`}]: the learning rate of each step, as an
optimizer asks for it, in float32.
"""

import numpy as np
import keras

from .writing import check_coverage, described, float32

STEPS = [0, 1, 2, 4, 5, 6, 7, 8, 9, 10, 11, 15, 19, 20, 21, 23, 24, 25, 30, 40, 50, 51, 100, 1000]


def rows():
    s = keras.optimizers.schedules
    exponential, inverse = s.ExponentialDecay, s.InverseTimeDecay
    polynomial, cosine, restarts = s.PolynomialDecay, s.CosineDecay, s.CosineDecayRestarts
    warm_up = {"warmup_target": 0.2, "warmup_steps": 5}
    return [
        ("exponential", exponential(0.1, 10, 0.5)),
        ("exponential_staircase", exponential(0.1, 10, 0.5, staircase=True)),
        ("piecewise_constant", s.PiecewiseConstantDecay([5, 20, 50], [0.1, 0.05, 0.01, 0.001])),
        ("piecewise_constant_one", s.PiecewiseConstantDecay([10], [1.0, 0.5])),
        ("polynomial", polynomial(0.1, 20)),
        ("polynomial_power", polynomial(0.1, 20, end_learning_rate=0.01, power=2.0)),
        ("polynomial_root", polynomial(0.1, 20, end_learning_rate=0.01, power=0.5)),
        ("polynomial_cycle", polynomial(0.1, 20, end_learning_rate=0.01, cycle=True)),
        ("polynomial_cycle_power", polynomial(0.1, 7, power=2.0, cycle=True)),
        ("inverse_time", inverse(0.1, 10, 0.5)),
        ("inverse_time_staircase", inverse(0.1, 10, 0.5, staircase=True)),
        ("cosine", cosine(0.1, 20)),
        ("cosine_alpha", cosine(0.1, 20, alpha=0.1)),
        ("cosine_warm_up", cosine(0.05, 20, alpha=0.1, **warm_up)),
        ("cosine_warm_up_from_0", cosine(0.0, 20, **warm_up)),
        # Without a target there is no warm-up, whatever its steps.
        ("cosine_warm_up_without_target", cosine(0.1, 20, warmup_steps=5)),
        ("cosine_restarts", restarts(0.1, 8)),
        ("cosine_restarts_custom", restarts(0.1, 5, t_mul=1.5, m_mul=0.5, alpha=0.1)),
        ("cosine_restarts_equal", restarts(0.1, 10, t_mul=1.0, m_mul=0.8)),
    ]


def case(name, schedule):
    return {
        **described(schedule),
        "name": name,
        "steps": STEPS,
        # The step is an integer variable, as an optimizer's iterations are.
        "values": [
            float32(np.asarray(schedule(keras.Variable(step, dtype="int64")))) for step in STEPS
        ],
    }


def content():
    cases = [case(*row) for row in rows()]
    classes = {case["object"]["class_name"] for case in cases}
    check_coverage(keras.optimizers.schedules, classes, ["LearningRateSchedule"])
    return {"cases": cases}
