"""walkthrough.json: the network of the walkthrough on the real MNIST, in Keras's own words.

784-128-64-10 (relu, relu, softmax), categorical cross-entropy on one-hot labels, SGD with momentum
0.9, three epochs of batch 64 in the order of the files, a tenth held back for validation.

`initial_weights`: [{`path`, `shape`, `float16`}] in Keras's order: Keras's own draws of glorot_uniform
    and zeros, rounded to float16 so that the file stays small, as hexadecimal bytes, little-endian
`first_losses`: the running loss after each of the first 100 steps
`epochs`: [logs], `test`: logs of evaluate on the 10,000 test images
`other_kernels`: `epochs` and `test` once more, with the kernels of the other files

This one training is by oneDNN's kernels (TF_ENABLE_ONEDNN_OPTS=1), which the other files switch off to
have the same bits on every processor. Between the two lie only roundings, and these grow: from the
second epoch on they decide the fourth digit of the validation's loss.

MNIST is read from the folder CANDLE_KERAS_DATA (or its subfolder mnist), from ../shared/data/mnist
beside the repository, or is what keras.datasets downloads.
"""

import gzip
import json
import os
import pathlib
import subprocess
import sys

import keras
import numpy as np

from .writing import SEED, float32, logs_of

FILES = [
    "train-images-idx3-ubyte",
    "train-labels-idx1-ubyte",
    "t10k-images-idx3-ubyte",
    "t10k-labels-idx1-ubyte",
]


def folder_of_mnist():
    """The folder with MNIST's files, as they are or packed; None if there is none."""
    given = pathlib.Path(os.environ.get("CANDLE_KERAS_DATA", "/nowhere"))
    beside = pathlib.Path(__file__).resolve().parents[3].parent / "shared/data/mnist"
    for folder in [given, given / "mnist", beside]:
        if any((folder / (FILES[0] + end)).is_file() for end in ("", ".gz")):
            return folder
    return None


def idx(folder, name):
    """An IDX file of bytes: a header of a type, a rank and the lengths, then the numbers."""
    path = folder / name
    data = path.read_bytes() if path.is_file() else gzip.decompress((folder / f"{name}.gz").read_bytes())
    rank = data[3]
    shape = np.frombuffer(data, ">u4", rank, offset=4)
    return np.frombuffer(data, np.uint8, offset=4 + 4 * rank).reshape(shape)


def mnist():
    folder = folder_of_mnist()
    if folder is None:
        (x, y), (x_test, y_test) = keras.datasets.mnist.load_data()
    else:
        x, y, x_test, y_test = (idx(folder, name) for name in FILES)
    pixels = lambda images: images.reshape(len(images), 784).astype(np.float32) / np.float32(255)
    one_hot = lambda labels: np.eye(10, dtype=np.float32)[labels]
    return pixels(x), one_hot(y), pixels(x_test), one_hot(y_test)


def network():
    model = keras.Sequential(
        [
            keras.Input((784,)),
            keras.layers.Dense(128, activation="relu", name="dense"),
            keras.layers.Dense(64, activation="relu", name="dense_1"),
            keras.layers.Dense(10, activation="softmax", name="dense_2"),
        ]
    )
    model.set_weights([w.astype(np.float16).astype(np.float32) for w in model.get_weights()])
    model.compile(
        optimizer=keras.optimizers.SGD(0.01, momentum=0.9),
        loss="categorical_crossentropy",
        metrics=["accuracy"],
        jit_compile=False,
    )
    return model


def initial_weights(model):
    return [
        {
            "path": variable.path.partition("/")[2],
            "shape": list(variable.shape),
            "float16": variable.numpy().astype("<f2").tobytes().hex(),
        }
        for variable in model.weights
    ]


class FirstLosses(keras.callbacks.Callback):
    def __init__(self):
        super().__init__()
        self.losses = []

    def on_train_batch_end(self, batch, logs=None):
        if len(self.losses) < 100:
            self.losses.append(float32(logs["loss"]))


def trained():
    x, y, x_test, y_test = mnist()
    model = network()
    weights = initial_weights(model)
    first = FirstLosses()
    history = model.fit(
        x, y, 64, 3, 0, callbacks=[first], validation_split=0.1, shuffle=False
    ).history
    epochs = [{name: float32(values[epoch]) for name, values in history.items()} for epoch in range(3)]
    test = model.evaluate(x_test, y_test, 64, 0, return_dict=True)
    return {
        "initial_weights": weights,
        "first_losses": first.losses,
        "epochs": epochs,
        "test": logs_of(test),
    }


def content():
    """Both trainings from the same seed; that with oneDNN's kernels in a process of its own."""
    environment = {**os.environ, "TF_ENABLE_ONEDNN_OPTS": "1"}
    command = [sys.executable, "-m", "generator.walkthrough"]
    folder = pathlib.Path(__file__).resolve().parents[1]
    output = subprocess.run(command, cwd=folder, env=environment, check=True, capture_output=True)
    onednn = json.loads(output.stdout.splitlines()[-1], parse_float=np.float32)
    others = trained()
    assert onednn["initial_weights"] == others["initial_weights"]
    return {**onednn, "other_kernels": {name: others[name] for name in ("epochs", "test")}}


if __name__ == "__main__":
    keras.utils.set_random_seed(SEED)
    print(json.dumps(trained(), default=float))
