"""Makes the files of this folder with real Keras: models that were trained a little, and what they say.

    python generate.py [FOLDER]        # Keras 3.15.1 on TensorFlow 2.21.0, h5py 3.14.0

Beside each model NAME.keras stands NAME.json with `x` and `y` as {"shape", "data"}, `predictions`,
`scores` (by `evaluate`: the loss, then the metrics) and `next_loss`, the loss of another epoch in
order in batches of 8 (null where a layer draws). mlp.weights.h5 holds the weights of mlp.keras, and
mlp.h5 the same model in Keras's older format.
functional.keras and lambda.keras hold what the crate refuses.

Two runs give the same bytes. For that, three things are evened out, of which loading depends on
none: the times in the zip, the date in metadata.json, and the `shared_object_id`s, which are
addresses in Python's memory. model.weights.h5 is as Keras wrote it.
"""

import io
import json
import os
import pathlib
import sys
import zipfile

os.environ["KERAS_BACKEND"] = "tensorflow"
os.environ["CUDA_VISIBLE_DEVICES"] = ""
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
os.environ["TF_ENABLE_ONEDNN_OPTS"] = "0"
os.environ["TENSORFLOW_USE_CUSTOM_CONTRACTION_KERNEL"] = "0"

import keras
import numpy as np
import tensorflow as tf
from keras import layers, optimizers, regularizers

SAMPLES = 24


def evened(path):
    """Rewrites a .keras file without what changes from run to run."""
    ids = {}

    def renumbered(value):
        if isinstance(value, dict):
            return {
                key: ids.setdefault(item, len(ids) + 1) if key == "shared_object_id" else renumbered(item)
                for key, item in value.items()
            }
        return [renumbered(item) for item in value] if isinstance(value, list) else value

    with zipfile.ZipFile(path) as archive:
        entries = [(entry.filename, archive.read(entry)) for entry in archive.infolist()]
    written = io.BytesIO()
    with zipfile.ZipFile(written, "w", zipfile.ZIP_STORED) as archive:
        for name, data in entries:
            if name == "config.json":
                data = json.dumps(renumbered(json.loads(data))).encode()
            if name == "metadata.json":
                data = json.dumps(json.loads(data) | {"date_saved": "2026-11-25@00:00:00"}).encode()
            archive.writestr(zipfile.ZipInfo(name, (2026, 11, 25, 0, 0, 0)), data)
    path.write_bytes(written.getvalue())


def tensor(values):
    values = np.asarray(values)
    # Nine digits are an f32 exactly, seventeen an f64.
    digits = 17 if values.dtype == np.float64 else 9
    data = [float(f"{value:.{digits}g}") for value in values.ravel().tolist()]
    return {"shape": list(values.shape), "data": data}


def trained(folder, name, model, x, y, draws=False):
    model.fit(x, y, batch_size=8, epochs=2, shuffle=False, verbose=0)
    save(folder, name, model)
    if name == "mlp":
        model.save_weights(folder / "mlp.weights.h5")
        model.save(folder / "mlp.h5")
    numbers = {
        "x": tensor(x),
        "y": tensor(y),
        "predictions": tensor(model.predict(x, verbose=0)),
        "scores": [float(score) for score in model.evaluate(x, y, batch_size=8, verbose=0)],
        "next_loss": None,
    }
    if not draws:
        history = model.fit(x, y, batch_size=8, shuffle=False, verbose=0)
        numbers["next_loss"] = float(history.history["loss"][0])
    (folder / f"{name}.json").write_text(json.dumps(numbers) + "\n")


def save(folder, name, model):
    path = folder / f"{name}.keras"
    model.save(path)
    evened(path)


def one_hot(random, classes):
    return np.eye(classes, dtype="float32")[random.integers(0, classes, SAMPLES)]


def mlp(random):
    model = keras.Sequential([keras.Input((64,)), layers.Dense(32, "relu"), layers.Dense(16, "relu")])
    model.add(layers.Dense(10, "softmax"))
    model.compile("adam", "categorical_crossentropy", metrics=["accuracy"])
    return model, random.random((SAMPLES, 64), dtype="float32"), one_hot(random, 10)


