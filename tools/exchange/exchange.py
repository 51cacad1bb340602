"""Keras's half of tools/exchange/check: reads our models and writes models for us.

    python exchange.py read FOLDER     # compares FOLDER/ours/*.keras with the numbers beside them
    python exchange.py write FOLDER    # writes FOLDER/keras/*.keras with numbers beside them
    python exchange.py onnx FOLDER     # runs FOLDER/{ours,onnx}/*.onnx in onnxruntime
"""

import json
import os
import pathlib
import sys
import warnings

os.environ.setdefault("KERAS_BACKEND", "tensorflow")
os.environ["CUDA_VISIBLE_DEVICES"] = ""
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
os.environ["TF_ENABLE_ONEDNN_OPTS"] = "0"

import keras
import numpy as np
from keras import layers, losses, optimizers, regularizers

NETWORKS, SAMPLES = 200, 24
DRAWING = (layers.Dropout, layers.GaussianDropout, layers.GaussianNoise, layers.AlphaDropout)
ROUNDED = 1e-5  # the most that ours are from float64 where rounding parts predictions
BOUNDS = {"predictions": 1e-6, "evaluate": 1e-5, "loss of another epoch": 1e-4}
ONNX_BOUND = 1e-6
# x - tanh(x) is about x³/3 for small x, of which rounding leaves few digits; a layer behind it may divide
# by their size.
ONNX_CANCELLING = 5e-5
# Numbers near 100 that differ by 1: the last place of their mean, as f32, is 1.3e-5 of their deviation.
ONNX_FAR = 2e-5


def numbers_of(model, x, y):
    """Scores by `evaluate`, and the loss of another epoch in order where no layer draws."""
    scores = model.evaluate(x, y, batch_size=8, verbose=0)
    next_loss = None
    if not any(isinstance(layer, DRAWING) for layer in model.layers):
        history = model.fit(x, y, batch_size=8, shuffle=False, verbose=0)
        next_loss = history.history["loss"][0]
    return scores, next_loss


def difference(got, expected):
    got, expected = np.asarray(got, np.float64), np.asarray(expected, np.float64)
    return float(np.max(np.abs(got - expected) / np.maximum(np.abs(expected), 1.0)))


def in_float64(model, x):
    """What a model predicts where rounding has no part in it."""
    twin = keras.models.model_from_json(model.to_json().replace('"float32"', '"float64"'))
    twin.set_weights([np.asarray(weight, np.float64) for weight in model.get_weights()])
    return twin.predict(x.astype(np.float64), verbose=0)


def read(folder):
    greatest, problems, rounding = dict.fromkeys(BOUNDS, 0.0), [], []
    files = sorted((folder / "ours").glob("*.keras"), key=lambda file: int(file.stem))
    for file in files:
        beside = lambda ending: file.with_name(f"{file.stem}.{ending}")
        try:
            with warnings.catch_warnings():
                # A skipped optimizer state is a warning in Keras.
                warnings.filterwarnings("error", message="Skipping variable loading")
                model = keras.models.load_model(file)
            model.run_eagerly = True
            x, y, p = (np.load(beside(f"{name}.npy")) for name in "xyp")
            expected = json.loads(beside("json").read_text())
            predictions = model.predict(x, verbose=0)
            found = {"predictions": difference(predictions, p)}
            if found["predictions"] > BOUNDS["predictions"]:
                # A division by a small deviation makes the rounding before it larger, on both sides.
                exact = in_float64(model, x)
                rounding.append((difference(p, exact), difference(predictions, exact)))
            scores, next_loss = numbers_of(model, x, y)
            found["evaluate"] = difference(scores, expected["scores"])
            if next_loss is not None:
                found["loss of another epoch"] = difference(next_loss, expected["next_loss"])
        except Exception as error:
            problems.append(f"{file.name}: {type(error).__name__}: {str(error)[:300]}")
            continue
        if found["predictions"] > BOUNDS["predictions"]:
            ours, keras_own = rounding[-1]
            if ours <= max(2 * keras_own, BOUNDS["predictions"]) and ours <= ROUNDED:
                del found["predictions"]
        for name, value in found.items():
            greatest[name] = max(greatest[name], value)
            if not value <= BOUNDS[name]:
                problems.append(f"{file.name}: {name} differ by {value:.1e}")
    shown = ", ".join(f"{name} {value:.1e}" for name, value in greatest.items())
    agree = len(files) - len({problem.split(":")[0] for problem in problems})
    print(f"Our models in Keras: {agree} of {len(files)} agree; greatest differences: {shown}")
    for ours, keras_own in rounding:
        print(f"    predictions apart by rounding: from those in float64, ours {ours:.1e}, Keras's {keras_own:.1e}")
    print("\n".join(problems))
    return len(files) == NETWORKS and not problems


