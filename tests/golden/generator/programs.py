"""programs.json: whole programs through compile, fit, evaluate and predict.

`programs`: [{
  `name`, `input_shape` (without the batch), `input_dtype` (float32 or int32),
  `layers`: [object] (the InputLayer left out), `optimizer`, `loss`: object,
  `metrics`, `weighted_metrics`: [object or string],
  `fit`: {`batch_size`, `epochs`, `shuffle` (always false), `validation_split` (0.0: none),
      `class_weight` (null, or a weight for each class, its number a string), `initial_epoch`,
      `steps_per_epoch`, `validation_steps`, `validation_batch_size`, `validation_freq`},
  `x`, `y`: Tensors, `sample_weight`: null or a Tensor,
  `validation_data`: null or {`x`, `y`, `sample_weight`},
  `initial_weights`, `final_weights`: [{`layer` (index), `name`, `trainable`, `data`, `shape`}]
      in Keras's order; a kernel is (in, units),
  `batches`: [{`epoch`, `batch` (both from 0), `running`}],
  `epochs`: [logs], `evaluate`: logs, `predict`: Tensor
}]
where an object is what Keras serialises (a layer before it is built) and logs map a name to a
number, or to a list of numbers for a metric that has several.

- Every model is made of what is written here, so a configuration that said too little would show.
- `running` is what Keras hands to on_train_batch_end: means over the epoch so far, not the batch.
- `epochs` are the logs of on_epoch_end, one for every epoch that ran.
- `evaluate` is on the whole x, y and sample_weight (a validation tail included) with the same
  batch size, after the last epoch. `predict` is for the first 5 rows of x, after the last epoch.
- No weight starts at zero or one, so that a wrong one shows.
- Every program learns, and none hangs on a near tie: moving the initial weights by 3e-6, one way
  and the other, moves no number of any log by more than 2e-4 (checked while writing).
"""

import math

import keras
import numpy as np

from . import program_table
from .serialized import deserialized, serialized
from .writing import SEED, float32, tensor

FIT = {
    "batch_size": 8,
    "epochs": 3,
    "shuffle": False,
    "validation_split": 0.0,
    "class_weight": None,
    "initial_epoch": 0,
    "steps_per_epoch": None,
    "validation_steps": None,
    "validation_batch_size": None,
    "validation_freq": 1,
}


def log_values(logs):
    """Numbers, and lists of numbers for metrics that have several."""
    arrays = {name: np.asarray(value) for name, value in logs.items()}
    return {
        name: [float32(item) for item in array] if array.ndim else float32(array)
        for name, array in arrays.items()
    }


class Recorder(keras.callbacks.Callback):
    def __init__(self):
        super().__init__()
        self.epoch = None
        self.batches = []
        self.epochs = []

    def on_epoch_begin(self, epoch, logs=None):
        self.epoch = epoch

    def on_train_batch_end(self, batch, logs=None):
        row = {"epoch": self.epoch, "batch": batch, "running": log_values(logs)}
        self.batches.append(row)

    def on_epoch_end(self, epoch, logs=None):
        self.epochs.append(log_values(logs))


def described(function):
    """The program with all its objects serialised; x, y and the like are still arrays."""
    keras.utils.clear_session()  # the first AUC of each program is called "auc"
    name = function.__name__
    program = function(np.random.default_rng([SEED, *name.encode()]))
    defaults = {"metrics": [], "weighted_metrics": [], "sample_weight": None}
    program = {"name": name, "validation_data": None, **defaults, **program}
    program["fit"] = {**FIT, **program.get("fit", {})}
    for key in ("layers", "optimizer", "loss", "metrics", "weighted_metrics"):
        program[key] = serialized(program[key])
    return program


def build(program):
    x = program["x"]
    layers = [deserialized(layer) for layer in program["layers"]]
    return keras.Sequential([keras.Input(x.shape[1:], dtype=x.dtype), *layers])


def initial_values(program, model):
    """Kernels and embeddings as Glorot uniform would give them, all else near its usual start."""
    random = np.random.default_rng([SEED, 1, *program["name"].encode()])
    values = []
    for variable in model.weights:
        if variable.name in ("kernel", "embeddings"):
            limit = math.sqrt(6 / sum(variable.shape))
            low, high = -limit, limit
        elif variable.name in ("gamma", "scale", "moving_variance"):
            low, high = 0.5, 1.5
        else:
            low, high = -0.1, 0.1
        values.append(program_table.rounded(random.uniform(low, high, variable.shape), 4))
    return values


