"""Makes the HDF5 files of this folder; the expected values stand in src/saving/hdf5/read/fixtures.rs.

Made with h5py 3.14.0 (HDF5 1.14.6) and Keras 3.15.1: python generate.py
"""

import os

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"

import gzip
import h5py
import keras
import numpy as np

FOLDER = os.path.dirname(os.path.abspath(__file__))


def path(name):
    return os.path.join(FOLDER, name)


def numbers(file):
    """One dataset a type: -1, 0, 1, 2, 3, 4 halves (floats) or wholes, unsigned from 0."""
    for kind in ["<f2", "<f4", "<f8", ">f2", ">f4", ">f8"]:
        file["types/" + kind] = ((np.arange(6) - 1) / 2).reshape(2, 3).astype(kind)
    for kind in ["<i1", "<i2", "<i4", "<i8", ">i2", ">i4", ">i8"]:
        file["types/" + kind] = (np.arange(6) - 1).reshape(2, 3).astype(kind)
    for kind in ["<u1", "<u2", "<u4", "<u8", ">u8"]:
        file["types/" + kind] = np.arange(6).reshape(2, 3).astype(kind)
    file["types/bool"] = np.array([True, False])
    # As Keras writes bfloat16: -1.5, 0, 1, inf.
    bits = np.array([0xBFC0, 0, 0x3F80, 0x7F80], "<u2")
    file["types/bfloat16"] = bits.view("V2")
    file["types/bfloat16"].attrs["dtype"] = "bfloat16"
    file["types/opaque"] = np.zeros(2, "V2")
    file["types/text"] = "not a number"


def shapes(file):
    file["scalar"] = np.float32(3.5)
    file["none"] = np.zeros((2, 0, 3), "f4")
    file["empty"] = h5py.Empty("f4")
    file.create_dataset("never written", (2, 2), "f4", fillvalue=2.5)


def attributes(file):
    file.attrs["text"] = "größe"
    file.attrs["bytes"] = np.bytes_("bytes")
    file.attrs["texts"] = ["dense", "", "dense_1"]
    file.attrs["fixed"] = np.array([b"dense", b"dense_1"])  # as the old format of Keras
    file.attrs["int"] = 7
    file.attrs["ints"] = np.array([[1, -2], [3, 4]], ">i2")
    file.attrs["float"] = 0.5
    file.attrs["bool"] = True
    file.attrs["void"] = np.void(b"ab")
    file.attrs["empty"] = h5py.Empty("f4")


def chunks(file):
    """arange(77) / 4 as (7, 11) in chunks of (3, 4), by each filter."""
    data = (np.arange(77) / 4).reshape(7, 11).astype("f4")
    one = dict(data=data, chunks=(3, 4))
    file.create_dataset("plain", **one)
    file.create_dataset("gzip", compression="gzip", **one)
    file.create_dataset("all", compression="gzip", shuffle=True, fletcher32=True, **one)
    file.create_dataset("fletcher", fletcher32=True, **one)
    file.create_dataset("lzf", compression="lzf", **one)
    # A tree of two levels: 100 chunks.
    file.create_dataset("deep", data=np.arange(100, dtype="i4"), chunks=(1,))
    file.create_dataset("cube", data=np.arange(60, dtype=">i2").reshape(3, 4, 5), chunks=(2, 2, 2))
    some = file.create_dataset("some", (4, 4), "f4", chunks=(2, 2), fillvalue=-1)
    some[2:, 2:] = 9
    file.create_dataset("unwritten", (5,), "f8", chunks=(2,), fillvalue=0.25)


def compact(file):
    space = h5py.h5s.create_simple((3,))
    creation = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    creation.set_layout(h5py.h5d.COMPACT)
    dataset = h5py.h5d.create(file.id, b"compact", h5py.h5t.STD_I32LE, space, creation)
    dataset.write(h5py.h5s.ALL, h5py.h5s.ALL, np.arange(3, dtype="i4"))


def links(file):
    file["a/b"] = np.float32(1)
    file["a/soft"] = h5py.SoftLink("/a/b")
    file["loop"] = file["/"]


def pack(name):
    """HDF5 files are mostly zeros: kept with gzip."""
    with open(path(name), "rb") as file:
        data = file.read()
    with open(path(name + ".gz"), "wb") as file:
        file.write(gzip.compress(data, 9, mtime=0))
    os.remove(path(name))


def make(name, *fill, **options):
    with h5py.File(path(name), "w", **options) as file:
        for one in fill:
            one(file)
    pack(name)


def wide(file):
    """A tree of two levels: leaves of 4 to 8 links, nodes of at most 32 leaves."""
    for i in range(300):
        file[f"layers/layer_{i}"] = file["/"]


def new(file):
    """libver='latest': superblock 3, headers 2, compact and dense links."""
    file["few/number"] = np.float32(3)
    file["few"].attrs["name"] = "few"
    for i in range(20):
        file["few"].attrs[f"many {i}"] = i
    for i in range(20):
        file.create_group(f"many/group_{i}")
    file.create_dataset("chunked", data=np.arange(4), chunks=(2,))


def weights():
    """A compiled model after a step; then every variable k has arange / 8 + k."""
    keras.utils.set_random_seed(0)
    layers = [
        keras.Input((3,)),
        keras.layers.Dense(4, activation="relu"),
        keras.layers.BatchNormalization(),
        keras.layers.Dense(2, name="out"),
    ]
    model = keras.Sequential(layers)
    model.compile("sgd", "mse")
    model.fit(np.zeros((4, 3)), np.zeros((4, 2)), verbose=0)
    for k, variable in enumerate(model.weights):
        size = int(np.prod(variable.shape))
        variable.assign(np.arange(size).reshape(variable.shape) / 8 + k)
    model.save_weights(path("keras.weights.h5"))
    pack("keras.weights.h5")
    model.save(path("legacy.h5"))  # the old format of whole models
    pack("legacy.h5")
    with_bfloat16 = keras.Sequential(
        [keras.Input((2,)), keras.layers.Dense(2, dtype="bfloat16")]
    )
    for variable in with_bfloat16.weights:
        variable.assign(np.full(variable.shape, 1.5))
    with_bfloat16.save_weights(path("bfloat16.weights.h5"))
    pack("bfloat16.weights.h5")


make("default.h5", numbers, shapes, attributes, compact, links)
make("chunks.h5", chunks)
make("wide.h5", wide)
make("latest.h5", new, libver="latest")
make("tracked.h5", links, track_order=True)
weights()
sizes = {n: os.path.getsize(path(n)) for n in os.listdir(FOLDER) if n.endswith(".gz")}
versions = h5py.version.version, h5py.version.hdf5_version, keras.__version__
print(versions, sizes, sum(sizes.values()))
