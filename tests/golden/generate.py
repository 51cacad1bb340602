"""Writes the reference values that candle-keras is tested against, computed by real Keras.

Run it through the wrapper beside it, `tests/golden/generate`, which makes a fresh virtual
environment from `requirements.txt` and says whether the files are what is committed.

    python tests/golden/generate.py [folder]        (default: the folder of this script)

Backend: TensorFlow, because it alone fuses softmax and sigmoid with cross-entropy. Only there
does a confident wrong answer keep its loss and its gradient.

Every file
----------
One JSON object with sorted keys. Top level: `generator`, `keras`, `backend`, `backend_version`,
`numpy`, `seed`, and the lists named below.

- A *Tensor* is {"data": [numbers, row-major], "shape": [sizes]}; a scalar has shape [].
- Results and tensors are float32 in the shortest decimal that reads back as the same float32,
  also when it is read as float64 first (checked while writing). Class indices are integers.
- `arguments` are what the constructor was given, as float64. They list every argument that
  matters, defaults included, so that a test need not know Keras's defaults.
- Nothing is NaN or infinite (checked while writing).

activations.json
----------------
`cases`: [{`name`, `function`, `arguments`, `input`, `x`, `y`, `c`, `gradient`}]: y = function(x),
gradient = d sum(c * y) / dx; all four are Tensors of one shape (rows, width). `input` says which
x: "moderate" (1, 17), "extreme" (1, 8), or "batch" (3, 5). Softmax runs over the last axis.

losses.json
-----------
`cases`: [{`name`, `class`, `arguments`, `y_true`, `y_pred`, `per_sample`, `mean`, `gradient`}]:
per_sample is reduction=None, mean is the default reduction (a number), gradient is d mean / d y_pred.

`fused`: the same, but the loss gets y_pred = activation(z): {.., `activation`, `z`} in place of
`y_pred`, and gradient is d mean / dz. The loss sees that y_pred came out of softmax or sigmoid and
works on z, so these do not saturate.

optimizers.json
---------------
`cases`: [{`name`, `class`, `arguments`, `initial`, `gradients`, `weights`}]: initial is a list of
6 numbers; gradients and weights are lists of 5 such lists, weights[i] after applying gradients[i].

metrics.json
------------
`cases`: [{`name`, `requested`, `chosen`, `batches`: [{`y_true`, `y_pred`, `result`}]}]: requested
is the string given to compile(metrics=[..]), chosen the Keras class it became, result the metric
(a number) over all batches so far.

programs.json
-------------
`programs`: [{
  `name`, `input_shape` (without the batch),
  `layers`:  [{`class`, `units`, `activation`, `activation_arguments`, `use_bias`}],
  `compile`: {`loss`: {`class`, `arguments`}, `optimizer`: {`class`, `arguments`}, `metrics`: [..]},
  `fit`:     {`batch_size`, `epochs`, `shuffle` (always false), `validation_split` (0.0: none)},
  `x`, `y`: Tensors; `validation_data`: null or {`x`, `y`},
  `initial_weights`, `final_weights`: [{`layer` (index), `name` (kernel or bias), `data`, `shape`}]
      in Keras's order; a kernel is (in, units),
  `batches`: [{`epoch`, `batch` (both from 0), `size`, `own`, `running`}],
  `epochs`:  [logs], `evaluate`: logs, `predict`: Tensor
}]
where logs map a name (loss, accuracy, val_loss, val_accuracy) to a number.

- `running` is what Keras hands to on_train_batch_end: means over the epoch so far, not the batch.
- `own` is the batch alone, before its update. It comes from a second run with train_on_batch and
  reset metrics; that run must end in the same bits as fit did, or this script fails.
- `evaluate` is on the whole x and y (a validation tail included) with the same batch size, after
  the last epoch. `predict` is for the first 5 rows of x, after the last epoch.
- Biases start at random values, not at zero, so that a wrong bias shows.
"""

import functools
import json
import math
import os
import pathlib
import sys

# The same bits on every x86-64 machine, or as near as TensorFlow gets: one thread, no kernels
# that are chosen by what the processor offers.
os.environ["KERAS_BACKEND"] = "tensorflow"
os.environ["CUDA_VISIBLE_DEVICES"] = ""
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
os.environ["TF_ENABLE_ONEDNN_OPTS"] = "0"
os.environ["TENSORFLOW_USE_CUSTOM_CONTRACTION_KERNEL"] = "0"

