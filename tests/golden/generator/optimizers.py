"""optimizers.json

`cases`: [{`name`, `object`, `exclude_from_weight_decay` (only in a case about it: names, as
optimizer.exclude_from_weight_decay(var_names=..) takes them), `variables`: [{`path`, `initial`}],
`gradients`, `weights`, `finalized`}]:

- variables are those of a small model, path and all: Muon goes by names.
- gradients and weights have one item a step, each a list of one Tensor a variable; weights[i] is
  after applying gradients[i]. 5 steps, 6 with gradient accumulation.
- finalized (only with use_ema): what finalize_variable_values makes of the weights in the end.

One weight always gets the gradient 0, some a gradient near epsilon, and one a large one.
"""

import numpy as np
import tensorflow as tf
import keras

from .writing import SEED, check_coverage, described, rebuilt, tensor

SHAPES = {"dense/kernel": (3, 4), "dense/bias": (4,), "embedding/embeddings": (5, 2)}
STEPS = 5
# Wrappers of other optimizers, the base class, and one beyond the catalogue of candle-keras.
WRAPPERS = ["LossScaleOptimizer", "MultiOptimizer", "OptimizerMap"]
LEFT_OUT = [*WRAPPERS, "Optimizer", "ScheduleFreeAdamW"]


def initial_values():
    random = np.random.default_rng([SEED, 2])
    values = {
        path: np.round(random.uniform(-1, 1, shape), 3).astype(np.float32)
        for path, shape in SHAPES.items()
    }
    values["dense/bias"][0] = 0
    values["dense/kernel"][1, 1] = 10
    return values


def gradients_of(steps):
    random = np.random.default_rng([SEED, 3])
    result = []
    for step in range(steps):
        gradients = {
            path: np.round(random.uniform(-0.5, 0.5, shape), 3).astype(np.float32)
            for path, shape in SHAPES.items()
        }
        kernel, bias = gradients["dense/kernel"], gradients["dense/bias"]
        kernel[0, 0] = 0
        bias[3] = 0
        bias[1] = (-1) ** step * 1e-7 * (step + 1)
        kernel[2, 3] = 50 * (-0.5) ** step
        gradients["embedding/embeddings"][2 + step % 2] = 0  # tokens that a batch lacks
        result.append(list(gradients.values()))
    return result


def variables_at(values):
    variables = []
    for path, value in values.items():
        layer, name = path.split("/")
        with keras.name_scope(layer):
            variables.append(keras.Variable(value, name=name))
        assert variables[-1].path == path, variables[-1].path
    return variables


def case(name, optimizer, exclude=None):
    extra = described(optimizer)  # before the first step changes anything
    optimizer = rebuilt(optimizer)
    if exclude:
        optimizer.exclude_from_weight_decay(var_names=exclude)
        extra["exclude_from_weight_decay"] = exclude
    initial = initial_values()
    variables = variables_at(initial)
    accumulation = optimizer.gradient_accumulation_steps
    gradients = gradients_of(STEPS + 1 if accumulation else STEPS)
    weights = []
    for step in gradients:
        optimizer.apply([tf.constant(gradient) for gradient in step], variables)
        weights.append([tensor(variable.numpy()) for variable in variables])
    if optimizer.use_ema:
        optimizer.finalize_variable_values(variables)
        extra["finalized"] = [tensor(variable.numpy()) for variable in variables]
    return {
        "name": name,
        "variables": [{"path": path, "initial": tensor(value)} for path, value in initial.items()],
        "gradients": [[tensor(gradient) for gradient in step] for step in gradients],
        "weights": weights,
        **extra,
    }


def rows_of_classes():
    o = keras.optimizers
    return [
        ("sgd", o.SGD()),
        ("sgd_momentum", o.SGD(momentum=0.9)),
        ("sgd_nesterov", o.SGD(0.05, momentum=0.9, nesterov=True)),
        ("rmsprop", o.RMSprop()),
        ("rmsprop_momentum", o.RMSprop(0.01, rho=0.8, momentum=0.9, epsilon=1e-5)),
        ("rmsprop_centered", o.RMSprop(0.01, centered=True)),
        ("rmsprop_centered_momentum", o.RMSprop(0.01, centered=True, momentum=0.5)),
        ("adam", o.Adam()),
        ("adam_custom", o.Adam(0.01, 0.8, 0.99, 1e-5)),
        ("adam_amsgrad", o.Adam(0.01, amsgrad=True)),
        ("adamw", o.AdamW()),
        ("adamw_custom", o.AdamW(0.01, weight_decay=0.1, beta_1=0.8, amsgrad=True)),
        ("adamw_excluding", o.AdamW(0.01, weight_decay=0.1), ["bias"]),
        ("adamax", o.Adamax()),
        ("adamax_custom", o.Adamax(0.01, beta_1=0.8, beta_2=0.9, epsilon=1e-3)),
        ("nadam", o.Nadam()),
        ("nadam_custom", o.Nadam(0.01, beta_1=0.8, beta_2=0.99, epsilon=1e-5)),
        ("adagrad", o.Adagrad()),
        ("adagrad_custom", o.Adagrad(0.1, initial_accumulator_value=0.01, epsilon=1e-3)),
        ("adadelta", o.Adadelta()),
        ("adadelta_custom", o.Adadelta(1.0, rho=0.9, epsilon=1e-5)),
        ("lion", o.Lion()),
        ("lion_custom", o.Lion(0.01, beta_1=0.5, beta_2=0.8, weight_decay=0.1)),
        ("lamb", o.Lamb()),
        ("lamb_custom", o.Lamb(0.01, beta_1=0.8, beta_2=0.99, epsilon=1e-3, weight_decay=0.1)),
        *ftrl_rows(o.Ftrl),
        *adafactor_rows(o.Adafactor),
        *muon_rows(o.Muon),
    ]