def cancels(model):
    """Whether a value is what Tanh leaves of its inputs."""
    made_by = {output: node for node in model.graph.node for output in node.output}
    tanh = lambda name: name in made_by and made_by[name].op_type == "Tanh"
    subtractions = (node.input for node in model.graph.node if node.op_type == "Sub")
    return any(tanh(b) and made_by[b].input[0] == a for a, b in subtractions)


def run_onnx(folder):
    import onnx
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    results, problems = {}, []
    for file in sorted((folder / "ours").glob("*.onnx")) + sorted((folder / "onnx").glob("*.onnx")):
        beside = lambda name: np.load(file.with_name(f"{file.stem}.{name}.npy"))
        x, p = np.asarray(beside("x"), np.float32), beside("p")
        is_network = file.parent.name == "ours"
        try:
            model = onnx.load(file)
            onnx.checker.check_model(model, full_check=True)
            session = onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])
            (outputs,) = session.run(["output_0"], {"input_layer": x})
            (one,) = session.run(None, {"input_layer": x[:1]})
            assert outputs.shape == p.shape and one.shape == p[:1].shape, (outputs.shape, p.shape)
            found = max(difference(outputs, p), difference(one, p[:1]))
        except Exception as error:
            problems.append(f"{file.name}: {type(error).__name__}: {str(error)[:300]}")
            continue
        kind = "networks" if is_network else file.stem.split("_")[0]
        bound = ONNX_BOUND
        if is_network and found > bound:
            # As with Keras: parted by rounding where ours is as far from float64 itself.
            ours, theirs = difference(p, beside("exact")), difference(outputs, beside("exact"))
            print(f"    {file.name}: apart by rounding: from float64, ours {ours:.1e}, onnxruntime {theirs:.1e}")
            kind, bound = "networks, apart by rounding", bound if theirs > max(2 * ours, bound) else found
        elif cancels(model):
            kind, bound = f"{kind} with tanh_shrink", ONNX_CANCELLING
        elif file.stem.startswith("layer_far"):
            kind, bound = f"{kind} far from 0", ONNX_FAR
        results.setdefault(kind, []).append((found, file.stem))
        if not found <= bound:
            problems.append(f"{file.name}: differs by {found:.1e}")
    version = f"onnxruntime {onnxruntime.__version__}, onnx {onnx.__version__}"
    for kind, found in results.items():
        value, name = max(found)
        print(f"{version}: {len(found)} of {kind}; greatest difference {value:.1e} ({name})")
    print("\n".join(problems))
    count = sum(len(found) for kind, found in results.items() if kind.startswith("networks"))
    return count == NETWORKS and not problems


class Draw:
    """Networks from a seed."""

    def __init__(self, seed):
        self.random = np.random.default_rng(seed)

    def one(self, values):
        return values[self.random.integers(len(values))]

    def activation(self):
        rate = round(float(self.random.uniform(0.1, 0.5)), 2)
        if self.random.random() < 0.25:
            return self.one(
                [
                    layers.LeakyReLU(rate),
                    layers.ELU(2 * rate),
                    layers.ReLU(max_value=self.one([None, 2.0]), negative_slope=rate, threshold=self.one([0.0, 0.2])),
                    layers.Activation("tanh"),
                    layers.Softmax(),
                ]
            )
        names = "relu relu6 leaky_relu elu selu celu gelu silu mish tanh sigmoid softplus softsign"
        return self.one((names + " hard_sigmoid hard_silu log_sigmoid linear").split())

    def layer(self, shape):
        axis = self.one([-1, 1, len(shape)])
        rate = round(float(self.random.uniform(0.1, 0.5)), 2)
        penalty = self.one([None, None, regularizers.L2(0.01), regularizers.L1L2(0.01, 0.02)])
        constraint = self.one([None, None, None, keras.constraints.MaxNorm(1.5)])
        choices = [
            lambda: layers.Dense(
                int(self.random.integers(2, 8)),
                activation=self.activation(),
                use_bias=self.one([True, True, False]),
                kernel_initializer=self.one(["he_normal", "glorot_uniform", "orthogonal"]),
                kernel_regularizer=penalty,
                kernel_constraint=constraint,
            ),
            lambda: layers.Dense(3, activation="tanh", activity_regularizer=penalty),
            lambda: layers.Activation(self.activation()),
            lambda: layers.ReLU(max_value=2.0, negative_slope=0.1),
            lambda: layers.LeakyReLU(negative_slope=rate),
            lambda: layers.PReLU(),
            lambda: layers.ELU(alpha=rate),
            lambda: layers.Softmax(axis=axis),
            lambda: layers.Dropout(rate, seed=3),
            lambda: layers.GaussianDropout(rate),
            lambda: layers.GaussianNoise(rate),
            lambda: layers.AlphaDropout(rate),
            lambda: layers.BatchNormalization(axis=axis, momentum=0.7, renorm=self.one([True, False])),
            lambda: layers.LayerNormalization(axis=axis, epsilon=0.01),
            lambda: layers.GroupNormalization(groups=self.one([1, 2])),
            lambda: layers.RMSNormalization(),
            lambda: layers.UnitNormalization(),
            lambda: layers.Rescaling(0.5, offset=0.25),
            lambda: layers.ActivityRegularization(l2=0.01),
            lambda: layers.Reshape((-1, 2)),
            lambda: layers.Permute((2, 1)) if len(shape) == 2 else layers.RepeatVector(2),
            lambda: layers.Normalization(mean=0.1, variance=2.0, axis=None),
            lambda: adapted(shape),
        ]
        return self.one(choices)()

    def optimizer(self):
        rate = self.one([0.01, 0.02, optimizers.schedules.ExponentialDecay(0.03, 10, 0.5)])
        more = self.one([{}, {}, {}, {"use_ema": True}, {"gradient_accumulation_steps": 2}, {"clipnorm": 1.0}])
        name = self.one(
            "SGD RMSprop Adam AdamW Adamax Nadam Adagrad Adadelta Ftrl Lion Lamb Adafactor Muon".split()
        )
        own = {
            "SGD": {"momentum": self.one([0.0, 0.5])},
            "RMSprop": {"centered": self.one([True, False]), "momentum": self.one([0.0, 0.5])},
            "Adam": {"amsgrad": self.one([True, False])},
        }.get(name, {})
        return getattr(optimizers, name)(learning_rate=rate, **own, **more)