import numpy as np
import tensorflow as tf
import keras

SEED = 20260
FOLDER = pathlib.Path(__file__).resolve().parent

assert keras.backend.backend() == "tensorflow", keras.backend.backend()
tf.get_logger().setLevel("ERROR")  # no warnings about retracing: each model is small and new
tf.config.threading.set_intra_op_parallelism_threads(1)
tf.config.threading.set_inter_op_parallelism_threads(1)
tf.config.experimental.enable_op_determinism()
keras.utils.set_random_seed(SEED)


# ---- writing ------------------------------------------------------------------------------------

WIDTH = 100  # what fits in one line of this many characters stays in one line
ROW = 6  # numbers a line in a long list that has no rows of its own


def scalar(value):
    """One number, string, bool or None as JSON; float32 in its shortest round-tripping form."""
    if isinstance(value, np.float32):
        assert np.isfinite(value), value
        text = str(value)
        assert np.float32(float(text)).tobytes() == value.tobytes(), text
        return text
    if isinstance(value, np.integer):
        return str(int(value))
    if isinstance(value, float):
        assert math.isfinite(value), value
    return json.dumps(value)


def compact(value):
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(k)}: {compact(value[k])}" for k in sorted(value)) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(compact(item) for item in value) + "]"
    return scalar(value)


def write(value, indent="", key="", row=ROW):
    """JSON with sorted keys: short values in one line, long ones one item (or row) a line."""
    line = compact(value)
    if len(indent) + len(key) + len(line) <= WIDTH or not isinstance(value, (dict, list)):
        return key + line
    inner = indent + " "
    if isinstance(value, dict):
        # A tensor's data is broken where its rows end.
        shape = value.get("shape")
        row = shape[-1] if shape and 1 < shape[-1] <= 12 else ROW
        items = [write(value[k], inner, f"{json.dumps(k)}: ", row) for k in sorted(value)]
        brackets = "{}"
    elif any(isinstance(item, (dict, list)) for item in value):
        items = [write(item, inner) for item in value]
        brackets = "[]"
    else:
        items = [", ".join(scalar(n) for n in value[i : i + row]) for i in range(0, len(value), row)]
        brackets = "[]"
    body = ",\n".join(inner + item for item in items)
    return f"{key}{brackets[0]}\n{body}\n{indent}{brackets[1]}"


def float32(value):
    """A result as float32; fails if that would lose something."""
    array = np.asarray(value)
    result = np.float32(array[()])
    assert array.dtype == np.float32 or float(result) == float(array), value
    return result


def numbers(array):
    array = np.asarray(array)
    if array.dtype.kind in "iu":
        return [np.int64(n) for n in array.ravel()]
    assert array.dtype == np.float32, array.dtype
    return list(array.ravel())


def tensor(array):
    array = np.asarray(array)
    return {"data": numbers(array), "shape": list(array.shape)}


def logs_of(logs):
    return {name: float32(value) for name, value in logs.items()}


def save(folder, name, content):
    header = {
        "generator": "tests/golden/generate.py",
        "keras": keras.__version__,
        "backend": keras.backend.backend(),
        "backend_version": tf.__version__,
        "numpy": np.__version__,
        "seed": SEED,
    }
    text = write({**header, **content}) + "\n"
    json.loads(text)
    (folder / name).write_text(text, encoding="ascii", newline="\n")
    print(f"{name}: {len(text)} bytes")


def f32(values):
    return np.asarray(values, dtype=np.float32)


# ---- activations --------------------------------------------------------------------------------


