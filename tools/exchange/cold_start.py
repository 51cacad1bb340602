"""The half of tools/exchange/cold_start that is in Python.

    python cold_start.py FOLDER RUNS       # FOLDER holds serve_keras; measures
    python cold_start.py predict MODEL CSV # what is measured of Keras
"""

import os
import pathlib
import statistics
import subprocess
import sys
import time

os.environ["KERAS_BACKEND"] = "tensorflow"
os.environ["CUDA_VISIBLE_DEVICES"] = ""
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"


def predict(model, samples):
    import keras
    import numpy as np

    model = keras.models.load_model(model)
    x = np.loadtxt(samples, delimiter=",", dtype="float32", ndmin=2)
    for row in model.predict(x, verbose=0):
        print(",".join(f"{float(value):.9g}" for value in row))


def write(folder):
    import keras
    import numpy as np
    from keras import layers

    keras.utils.set_random_seed(1)
    model = keras.Sequential([keras.Input((784,)), layers.Dense(128, "relu"), layers.Dense(64, "relu")])
    model.add(layers.Dense(10, "softmax"))
    optimizer = keras.optimizers.SGD(0.01, momentum=0.9)
    model.compile(optimizer, "categorical_crossentropy", metrics=["accuracy"])
    x = np.random.default_rng(1).random((64, 784), dtype="float32")
    model.fit(x, np.eye(10)[np.arange(64) % 10], verbose=0)
    model.save(folder / "walkthrough.keras")
    np.savetxt(folder / "sample.csv", x[:1], delimiter=",", fmt="%.9g")


def timed(command):
    """Milliseconds to the first line, and its numbers."""
    start = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    line = process.stdout.readline()
    elapsed = time.perf_counter() - start
    process.stdout.read()
    assert process.wait() == 0, command
    return 1e3 * elapsed, [float(value) for value in line.split(",")]


def measure(folder, runs):
    write(folder)
    files = [folder / "walkthrough.keras", folder / "sample.csv"]
    commands = {
        "candle-keras": [folder / "serve_keras", "--csv", *files],
        "Keras": [sys.executable, __file__, "predict", *files],
    }
    times, outputs = {name: [] for name in commands}, {}
    for run in range(runs + 1):
        for name, command in commands.items():
            elapsed, outputs[name] = timed(command)
            if run > 0:  # the first one fills the caches of the disk
                times[name].append(elapsed)
    far = max(abs(a - b) for a, b in zip(*outputs.values(), strict=True))
    size = (folder / "serve_keras").stat().st_size
    for name, all_times in times.items():
        middle, low, high = statistics.median(all_times), min(all_times), max(all_times)
        print(f"{name}: {middle:.1f} ms to the first prediction, median of {runs} ({low:.1f} to {high:.1f})")
    ours, keras = (statistics.median(all_times) for all_times in times.values())
    print(f"{keras / ours:.0f} times as fast; predictions differ by {far:.1e}; binary {size / 1e6:.1f} MB, stripped")
    return ours < 50 and ours * 50 <= keras and far <= 1e-6


if __name__ == "__main__":
    if sys.argv[1] == "predict":
        predict(*sys.argv[2:])
    else:
        sys.exit(0 if measure(pathlib.Path(sys.argv[1]), int(sys.argv[2])) else 1)