def weights_of(model):
    return [
        {
            "layer": index,
            "name": variable.name,
            "trainable": bool(variable.trainable),
            **tensor(variable.numpy()),
        }
        for index, layer in enumerate(model.layers)
        for variable in layer.weights
    ]


class Trainer:
    """A compiled model that can train several times, always from the same state but the weights."""

    def __init__(self, program):
        self.program = program
        self.model = model = build(program)
        model.compile(
            optimizer=deserialized(program["optimizer"]),
            loss=deserialized(program["loss"]),
            metrics=deserialized(program["metrics"]),
            weighted_metrics=deserialized(program["weighted_metrics"]),
            jit_compile=False,
        )
        self.initial = initial_values(program, model)
        model.set_weights(self.initial)
        model.optimizer.build(model.trainable_variables)
        self.state = [variable.numpy() for variable in model.optimizer.variables]

    def fit(self, initial):
        """Trains from these weights; returns every batch's logs and every epoch's."""
        self.model.set_weights(initial)
        for variable, value in zip(self.model.optimizer.variables, self.state):
            variable.assign(value)
        recorder = Recorder()
        self.model.fit(
            self.program["x"],
            self.program["y"],
            sample_weight=self.program["sample_weight"],
            validation_data=self.program["validation_data"],
            callbacks=[recorder],
            verbose=0,
            **self.program["fit"],
        )
        return recorder.batches, recorder.epochs

    def evaluate(self):
        logs = self.model.evaluate(
            self.program["x"],
            self.program["y"],
            sample_weight=self.program["sample_weight"],
            batch_size=self.program["fit"]["batch_size"],
            verbose=0,
            return_dict=True,
        )
        return log_values(logs)

    def run(self):
        self.model.set_weights(self.initial)
        initial_weights = weights_of(self.model)
        batches, epochs = self.fit(self.initial)
        return {
            "initial_weights": initial_weights,
            "final_weights": weights_of(self.model),
            "batches": batches,
            "epochs": epochs,
            "evaluate": self.evaluate(),
            "predict": tensor(self.model.predict(self.program["x"][:5], verbose=0)),
        }

    def check(self, result):
        name, epochs = self.program["name"], result["epochs"]
        assert epochs[-1]["loss"] < epochs[0]["loss"], f"{name} does not learn: {epochs}"
        logs = vector(result["batches"], epochs, result["evaluate"])
        random = np.random.default_rng(SEED)
        steps = [3e-6 * random.choice([-1, 1], value.shape) for value in self.initial]
        for sign in (-1, 1):
            pairs = zip(self.initial, steps)
            moved = [(value + sign * step).astype(np.float32) for value, step in pairs]
            difference = np.abs(vector(*self.fit(moved), self.evaluate()) - logs)
            largest = (difference / np.maximum(1, np.abs(logs))).max()
            assert largest < 2e-4, f"{name} hangs on a near tie: {largest}"


def vector(batches, epochs, evaluated):
    """Every number of every log."""
    logs = [row["running"] for row in batches] + epochs + [evaluated]
    return np.concatenate([np.ravel(row[name]) for row in logs for name in sorted(row)])


def written(program):
    """The arrays of a program as JSON."""
    fit = dict(program["fit"])
    if fit["class_weight"]:
        fit["class_weight"] = {str(key): value for key, value in fit["class_weight"].items()}
    x, weight, validation = (program[key] for key in ("x", "sample_weight", "validation_data"))
    if validation:
        weights = tensor(validation[2]) if len(validation) == 3 else None
        x_y = {"x": tensor(validation[0]), "y": tensor(validation[1])}
        validation = {**x_y, "sample_weight": weights}
    return {
        **program,
        "input_shape": list(x.shape[1:]),
        "input_dtype": str(x.dtype),
        "fit": fit,
        "x": tensor(x),
        "y": tensor(program["y"]),
        "sample_weight": None if weight is None else tensor(weight),
        "validation_data": validation,
    }


def content():
    programs = []
    for function in program_table.PROGRAMS:
        program = described(function)
        trainer = Trainer(program)
        result = trainer.run()
        trainer.check(result)
        programs.append({**written(program), **result})
    return {"programs": programs}