def activations():
    inputs = {
        "moderate": [[-6, -4.5, -3, -2, -1, -0.5, -0.1, -1e-3, 0, 1e-3, 0.1, 0.5, 1, 2, 3, 4.5, 6]],
        "extreme": [[-1e4, -100, -1, 0, 0.5, 100, 1e4, 20]],
        "batch": [[0.3, -1.2, 2.5, 0, -0.7], [1, 1, 1, -1, -1], [-3.2, 4.1, 0.05, -0.05, 4]],
    }
    functions = [
        ("linear", {}),
        ("sigmoid", {}),
        ("relu", {}),
        ("tanh", {}),
        ("leaky_relu", {"negative_slope": 0.2}),
        ("leaky_relu", {"negative_slope": 0.3}),
        ("elu", {"alpha": 1.0}),
        ("elu", {"alpha": 0.5}),
        ("softmax", {}),
    ]
    cases = []
    for function, arguments in functions:
        for kind, values in inputs.items():
            x = tf.constant(f32(values))
            # Weights of the sum: distinct, of both signs, exact in float32.
            c = f32([((7 * i) % 11 - 5) / 4 + 0.125 for i in range(x.shape.num_elements())])
            c = c.reshape(x.shape)
            with tf.GradientTape() as tape:
                tape.watch(x)
                y = getattr(keras.activations, function)(x, **arguments)
                total = tf.reduce_sum(c * y)
            cases.append(
                {
                    "name": "_".join([function, *map(str, arguments.values()), kind]),
                    "function": function,
                    "arguments": arguments,
                    "input": kind,
                    "x": tensor(x),
                    "y": tensor(y),
                    "c": tensor(c),
                    "gradient": tensor(tape.gradient(total, x)),
                }
            )
    return {"cases": cases}


# ---- losses -------------------------------------------------------------------------------------


def losses():
    regression_true = f32([[1, -0.5, 2], [0, 0.25, -1.5], [3, 1, 0], [-2, 0.75, 1]])
    regression_pred = f32([[0.8, -0.1, 2.4], [0.3, 0.25, -1], [2.2, 1.7, -0.4], [-1.1, 0.5, 1.9]])
    one_hot = f32([[0, 1, 0], [0, 0, 1], [1, 0, 0], [0, 1, 0]])
    soft = f32([[0.1, 0.8, 0.1], [0, 0.25, 0.75], [1, 0, 0], [0.5, 0.25, 0.25]])
    many_hot = f32([[1, 0, 1], [0, 0, 0], [1, 1, 1], [0, 1, 0]])
    labels = np.array([1, 2, 0, 1], dtype=np.int32)
    # Not saturated; the last row does not sum to 1, which Keras normalises.
    softmaxed = f32([[0.05, 0.9, 0.05], [0.1, 0.7, 0.2], [0.6, 0.3, 0.1], [0.4, 0.5, 0.3]])
    sigmoided = f32([[0.9, 0.2, 0.6], [0.1, 0.4, 0.3], [0.7, 0.8, 0.95], [0.5, 0.05, 0.65]])
    logits = f32([[0.5, 2, -1], [1.5, -0.3, 0.2], [-2, 0, 3], [0.1, 0.1, 0.1]])
    extreme = f32([[1e4, -1e4, 0], [-1e4, 50, 1e4], [1e4, 1e4, -1e4], [-100, 100, 40]])
    column_true = f32([[1], [0], [1], [0]])
    column_pred = f32([[0.8], [0.3], [0.45], [0.6]])
    column_logits = f32([[1.25], [-0.75], [-0.2], [0.4]])
    column_extreme = f32([[1e4], [1e4], [-1e4], [-100]])

    mse, bce = "MeanSquaredError", "BinaryCrossentropy"
    cce, scce = "CategoricalCrossentropy", "SparseCategoricalCrossentropy"
    probabilities, from_logits = {"from_logits": False}, {"from_logits": True}
    table = [
        ("mse", mse, {}, regression_true, regression_pred),
        ("mse_column", mse, {}, regression_true[:, :1], regression_pred[:, :1]),
        ("mse_vector_against_column", mse, {}, regression_true[:, 0], regression_pred[:, :1]),
        ("bce", bce, probabilities, many_hot, sigmoided),
        ("bce_column", bce, probabilities, column_true, column_pred),
        ("bce_vector_against_column", bce, probabilities, column_true[:, 0], column_pred),
        ("bce_logits", bce, from_logits, many_hot, logits),
        ("bce_logits_column", bce, from_logits, column_true, column_logits),
        ("bce_logits_vector_against_column", bce, from_logits, column_true[:, 0], column_logits),
        ("bce_logits_extreme", bce, from_logits, many_hot, extreme),
        ("bce_logits_column_extreme", bce, from_logits, column_true, column_extreme),
        ("cce", cce, probabilities, one_hot, softmaxed),
        ("cce_soft_labels", cce, probabilities, soft, softmaxed),
        ("cce_logits", cce, from_logits, one_hot, logits),
        ("cce_logits_soft_labels", cce, from_logits, soft, logits),
        ("cce_logits_extreme", cce, from_logits, one_hot, extreme),
        ("scce", scce, probabilities, labels, softmaxed),
        ("scce_column_labels", scce, probabilities, labels[:, None], softmaxed),
        ("scce_logits", scce, from_logits, labels, logits),
        ("scce_logits_column_labels", scce, from_logits, labels[:, None], logits),
        ("scce_logits_extreme", scce, from_logits, labels, extreme),
    ]
    fused_table = [
        ("bce_sigmoid", bce, "sigmoid", many_hot, logits),
        ("bce_sigmoid_extreme", bce, "sigmoid", many_hot, extreme),
        ("bce_sigmoid_column_extreme", bce, "sigmoid", column_true, column_extreme),
        ("cce_softmax", cce, "softmax", one_hot, logits),
        ("cce_softmax_extreme", cce, "softmax", one_hot, extreme),
        ("scce_softmax", scce, "softmax", labels, logits),
        ("scce_softmax_extreme", scce, "softmax", labels, extreme),
    ]

    def case(name, class_name, arguments, y_true, z, activation=None):
        apply = keras.activations.get(activation or "linear")
        loss_class = getattr(keras.losses, class_name)
        z = tf.constant(z)
        with tf.GradientTape() as tape:
            tape.watch(z)
            mean = loss_class(**arguments)(y_true, apply(z))
        result = {
            "name": name,
            "class": class_name,
            "arguments": arguments,
            "y_true": tensor(y_true),
            "per_sample": tensor(loss_class(**arguments, reduction=None)(y_true, apply(z))),
            "mean": float32(mean),
            "gradient": tensor(tape.gradient(mean, z)),
        }
        if activation is None:
            return {**result, "y_pred": tensor(z)}
        return {**result, "z": tensor(z), "activation": activation}

    return {
        "cases": [case(*row) for row in table],
        "fused": [
            case(name, class_name, probabilities, y_true, z, activation)
            for name, class_name, activation, y_true, z in fused_table
        ],
    }


