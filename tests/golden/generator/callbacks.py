"""callbacks.json: what callbacks do with given logs.

The callbacks of the first four lists are driven by hand, with a model that does not train: its
only weight is the number of the epoch, so that restored weights name their epoch. `arguments` are
the constructor's, the others have their defaults. `values` are the monitored value (val_loss
unless `arguments` say otherwise) after each epoch, null for NaN.

`early_stopping`: [{`name`, `arguments`, `values`, `epochs_run`, `final_epoch`}]: final_epoch is the
    one (from 0) whose weights the model has at the end: the last one that ran, or a restored one.
`reduce_lr_on_plateau`: [{`name`, `arguments`, `initial`, `values`, `logged`, `learning_rates`}]:
    the rate in each epoch's logs (before it is reduced), and the rate after each epoch.
`learning_rate_scheduler`: [{`name`, `initial`, `returned`, `given`, `logged`}]: the function
    returns returned[epoch] and was given given[epoch]; logged is the rate in the epoch's logs.
`model_checkpoint`: [{`name`, `arguments`, `steps` (batches an epoch), `logs` (of every epoch),
    `saved`: [{`epoch`, `batch` (null after an epoch), `file`}]}]: epochs and batches from 0; the
    logs of a batch are those of its epoch.
`csv_logger`: [{`name`, `arguments`, `before` (what the file holds, or null), `epochs`: [logs],
    `content`}]: the exact text of the file, a float64 in Python's shortest form.
`terminate_on_nan`: [{`name`, `arguments`, `value`, `batch`, `batches`, `epochs`, `raises`}]: of a
    fit of 3 epochs, each of 4 batches of a sample 1 with the target 0, where the sample of one
    `batch` is `value` ("nan", "inf"): how many batches ended and how many epochs are in the history
    (null where it raises).
`order`: [{`name`, `calls`: [[hook, number or null, [keys of logs]]]}]: what a callback sees, in
    this order, of fit (2 epochs, 5 samples in batches of 2, 3 to validate), evaluate and predict.
"""

import pathlib
import tempfile
import warnings

import keras
import numpy as np

from .writing import f32, float32

HOOKS = {
    kind: [f"on_{kind}_{edge}" for edge in ("begin", "batch_begin", "batch_end", "end")]
    for kind in ("train", "test", "predict")
}


def small_model(learning_rate=1.0):
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1, use_bias=False)])
    model.compile("sgd", "mse", metrics=["accuracy"], jit_compile=False)
    # Mode "auto" asks the model's metrics, which exist after a first batch only.
    model.evaluate(f32([[0]]), f32([[0]]), verbose=0)
    model.optimizer.learning_rate = learning_rate
    return model


def drive(callback, model, logs):
    """Calls what fit would call for these epochs' logs; returns the logs as they then are."""
    callback.set_model(model)
    model.stop_training = False
    callback.on_train_begin()
    seen = []
    for epoch, values in enumerate(logs):
        callback.on_epoch_begin(epoch)
        model.set_weights([f32([[epoch]])])
        values = dict(values)
        callback.on_epoch_end(epoch, values)
        seen.append(values)
        if model.stop_training:
            break
    callback.on_train_end()
    return seen


def values_of(numbers):
    return [float("nan") if number is None else float(number) for number in numbers]


# ---- stopping and learning rates ----------------------------------------------------------------


def early_stopping_case(name, values, **arguments):
    model = small_model()
    monitor = arguments.get("monitor", "val_loss")
    logs = [{monitor: value} for value in values_of(values)]
    run = drive(keras.callbacks.EarlyStopping(**arguments), model, logs)
    return {
        "name": name,
        "arguments": arguments,
        "values": values,
        "epochs_run": len(run),
        "final_epoch": int(model.get_weights()[0].item()),
    }


