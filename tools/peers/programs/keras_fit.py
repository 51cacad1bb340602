"""The walkthrough in Keras, on the backend that KERAS_BACKEND names: one call of `model.fit`."""

import time
from importlib.metadata import version

import keras
import mnist
from keras import layers
from protocol import Driver, measured


class Clock(keras.callbacks.Callback):
    """Lets each epoch wait for the driver, and tells it how long the epoch took."""

    def __init__(self, driver):
        super().__init__()
        self.driver = driver

    def on_epoch_begin(self, epoch, logs=None):
        self.driver.wait_for_go()
        self.started = time.perf_counter()

    def on_epoch_end(self, epoch, logs=None):
        seconds = time.perf_counter() - self.started
        val_accuracy = logs.get("val_accuracy")
        self.driver.reply(
            seconds=seconds,
            accuracy=float(logs["accuracy"]),
            val_accuracy=None if val_accuracy is None else float(val_accuracy),
        )


def build(task):
    hidden = [layers.Dense(units, activation="relu") for units in task.widths]
    model = keras.Sequential([keras.Input((784,)), *hidden, layers.Dense(10, activation="softmax")])
    if task.optimizer == "adam":
        optimizer = keras.optimizers.Adam(0.001)
    else:
        optimizer = keras.optimizers.SGD(0.01, momentum=0.9)
    model.compile(optimizer, "categorical_crossentropy", metrics=["accuracy"])
    return model


def train(model, data, driver):
    task = driver.task
    validation = (data.x_validation, keras.utils.to_categorical(data.y_validation, 10))
    model.fit(
        data.x_train,
        keras.utils.to_categorical(data.y_train, 10),
        epochs=task.epochs,
        batch_size=task.batch,
        validation_data=validation if task.validation else None,
        callbacks=[Clock(driver)],
    )


def serve(model, data, driver):
    x, y = data.x_test, keras.utils.to_categorical(data.y_test, 10)

    def accuracy(probabilities):
        probabilities = keras.ops.convert_to_numpy(probabilities)
        labels = data.y_test[: len(probabilities)]
        return float((probabilities.argmax(axis=1) == labels).mean())

    def predict(batch_size):
        seconds, probabilities = measured(
            lambda: model.predict(x, batch_size=batch_size, verbose=0)
        )
        return {"seconds": seconds, "accuracy": accuracy(probabilities)}

    def evaluate(batch_size):
        seconds, scores = measured(
            lambda: model.evaluate(x, y, batch_size=batch_size, verbose=0, return_dict=True)
        )
        return {"seconds": seconds, "accuracy": float(scores["accuracy"])}

    def one():
        seconds, probabilities = measured(lambda: model.predict(x[:1], verbose=0))
        return {"seconds": seconds, "accuracy": accuracy(probabilities)}

    def called():
        seconds, probabilities = measured(lambda: keras.ops.convert_to_numpy(model(x[:1])))
        return {"seconds": seconds, "accuracy": accuracy(probabilities)}

    driver.serve({"predict": predict, "evaluate": evaluate, "one": one, "called": called})


def versions():
    package = {"tensorflow": "tensorflow", "jax": "jax"}[keras.backend.backend()]
    return {"keras": keras.__version__, package: version(package)}


def main():
    driver = Driver()
    started = time.perf_counter()
    data = mnist.load(driver.task)
    reading = time.perf_counter() - started
    model = build(driver.task)
    driver.reply(reading=reading, versions=versions())
    train(model, data, driver)
    serve(model, data, driver)


main()
