"""MNIST from its packed IDX files: images as rows of float32 from 0 to 1, labels as integers."""

import gzip
from pathlib import Path
from types import SimpleNamespace

import numpy


def read(folder, name, header):
    with gzip.open(Path(folder, name)) as file:
        return numpy.frombuffer(file.read(), numpy.uint8, offset=header)


def images(folder, half):
    pixels = read(folder, f"{half}-images-idx3-ubyte.gz", 16).reshape(-1, 784)
    return pixels.astype("float32") / 255


def labels(folder, half):
    return read(folder, f"{half}-labels-idx1-ubyte.gz", 8).astype("int64")


def load(task):
    """What the task trains, validates and tests on."""
    x, y = images(task.data, "train"), labels(task.data, "train")
    held_back = len(x) - task.validation
    return SimpleNamespace(
        x_train=x[: task.samples],
        y_train=y[: task.samples],
        x_validation=x[held_back:],
        y_validation=y[held_back:],
        x_test=images(task.data, "t10k"),
        y_test=labels(task.data, "t10k"),
    )