def early_stopping():
    case = early_stopping_case
    late, restore = [3, 2.5, 2, 1.5, 0.9, 0.95, 0.96, 0.97], {"restore_best_weights": True}
    small_steps = [1, 0.95, 0.9, 0.85, 0.5, 0.5, 0.5]
    accuracies = [0.5, 0.6, 0.55, 0.7, 0.7, 0.65, 0.9]
    accuracy = {"monitor": "val_accuracy"}
    return [
        case("patience_0", [1, 2, 3]),
        case("patience_0_never_after_the_first_epoch", [2, 2, 2]),
        case("patience_2", [3, 2, 2.5, 2.1, 1, 4], patience=2),
        case("patience_2_reset", [3, 2, 2.5, 1.9, 2, 2, 2], patience=2),
        case("equal_is_no_improvement", [1, 1, 1, 1], patience=2),
        case("never_stops", [4, 3, 2, 1], patience=1),
        case("baseline", late, patience=2, baseline=1.0),
        case("baseline_never_reached", [3, 3.5, 4, 4.5], patience=2, baseline=1.0),
        case("baseline_never_reached_restore", [3, 2, 4, 4], patience=2, baseline=1.0, **restore),
        case("min_delta", small_steps, patience=2, min_delta=0.1),
        case("min_delta_negative", small_steps, patience=2, min_delta=-0.1),
        case("min_delta_exact", [1, 0.5, 0, 0], min_delta=0.5),
        case("start_from_epoch", [1, 2, 3, 4, 5, 6], patience=1, start_from_epoch=3),
        case("start_from_epoch_restore", [1, 4, 3, 4, 5], patience=2, start_from_epoch=2, **restore),
        case("restore", [3, 2, 2.5, 2.6, 1], patience=2, **restore),
        case("restore_without_a_stop", [3, 1, 2, 2], patience=5, **restore),
        case("restore_first", [1, 2, 3, 4], patience=3, **restore),
        case("max", accuracies, patience=2, mode="max", **accuracy),
        case("auto_accuracy", accuracies, patience=2, **accuracy, **restore),
        case("max_min_delta", accuracies, patience=2, mode="max", min_delta=0.15, **accuracy),
        case("loss", [2, 1, 1.5, 0.5], patience=1, monitor="loss"),
        case("nan_first", [None, 3, 2, 1], patience=2, **restore),
        case("nan_later", [3, None, 2, None, None, None], patience=2, **restore),
    ]


def reduce_case(name, values, initial=1.0, **arguments):
    model = small_model(initial)
    monitor = arguments.get("monitor", "val_loss")
    rates = []

    class Rates(keras.callbacks.ReduceLROnPlateau):
        def on_epoch_end(self, epoch, logs=None):
            super().on_epoch_end(epoch, logs)
            rates.append(float32(self.model.optimizer.learning_rate))

    logs = drive(Rates(**arguments), model, [{monitor: value} for value in values_of(values)])
    return {
        "name": name,
        "arguments": arguments,
        "initial": initial,
        "values": values,
        "logged": [float32(row["learning_rate"]) for row in logs],
        "learning_rates": rates,
    }


def reduce_lr_on_plateau():
    case, constant = reduce_case, [1] * 9
    half = {"factor": 0.5, "patience": 2}
    return [
        case("constant", constant, **half),
        case("cooldown", constant, cooldown=2, **half),
        case("cooldown_1", constant, cooldown=1, **half),
        case("improving", [5, 4, 3, 2, 1], **half),
        case("reset_by_improvement", [5, 5, 4, 4, 3, 3, 3, 3], **half),
        case("patience_0", [1, 1, 0.5, 0.5], factor=0.1, patience=0),
        case("patience_1", [1, 1, 1, 0.5, 0.6], factor=0.1, patience=1),
        case("min_lr", constant, factor=0.1, patience=1, min_lr=0.003),
        case("min_delta", [1, 0.99995, 0.9999, 0.99985, 0.9], **half),
        case("min_delta_larger", [1, 0.8, 0.6, 0.4, 0.2], min_delta=0.3, **half),
        case("max", [0.5, 0.4, 0.6, 0.5, 0.5, 0.5], mode="max", monitor="val_accuracy", **half),
        case("auto_accuracy", [0.5, 0.4, 0.6, 0.5, 0.5], monitor="accuracy", **half),
        case("small_rate", constant, initial=0.01, factor=0.1, patience=1),
        case("nan_first", [None, 1, 0.5, 0.25, 0.1], **half),
    ]


def scheduler_case(name, initial, returned):
    """`returned` may hang on the rate that it is given."""
    model = small_model(initial)
    given, results = [], []

    def schedule(epoch, learning_rate):
        given.append(float32(learning_rate))
        results.append(returned(epoch, learning_rate))
        return results[-1]

    callback = keras.callbacks.LearningRateScheduler(schedule)
    logs = drive(callback, model, [{"loss": 1.0}] * 4)
    logged = [float32(row["learning_rate"]) for row in logs]
    return {
        "name": name, "initial": initial, "given": given, "returned": results, "logged": logged
    }