# ---- optimizers ---------------------------------------------------------------------------------


def sgd(learning_rate=0.01, momentum=0.0, nesterov=False):
    return "SGD", {"learning_rate": learning_rate, "momentum": momentum, "nesterov": nesterov}


def adam(learning_rate=0.001, beta_1=0.9, beta_2=0.999, epsilon=1e-7):
    return "Adam", {
        "learning_rate": learning_rate,
        "beta_1": beta_1,
        "beta_2": beta_2,
        "epsilon": epsilon,
    }


def optimizers():
    initial = f32([1, -2, 0.5, 0, -0.03125, 10])
    # One weight always gets 0, one a gradient near Adam's epsilon, one a large one.
    gradients = f32(
        [
            [0.1, -0.2, 0, 1e-7, 0.5, 100],
            [-0.3, 0.05, 0, -2e-7, 0.4, -50],
            [0.02, 0.4, 0, 3e-7, -0.3, 25],
            [0.25, -0.15, 0, 1e-7, 0.2, -12.5],
            [-0.07, 0.6, 0, 1e-7, -0.1, 6.25],
        ]
    )
    table = [
        ("sgd", *sgd()),
        ("sgd_momentum", *sgd(momentum=0.9)),
        ("sgd_nesterov", *sgd(momentum=0.9, nesterov=True)),
        ("adam", *adam()),
        ("adam_custom", *adam(0.01, 0.8, 0.99, 1e-5)),
    ]
    cases = []
    for name, class_name, arguments in table:
        optimizer = getattr(keras.optimizers, class_name)(**arguments)
        variable = keras.Variable(initial)
        weights = []
        for gradient in gradients:
            optimizer.apply([tf.constant(gradient)], [variable])
            weights.append(numbers(variable.numpy()))
        cases.append(
            {
                "name": name,
                "class": class_name,
                "arguments": arguments,
                "initial": numbers(initial),
                "gradients": [numbers(gradient) for gradient in gradients],
                "weights": weights,
            }
        )
    return {"cases": cases}


