"""How values are written: the same in every file.

One JSON object with sorted keys. Top level: `generator`, `keras`, `backend`, `backend_version`,
`numpy`, `seed`, and the lists named below.

- A *Tensor* is {"data": [numbers, row-major], "shape": [sizes]}; a scalar has shape [].
- Results and tensors are float32 in the shortest decimal that reads back as the same float32,
  also when it is read as float64 first (checked while writing). Class indices are integers.
- `arguments` are what the function or the constructor was given, as float64. They list every
  argument that matters, defaults included, so that a test need not know Keras's defaults.
- `object` is an object of Keras's as Keras serialises it: {`module`, `class_name`, `config`,
  `registered_name`}, so that a test builds its own from what a saved model would hold. Learning
  rates in it are float32, which Keras keeps them in. Where Keras forgets an argument (the delta of
  Huber, the axis of CosineSimilarity, the gain of Identity), `missing_from_config` beside it holds
  that argument, and the results are those of the object with it.
- Nothing is NaN or infinite (checked while writing).
"""

import inspect
import json
import math

import numpy as np
import tensorflow as tf
import keras

SEED = 20260

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


def described(value):
    """The fields of a case that say which object it is about."""
    serialised = plain(keras.saving.serialize_keras_object(value))
    missing = missing_from_config(value)
    return {"object": serialised, **({"missing_from_config": missing} if missing else {})}


def missing_from_config(value):
    """Arguments of the constructor that are not the defaults and that get_config() leaves out."""
    given = getattr(value, "_fn_kwargs", None) or vars(value)
    config = value.get_config()
    missing = {}
    for name, parameter in inspect.signature(type(value).__init__).parameters.items():
        if name in given and name not in config and given[name] != parameter.default:
            missing[name] = given[name]
    return missing


def rebuilt(value, **changes):
    """Made anew of what is written about it, so that the results are those of what is written."""
    config = {**value.get_config(), **missing_from_config(value), **changes}
    return type(value).from_config(config)


def plain(value):
    """As JSON would hold it: lists for tuples, Python's numbers for arrays' numbers."""
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if isinstance(value, np.generic):
        return value.item()
    return value


def check_coverage(module, covered, left_out=()):
    """Fails if Keras's module has a public class or function that no case is about."""
    public = {getattr(value, "__name__", None) for value in vars(module).values()}
    public = {name for name in public if name and hasattr(module, name)}
    missing = public - set(covered) - set(left_out) - {"get", "serialize", "deserialize"}
    assert not missing, f"{module.__name__}: no case for {sorted(missing)}"