def learning_rate_scheduler():
    return [
        scheduler_case("of_the_epoch", 0.5, lambda epoch, rate: 0.1 / (epoch + 1)),
        scheduler_case("of_the_rate", 0.1, lambda epoch, rate: rate * 0.5),
        scheduler_case("late", 0.1, lambda epoch, rate: rate if epoch < 2 else rate * 0.1),
    ]


# ---- files --------------------------------------------------------------------------------------


def checkpoint_case(name, logs, steps=1, **arguments):
    saved, now = [], {}
    model = small_model()

    def save(file, overwrite=True):
        saved.append({**now, "file": file})

    model.save = model.save_weights = save
    callback = keras.callbacks.ModelCheckpoint(**arguments)
    callback.set_model(model)
    callback.on_train_begin()
    for epoch, values in enumerate(logs):
        callback.on_epoch_begin(epoch)
        for batch in range(steps):
            now.update(epoch=epoch, batch=batch)
            callback.on_train_batch_end(batch, dict(values))
        now.update(epoch=epoch, batch=None)
        callback.on_epoch_end(epoch, dict(values))
    callback.on_train_end()
    return {"name": name, "arguments": arguments, "steps": steps, "logs": logs, "saved": saved}


def model_checkpoint():
    case = checkpoint_case
    losses = [{"loss": a, "val_loss": b} for a, b in [(2.0, 3.0), (1.5, 3.5), (1.0, 2.0), (0.5, 2.0)]]
    accuracies = [{"val_accuracy": value} for value in [0.5, 0.25, 0.75, 0.75, 0.875]]
    numbered, best = "{epoch:02d}-{val_loss:.2f}.keras", {"save_best_only": True}
    weights = {"filepath": "{epoch}.weights.h5", "save_weights_only": True}
    accuracy = {"filepath": "best.keras", "monitor": "val_accuracy", **best}
    batches = {"filepath": "{epoch:02d}-{batch:03d}.keras"}
    return [
        case("every_epoch", losses, filepath=numbered),
        case("best", losses, filepath=numbered, **best),
        case("best_loss", losses, filepath="best.keras", monitor="loss", **best),
        case("best_min", losses, filepath="best.keras", mode="min", **best),
        case("best_max", losses, filepath=numbered, mode="max", **best),
        case("weights_only", losses, **weights),
        case("threshold", losses, filepath=numbered, initial_value_threshold=2.5, **best),
        case("threshold_never", losses, filepath=numbered, initial_value_threshold=1.0, **best),
        case("auto_accuracy", accuracies, **accuracy),
        case("accuracy_threshold", accuracies, initial_value_threshold=0.6, **accuracy),
        case("every_2_batches", losses[:3], steps=3, save_freq=2, **batches),
        case("every_5_batches", losses[:4], steps=3, save_freq=5, **batches),
        case(
            "best_of_batches", losses, steps=2, save_freq=3, monitor="loss", **batches, **best
        ),
    ]


def csv_case(name, epochs, before=None, **arguments):
    with tempfile.TemporaryDirectory() as folder:
        file = pathlib.Path(folder) / "log.csv"
        if before is not None:
            file.write_bytes(before.encode())
        drive(keras.callbacks.CSVLogger(str(file), **arguments), small_model(), epochs)
        content = file.read_bytes().decode()
    return {
        "name": name,
        "arguments": arguments,
        "before": before,
        "epochs": [
            {key: list(value) if np.ndim(value) else value for key, value in row.items()}
            for row in epochs
        ],
        "content": content,
    }