# ---- metrics ------------------------------------------------------------------------------------


def metrics():
    # Ties (rows 2 and 3 of the first batch, row 2 of the second): the first maximum counts.
    scores = [
        f32([[0.1, 0.7, 0.2], [0.5, 0.2, 0.3], [0.4, 0.4, 0.2], [0.3, 0.35, 0.35], [0.2, 0.2, 0.6]]),
        f32([[0.25, 0.25, 0.5], [1 / 3, 1 / 3, 1 / 3], [0.1, 0.8, 0.1]]),
    ]
    labels = [np.array([1, 2, 1, 1, 2], dtype=np.int32), np.array([2, 0, 0], dtype=np.int32)]
    # Exactly 0.5 counts as class 0.
    sigmoids = [f32([[0.98], [0.5], [0], [0.6], [0.50000006]]), f32([[0.5], [0.49999997], [1]])]
    binary = [f32([[1], [1], [0], [0], [1]]), f32([[0], [0], [1]])]
    many_hot = [
        f32([[0, 1, 0], [1, 0, 1], [0, 1, 1], [0, 0, 0], [1, 1, 1]]),
        f32([[0, 0, 1], [1, 1, 1], [1, 0, 0]]),
    ]
    table = [
        ("categorical", [np.eye(3, dtype=np.float32)[y] for y in labels], scores),
        ("categorical_multi_label", many_hot, scores),
        ("sparse_vector_labels", labels, scores),
        ("sparse_column_labels", [y[:, None] for y in labels], scores),
        ("binary_column_labels", binary, sigmoids),
        ("binary_vector_labels", [y[:, 0] for y in binary], sigmoids),
        ("binary_integer_labels", [y[:, 0].astype(np.int32) for y in binary], sigmoids),
    ]
    cases = []
    for name, y_true, y_pred in table:
        # A model that returns its input, so that compile does the choosing, through public calls.
        model = keras.Sequential(
            [keras.Input((y_pred[0].shape[1],)), keras.layers.Activation("linear")]
        )
        model.compile(
            loss=lambda y_true, y_pred: keras.ops.mean(y_pred, axis=-1),
            metrics=["accuracy"],
            jit_compile=False,
        )
        batches = []
        for count, (true, pred) in enumerate(zip(y_true, y_pred), start=1):
            # Over all batches so far: the first has the batch size, the second is a smaller rest.
            so_far = [np.concatenate(values[:count]) for values in (y_pred, y_true)]
            scores = model.evaluate(*so_far, batch_size=5, verbose=0, return_dict=True)
            result = scores["accuracy"]
            batches.append(
                {"y_true": tensor(true), "y_pred": tensor(pred), "result": float32(result)}
            )
        (chosen,) = model._compile_metrics.metrics  # compile's choice has no public name
        cases.append(
            {
                "name": name,
                "requested": "accuracy",
                "chosen": type(chosen).__name__,
                "batches": batches,
            }
        )
    return {"cases": cases}


# ---- programs -----------------------------------------------------------------------------------

FEATURES = 6


def dense(units, activation="linear", use_bias=True, **activation_arguments):
    return {
        "class": "Dense",
        "units": units,
        "activation": activation,
        "activation_arguments": activation_arguments,
        "use_bias": use_bias,
    }


def build(layers):
    built = [keras.Input((FEATURES,))]
    for layer in layers:
        activation = layer["activation"]
        if layer["activation_arguments"]:
            activation = functools.partial(
                getattr(keras.activations, activation), **layer["activation_arguments"]
            )
        built.append(
            keras.layers.Dense(layer["units"], activation=activation, use_bias=layer["use_bias"])
        )
    return keras.Sequential(built)


def compile_model(model, settings):
    loss, optimizer = settings["loss"], settings["optimizer"]
    model.compile(
        loss=getattr(keras.losses, loss["class"])(**loss["arguments"]),
        optimizer=getattr(keras.optimizers, optimizer["class"])(**optimizer["arguments"]),
        metrics=settings["metrics"],
        jit_compile=False,
    )