def embedding(random):
    model = keras.Sequential([keras.Input((12,)), layers.Embedding(30, 8), layers.BatchNormalization()])
    for layer in [layers.Flatten(), layers.Dropout(0.25, seed=1), layers.Dense(3, "softmax")]:
        model.add(layer)
    loss = keras.losses.SparseCategoricalCrossentropy()
    model.compile(optimizers.RMSprop(0.01), loss, metrics=["sparse_categorical_accuracy"])
    words = random.integers(0, 30, (SAMPLES, 12)).astype("float32")
    return model, words, random.integers(0, 3, SAMPLES).astype("float32")


def schedule(random):
    penalty = regularizers.L1L2(0.01, 0.02)
    model = keras.Sequential([keras.Input((6,)), layers.Dense(5, "tanh", kernel_regularizer=penalty)])
    model.add(layers.Dense(1, activity_regularizer=regularizers.L2(0.01), name="head"))
    rate = optimizers.schedules.ExponentialDecay(0.05, 4, 0.5)
    optimizer = optimizers.SGD(rate, momentum=0.9, use_ema=True, ema_overwrite_frequency=5)
    model.compile(optimizer, "mean_squared_error", metrics=["mean_absolute_error"])
    x = random.standard_normal((SAMPLES, 6)).astype("float32")
    return model, x, x.sum(1, keepdims=True)


def normalization(random):
    x = (5 + 3 * random.standard_normal((SAMPLES, 4))).astype("float32")
    adapted = layers.Normalization()
    adapted.adapt(x)
    model = keras.Sequential([keras.Input((4,)), adapted, layers.Dense(8, "gelu"), layers.Dense(1)])
    model.compile(optimizers.AdamW(0.01), keras.losses.Huber(), metrics=["mae"])
    return model, x, x.mean(1, keepdims=True)


def float64(random):
    keras.config.set_dtype_policy("float64")
    model = keras.Sequential([keras.Input((3,)), layers.Dense(4, "sigmoid"), layers.Dense(2, "softmax")])
    model.compile(optimizers.Nadam(0.01), "categorical_crossentropy", metrics=["accuracy"])
    # Keras hands samples over in its `floatx`, float32.
    x = random.standard_normal((SAMPLES, 3)).astype("float32").astype("float64")
    return model, x, one_hot(random, 2).astype("float64")


def activations(random):
    model = keras.Sequential([keras.Input((4,)), layers.Dense(5, layers.LeakyReLU(0.3))])
    model.add(layers.Dense(5, layers.ReLU(max_value=1.5, negative_slope=0.1, threshold=0.2)))
    model.add(layers.Dense(5, layers.Activation("tanh")))
    model.add(layers.Activation(layers.ELU(0.5)))
    model.add(layers.Dense(3, layers.Softmax()))
    model.compile(optimizers.SGD(0.1), "categorical_crossentropy", metrics=["accuracy"])
    return model, random.standard_normal((SAMPLES, 4)).astype("float32"), one_hot(random, 3)


def main():
    folder = pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else pathlib.Path(__file__).resolve().parent
    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    tf.config.experimental.enable_op_determinism()

    def anew():
        keras.utils.clear_session()
        keras.utils.set_random_seed(20260)
        return np.random.default_rng(20260)

    for make in [mlp, embedding, schedule, normalization, float64, activations]:
        random = anew()
        trained(folder, make.__name__, *make(random), draws=make is embedding)
        keras.config.set_dtype_policy("float32")
    anew()
    inputs = keras.Input((3,))
    hidden = layers.Dense(4, "relu")(inputs)
    outputs = layers.Dense(1)(layers.Concatenate()([inputs, hidden]))
    save(folder, "functional", keras.Model(inputs, outputs))
    anew()
    doubling = layers.Lambda(lambda x: 2 * x, name="doubling")
    save(folder, "lambda", keras.Sequential([keras.Input((3,)), layers.Dense(2), doubling]))


if __name__ == "__main__":
    main()
