"""Keras's own serialisation of an object, and back."""

import copy

import keras

from .writing import plain


def serialized(thing):
    """What keras.saving writes of `thing`, as JSON would hold it."""
    return plain(keras.saving.serialize_keras_object(thing))


def deserialized(config):
    # Keras puts the schedule it makes of an optimizer's configuration into that configuration.
    return keras.saving.deserialize_keras_object(copy.deepcopy(config))