def weights_of(model):
    return [
        {"layer": index, "name": variable.name, **tensor(variable.numpy())}
        for index, layer in enumerate(model.layers)
        for variable in layer.weights
    ]


def rounded(array, digits):
    """Few decimals: short to write, and no last bit that hangs on a processor's summation order."""
    return np.round(array, digits).astype(np.float32)


def samples(random, count, teacher, kind):
    """Features in [-2, 2) and targets of one kind that a small network can learn."""
    x = rounded(random.uniform(-2, 2, (count, FEATURES)), 3)
    noise = 0.1 * random.standard_normal((count, teacher.shape[1]))
    score = np.einsum("nf,fk->nk", x.astype(np.float64), teacher) + noise
    score = np.round(score, 6)
    if kind == "one_hot":
        y = np.eye(score.shape[1], dtype=np.float32)[score.argmax(axis=1)]
    elif kind == "labels":
        y = score.argmax(axis=1).astype(np.int32)
    elif kind == "label_column":
        y = score.argmax(axis=1).astype(np.int32)[:, None]
    elif kind == "binary":
        y = (score > 0).astype(np.float32)
    elif kind == "binary_vector":
        y = (score[:, 0] > 0).astype(np.float32)
    else:
        assert kind == "values", kind
        y = rounded(score, 3)
    return x, y


class RunningLogs(keras.callbacks.Callback):
    def __init__(self):
        super().__init__()
        self.epoch = None
        self.rows = []

    def on_epoch_begin(self, epoch, logs=None):
        self.epoch = epoch

    def on_train_batch_end(self, batch, logs=None):
        self.rows.append({"epoch": self.epoch, "batch": batch, "running": logs_of(logs)})


def own_logs(model, x, y, fit):
    """Each batch's size and its loss and metrics alone, by training once more, batch by batch."""
    rows = []
    for _ in range(fit["epochs"]):
        for start in range(0, len(x), fit["batch_size"]):
            part = slice(start, start + fit["batch_size"])
            model.reset_metrics()
            logs = model.train_on_batch(x[part], y[part], return_dict=True)
            rows.append({"size": len(x[part]), "own": logs_of(logs)})
    return rows


def program(index, row):
    random = np.random.default_rng([SEED, index])
    layers, count = row["layers"], row["count"]
    teacher = random.standard_normal((FEATURES, row["outputs"]))
    x, y = samples(random, count, teacher, row["targets"])
    validation = None
    if row["validation_count"]:
        validation = samples(random, row["validation_count"], teacher, row["targets"])
    fit = {
        "batch_size": 8,
        "epochs": 3,
        "shuffle": False,
        "validation_split": row["validation_split"],
    }
    class_name, arguments = row["optimizer"]
    loss_class, loss_arguments = row["loss"]
    settings = {
        "loss": {"class": loss_class, "arguments": loss_arguments},
        "optimizer": {"class": class_name, "arguments": arguments},
        "metrics": row["metrics"],
    }

    model = build(layers)
    initial = []
    for variable in model.weights:
        limit = 0.1  # biases; kernels as Glorot uniform
        if len(variable.shape) == 2:
            limit = math.sqrt(6 / sum(variable.shape))
        initial.append(rounded(random.uniform(-limit, limit, variable.shape), 4))
    model.set_weights(initial)
    compile_model(model, settings)
    initial_weights = weights_of(model)
    running = RunningLogs()
    history = model.fit(
        x, y, validation_data=validation, callbacks=[running], verbose=0, **fit
    ).history
    final_weights = weights_of(model)

    # keras cuts at floor(count * (1 - split)), in float64
    trained = math.floor(count * (1 - fit["validation_split"]))
    again = build(layers)
    again.set_weights(initial)
    compile_model(again, settings)
    own = own_logs(again, x[:trained], y[:trained], fit)
    assert compact(weights_of(again)) == compact(final_weights), row["name"]
    assert len(own) == len(running.rows), row["name"]
    batches = [{**left, **right} for left, right in zip(running.rows, own)]

    epochs = [
        {name: float32(values[epoch]) for name, values in history.items()}
        for epoch in range(fit["epochs"])
    ]
    for epoch, logs in enumerate(epochs):
        rows = [batch for batch in batches if batch["epoch"] == epoch]
        assert sum(batch["size"] for batch in rows) == trained
        mean = sum(batch["size"] * float(batch["own"]["loss"]) for batch in rows) / trained
        assert abs(mean - logs["loss"]) < 1e-5 * abs(mean), row["name"]
        assert rows[-1]["running"]["loss"] == logs["loss"], row["name"]
    assert epochs[-1]["loss"] < epochs[0]["loss"], f"{row['name']} does not learn: {epochs}"

    evaluated = model.evaluate(x, y, batch_size=fit["batch_size"], verbose=0, return_dict=True)
    return {
        "name": row["name"],
        "input_shape": [FEATURES],
        "layers": layers,
        "compile": settings,
        "fit": fit,
        "x": tensor(x),
        "y": tensor(y),
        "validation_data": validation
        and {"x": tensor(validation[0]), "y": tensor(validation[1])},
        "initial_weights": initial_weights,
        "final_weights": final_weights,
        "batches": batches,
        "epochs": epochs,
        "evaluate": logs_of(evaluated),
        "predict": tensor(model.predict(x[:5], verbose=0)),
    }