def ftrl_rows(ftrl):
    l1, l2 = {"l1_regularization_strength": 0.05}, {"l2_regularization_strength": 0.1}
    shrinkage = {"l2_shrinkage_regularization_strength": 0.1}
    power = {"learning_rate_power": -0.7, "initial_accumulator_value": 0.2}
    return [
        ("ftrl", ftrl()),
        ("ftrl_l1", ftrl(0.1, **l1)),
        ("ftrl_l2", ftrl(0.1, **l2)),
        ("ftrl_l2_shrinkage", ftrl(0.1, **shrinkage)),
        ("ftrl_beta", ftrl(0.1, beta=0.5)),
        ("ftrl_all", ftrl(0.1, beta=0.2, **power, **l1, **l2, **shrinkage)),
    ]


def adafactor_rows(adafactor):
    return [
        ("adafactor", adafactor()),
        ("adafactor_large_rate", adafactor(0.9)),
        ("adafactor_absolute", adafactor(0.01, relative_step=False)),
        ("adafactor_absolute_large_rate", adafactor(0.9, relative_step=False)),
        (
            "adafactor_custom",
            adafactor(0.01, beta_2_decay=-0.5, epsilon_1=1e-8, epsilon_2=0.5, clip_threshold=0.5),
        ),
        ("adafactor_weight_decay", adafactor(0.01, weight_decay=0.1)),
    ]


def muon_rows(muon):
    adam = {"adam_beta_1": 0.8, "adam_beta_2": 0.99, "adam_lr_ratio": 0.5, "epsilon": 1e-5}
    polynomial = {"muon_a": 3.0, "muon_b": -4.0, "muon_c": 1.5, "ns_steps": 3}
    return [
        ("muon", muon()),
        ("muon_embeddings", muon(0.01, exclude_embeddings=False)),
        ("muon_excluding_layers", muon(0.01, exclude_layers=["dense", "no such layer"])),
        ("muon_adam", muon(0.01, adam_weight_decay=0.1, weight_decay=0.05, **adam)),
        ("muon_adam_without_decay", muon(0.01, adam_weight_decay=None)),
        ("muon_custom", muon(0.01, momentum=0.8, nesterov=False, rms_rate=0.3, **polynomial)),
        ("muon_without_rms", muon(0.01, rms_rate=None)),
        ("muon_excluding", muon(0.01, weight_decay=0.1, adam_weight_decay=0.2), ["bias"]),
    ]


def rows_of_options(name, optimizer, learning_rate):
    """What every optimizer takes."""
    ema = {"use_ema": True, "ema_momentum": 0.8}
    schedule = keras.optimizers.schedules.ExponentialDecay(learning_rate, 2, 0.5)
    rows = [
        ("weight_decay", {"weight_decay": 0.1}),
        ("clipnorm", {"clipnorm": 0.5}),
        ("clipvalue", {"clipvalue": 0.1}),
        ("global_clipnorm", {"global_clipnorm": 0.8}),
        ("global_clipnorm_above", {"global_clipnorm": 1000.0}),
        ("ema", ema),
        ("ema_overwrite", {"ema_overwrite_frequency": 2, **ema}),
        ("accumulation", {"gradient_accumulation_steps": 2}),
        (
            "accumulation_clipped_decayed",
            {"gradient_accumulation_steps": 2, "clipnorm": 0.5, "weight_decay": 0.1},
        ),
        ("accumulation_ema", {"gradient_accumulation_steps": 2, **ema}),
        ("loss_scale", {"loss_scale_factor": 4.0}),
        ("schedule", {"learning_rate": schedule}),
        ("schedule_weight_decay", {"learning_rate": schedule, "weight_decay": 0.1}),
        ("schedule_accumulation", {"learning_rate": schedule, "gradient_accumulation_steps": 2}),
    ]
    cases = [
        (f"{name}_{ending}", optimizer(**{"learning_rate": learning_rate, **arguments}))
        for ending, arguments in rows
    ]
    decayed = optimizer(learning_rate, weight_decay=0.1)
    return [*cases, (f"{name}_weight_decay_excluding", decayed, ["bias"])]


def content():
    o = keras.optimizers
    rows = [
        *rows_of_classes(),
        *rows_of_options("sgd", o.SGD, 0.05),
        *rows_of_options("adam", o.Adam, 0.01),
        ("adafactor_schedule", o.Adafactor(o.schedules.InverseTimeDecay(0.3, 2, 0.5))),
    ]
    cases = [case(*row) for row in rows]
    check_coverage(o, {case["object"]["class_name"] for case in cases}, LEFT_OUT)
    return {"cases": cases}