def csv_logger():
    # What fit logs are float32 as Python's float64: 0.1 becomes 0.10000000149011612.
    third, tenth = float(np.float32(1 / 3)), float(np.float32(0.1))
    full = {"loss": third, "val_loss": 2.0, "accuracy": tenth, "val_accuracy": 1e-7}
    vector = {"f1_score": f32([0.5, 1 / 3, 1]), "loss": 1.0}
    header = "epoch,loss,val_loss\r\n0,1.0,2.0\r\n"
    both = [{"loss": 0.5, "val_loss": 1.5}, {"loss": 0.25, "val_loss": 1.25}]
    return [
        csv_case("with_validation", [full, {**full, "loss": 12345678.0}]),
        csv_case("without_validation", [{"loss": third, "mae": 1e20}, {"loss": 0.25, "mae": 5e-5}]),
        csv_case("separator", both, separator=";"),
        csv_case("append", both, before=header, append=True),
        csv_case("append_to_nothing", both, append=True),
        csv_case("append_to_an_empty_file", both, before="", append=True),
        csv_case("overwrite", both, before=header),
        csv_case("validation_later", [{"loss": 0.5}, both[1]]),
        csv_case("validation_sometimes", [both[0], {"loss": 0.5}]),
        csv_case("learning_rate", [{"loss": 0.5, "val_loss": 1.0, "learning_rate": tenth}]),
        csv_case("vector", [vector]),
    ]


# ---- TerminateOnNaN -----------------------------------------------------------------------------


class BatchCounter(keras.callbacks.Callback):
    """Counts the batches that ended."""

    def __init__(self):
        super().__init__()
        self.count = 0

    def on_train_batch_end(self, batch, logs=None):
        self.count += 1


def terminate_case(name, value, batch, **arguments):
    x = f32([[1], [1], [1], [1]])
    if batch is not None:
        x[batch] = float(value)
    model, counter = small_model(0.01), BatchCounter()
    callbacks = [keras.callbacks.TerminateOnNaN(**arguments), counter]
    try:
        history = model.fit(x, 0 * f32([[1]] * 4), 1, 3, 0, callbacks, shuffle=False)
    except RuntimeError:
        history = None
    return {
        "name": name,
        "arguments": arguments,
        "value": value,
        "batch": batch,
        "batches": counter.count,
        "epochs": None if history is None else len(history.epoch),
        "raises": history is None,
    }


def terminate_on_nan():
    return [
        terminate_case("none", "nan", None),
        terminate_case("first", "nan", 0),
        terminate_case("nan", "nan", 1),
        terminate_case("infinite", "inf", 2),
        terminate_case("last", "nan", 3),
        terminate_case("raises", "nan", 1, raise_error=True),
    ]


# ---- order --------------------------------------------------------------------------------------


class CallRecorder(keras.callbacks.Callback):
    """Notes every call that fit, evaluate and predict make."""

    def __init__(self):
        super().__init__()
        self.calls = []
        for begin, batch_begin, batch_end, end in HOOKS.values():
            for name in (begin, end):
                setattr(self, name, lambda logs=None, name=name: self.note(name, None, logs))
            for name in (batch_begin, batch_end):
                setattr(self, name, lambda n, logs=None, name=name: self.note(name, n, logs))
        for name in ("on_epoch_begin", "on_epoch_end"):
            setattr(self, name, lambda n, logs=None, name=name: self.note(name, n, logs))

    def note(self, name, number, logs):
        self.calls.append([name, number, list(logs or {})])


def order():
    x, y = f32([[1], [2], [3], [4], [5]]), f32([[1], [0], [1], [0], [1]])
    model = small_model()
    runs = {
        "fit": lambda recorder: model.fit(
            x, y, 2, 2, 0, callbacks=[recorder], validation_data=(x[:3], y[:3])
        ),
        "fit_without_validation": lambda recorder: model.fit(
            x[:2], y[:2], 2, 1, 0, callbacks=[recorder]
        ),
        "evaluate": lambda recorder: model.evaluate(x, y, 2, 0, callbacks=[recorder]),
        "predict": lambda recorder: model.predict(x, 2, 0, callbacks=[recorder]),
    }
    rows = []
    for name, function in runs.items():
        recorder = CallRecorder()
        function(recorder)
        rows.append({"name": name, "calls": recorder.calls})
    return rows


def content():
    with warnings.catch_warnings():
        # A callback that does not find its value warns; numpy's deprecations are others' affair.
        warnings.simplefilter("error", UserWarning)
        return {
            "early_stopping": early_stopping(),
            "reduce_lr_on_plateau": reduce_lr_on_plateau(),
            "learning_rate_scheduler": learning_rate_scheduler(),
            "model_checkpoint": model_checkpoint(),
            "csv_logger": csv_logger(),
            "terminate_on_nan": terminate_on_nan(),
            "order": order(),
        }