def programs():
    def row(name, targets, outputs, layers, loss, optimizer, **rest):
        defaults = {
            "count": 50,
            "validation_split": 0.0,
            "validation_count": 0,
            "metrics": ["accuracy"],
        }
        return {
            "name": name,
            "targets": targets,
            "outputs": outputs,
            "layers": layers,
            "loss": loss,
            "optimizer": optimizer,
            **defaults,
            **rest,
        }

    probabilities, from_logits = {"from_logits": False}, {"from_logits": True}
    table = [
        # 53 samples: 42 to train on, 11 to validate on; both end in a smaller batch.
        row(
            "walkthrough_in_miniature",
            "one_hot",
            4,
            [dense(8, "relu"), dense(5, "relu"), dense(4, "softmax")],
            ("CategoricalCrossentropy", probabilities),
            sgd(0.05, momentum=0.9),
            count=53,
            validation_split=0.2,
        ),
        row(
            "softmax_sparse_adam",
            "labels",
            3,
            [dense(8, "relu"), dense(3, "softmax")],
            ("SparseCategoricalCrossentropy", probabilities),
            adam(0.01),
            validation_count=20,
        ),
        row(
            "logits_sparse_nesterov",
            "label_column",
            3,
            [dense(7, "relu"), dense(3)],
            ("SparseCategoricalCrossentropy", from_logits),
            sgd(0.05, momentum=0.9, nesterov=True),
        ),
        row(
            "binary_sigmoid_adam",
            "binary",
            1,
            [dense(6, "relu"), dense(1, "sigmoid")],
            ("BinaryCrossentropy", probabilities),
            adam(0.01),
        ),
        row(
            "regression_sgd",
            "values",
            2,
            [dense(6, "tanh"), dense(2)],
            ("MeanSquaredError", {}),
            sgd(),
            metrics=[],
            validation_count=20,
        ),
        row(
            "multi_label_mixed_activations",
            "binary",
            3,
            [
                dense(7, "tanh"),
                dense(6, "elu", use_bias=False, alpha=0.5),
                dense(5, "leaky_relu", negative_slope=0.3),
                dense(3, "sigmoid"),
            ],
            ("BinaryCrossentropy", probabilities),
            sgd(0.1, momentum=0.9),
        ),
        row(
            "binary_logits_vector_labels",
            "binary_vector",
            1,
            [dense(5, "elu", alpha=1.0), dense(1)],
            ("BinaryCrossentropy", from_logits),
            adam(0.02, 0.8, 0.99, 1e-5),
            count=53,
            validation_split=0.2,
        ),
        row(
            "logits_categorical_sgd",
            "one_hot",
            3,
            [dense(6, "sigmoid"), dense(5, "leaky_relu", negative_slope=0.2), dense(3)],
            ("CategoricalCrossentropy", from_logits),
            sgd(0.1),
        ),
    ]
    return {"programs": [program(index, row) for index, row in enumerate(table)]}


def main():
    folder = pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else FOLDER
    for content in [activations, losses, optimizers, metrics, programs]:
        save(folder, f"{content.__name__}.json", content())


if __name__ == "__main__":
    main()