def adapted(shape):
    layer = layers.Normalization()
    layer.adapt(np.random.default_rng(1).normal(size=(20, *shape)).astype(np.float32))
    return layer


def network(draw):
    words = draw.random.integers(6) == 0
    shape = (5,) if words else draw.one([(6,), (4, 6), (2, 3, 4)])
    model = keras.Sequential([keras.Input(shape)])
    x = draw.random.normal(size=(SAMPLES, *shape)).astype(np.float32)
    if words:
        x = draw.random.integers(0, 8, size=(SAMPLES, *shape)).astype(np.float32)
        # The penalty has TensorFlow add up the gradients of a word that comes twice.
        penalty = regularizers.L2(0.01)
        model.add(layers.Embedding(8, 4, mask_zero=bool(draw.one([True, False])), embeddings_regularizer=penalty))
    current = (*shape, 4) if words else shape
    for _ in range(draw.random.integers(1, 6)):
        try:
            # Alone first: the model would keep a layer that does not fit this shape.
            alone = keras.Sequential([keras.Input(current), draw.layer(current)])
        except Exception:
            continue
        model.add(alone.layers[0])
        current = alone.output_shape[1:]
    if len(current) > 1:
        model.add(layers.Flatten())
    labels = (np.arange(SAMPLES) * 7 % 4).astype(np.float32)
    loss, activation, units, y = draw.one(
        [
            ("mse", None, 3, draw.random.normal(size=(SAMPLES, 3)).astype(np.float32)),
            (losses.Huber(), "tanh", 2, draw.random.normal(size=(SAMPLES, 2)).astype(np.float32)),
            ("binary_crossentropy", "sigmoid", 1, (labels > 1).astype(np.float32)[:, None]),
            ("categorical_crossentropy", "softmax", 4, np.eye(4, dtype=np.float32)[labels.astype(int)]),
            (losses.SparseCategoricalCrossentropy(from_logits=True), None, 4, labels),
        ]
    )
    model.add(layers.Dense(units, activation=activation))
    metric = "mae" if activation in (None, "tanh") and units < 4 else "accuracy"
    model.compile(draw.optimizer(), loss, metrics=[metric])
    return model, x, y


def write(folder):
    target = folder / "keras"
    target.mkdir(parents=True, exist_ok=True)
    written, seed, refused = 0, 0, []
    while written < NETWORKS:
        seed += 1
        keras.utils.set_random_seed(seed)
        try:
            model, x, y = network(Draw(seed))
            model.run_eagerly = True
            model.fit(x, y, batch_size=8, verbose=0)
        except Exception as error:  # such as a mask that meets Softmax
            refused.append(str(error))
            assert len(refused) <= written + 20, refused[-1]
            continue
        p = model.predict(x, verbose=0)
        if not np.isfinite(p).all():
            continue
        model.save(target / f"{written}.keras")
        for name, values in zip("xyp", (x, y, p)):
            np.save(target / f"{written}.{name}.npy", np.ascontiguousarray(values, np.float32))
        np.save(target / f"{written}.exact.npy", np.ascontiguousarray(in_float64(model, x), np.float64))
        scores, next_loss = numbers_of(model, x, y)
        beside = {"scores": scores, "next_loss": next_loss}
        (target / f"{written}.json").write_text(json.dumps(beside))
        written += 1
    return True


if __name__ == "__main__":
    steps = {"read": read, "write": write, "onnx": run_onnx}
    sys.exit(0 if steps[sys.argv[1]](pathlib.Path(sys.argv[2])) else 1)
