"""Writes the reference values that candle-keras is tested against, computed by real Keras.

Run it through the wrapper beside it, `tests/golden/generate`, which makes a fresh virtual
environment from `requirements.txt` and says whether the files are what is committed.

    python tests/golden/generate.py [folder]        (default: the folder of this script)

Each file of output has a module of its name in `generator`, whose docstring gives the schema; what
holds for every file is in `generator/writing.py`.

Backend: TensorFlow, because it alone fuses softmax and sigmoid with cross-entropy. Only there
does a confident wrong answer keep its loss and its gradient.
"""

import os
import pathlib
import sys

# The same bits on every x86-64 machine, or as near as TensorFlow gets: one thread, no kernels
# that are chosen by what the processor offers. Read when TensorFlow is imported, so set first.
os.environ["KERAS_BACKEND"] = "tensorflow"
os.environ["CUDA_VISIBLE_DEVICES"] = ""
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
os.environ["TF_ENABLE_ONEDNN_OPTS"] = "0"
os.environ["TENSORFLOW_USE_CUSTOM_CONTRACTION_KERNEL"] = "0"
sys.dont_write_bytecode = True  # no __pycache__ beside the sources

import tensorflow as tf
import keras

from generator import activations, callbacks, constraints, initializers, layers, losses, metrics
from generator import optimizers, programs, regularizers, schedules, walkthrough
from generator.writing import SEED, save

MODULES = [
    activations,
    callbacks,
    constraints,
    initializers,
    layers,
    losses,
    metrics,
    optimizers,
    programs,
    regularizers,
    schedules,
    walkthrough,
]
FOLDER = pathlib.Path(__file__).resolve().parent


def prepare():
    assert keras.backend.backend() == "tensorflow", keras.backend.backend()
    tf.get_logger().setLevel("ERROR")  # no warnings about retracing: each model is small and new
    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    tf.config.experimental.enable_op_determinism()


def main():
    folder = pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else FOLDER
    prepare()
    for module in MODULES:
        # No file hangs on what was written before it, by draws or by the names of its objects.
        keras.utils.clear_session()
        keras.utils.set_random_seed(SEED)
        save(folder, f"{module.__name__.rpartition('.')[2]}.json", module.content())


if __name__ == "__main__":
    main()
