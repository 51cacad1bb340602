"""The walkthrough in PyTorch. The second argument says how: `loader` takes batches from a
DataLoader, `memory` indexes tensors, `compiled` does so too and compiles the step."""

import sys
import time

import mnist
import torch
from protocol import Driver, measured
from torch import nn
from torch.utils.data import DataLoader, TensorDataset


def build(task):
    """Keras's layers and their initial weights."""
    layers, inputs = [], 784
    for units in [*task.widths, 10]:
        layers += [nn.Linear(inputs, units), nn.ReLU()]
        nn.init.xavier_uniform_(layers[-2].weight)
        nn.init.zeros_(layers[-2].bias)
        inputs = units
    return nn.Sequential(*layers[:-1])


def optimizer_for(model, task):
    # Fused: one call updates all weights, the fastest of PyTorch's ways here.
    if task.optimizer == "adam":
        return torch.optim.Adam(model.parameters(), lr=0.001, eps=1e-7, fused=True)
    return torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9, fused=True)


class Training:
    """A model in training."""

    def __init__(self, task, data, how):
        self.model = build(task)
        self.optimizer = optimizer_for(self.model, task)
        self.cross_entropy = nn.CrossEntropyLoss()
        self.batch = task.batch
        self.x, self.y = torch.from_numpy(data.x_train), torch.from_numpy(data.y_train)
        self.validation = task.validation
        self.x_validation = torch.from_numpy(data.x_validation)
        self.y_validation = torch.from_numpy(data.y_validation)
        self.forward_of_batch = self.loss_and_right
        if how == "compiled":
            self.forward_of_batch = torch.compile(self.loss_and_right, dynamic=False)
        self.batches = self.gathered_batches
        if how == "loader":
            pairs = TensorDataset(self.x, self.y)
            loader = DataLoader(pairs, batch_size=task.batch, shuffle=True)
            self.batches = lambda: loader

    def gathered_batches(self):
        for rows in torch.randperm(len(self.x)).split(self.batch):
            yield self.x[rows], self.y[rows]

    def loss_and_right(self, x, y):
        logits = self.model(x)
        return self.cross_entropy(logits, y), (logits.argmax(1) == y).sum()

    def step(self, x, y):
        loss, right = self.forward_of_batch(x, y)
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        return loss.detach() * len(y), right

    def epoch(self):
        losses, rights = torch.zeros(()), torch.zeros((), dtype=torch.int64)
        for x, y in self.batches():
            loss, right = self.step(x, y)
            losses += loss
            rights += right
        accuracy, loss = rights.item() / len(self.x), losses.item() / len(self.x)
        val_accuracy = self.validate() if self.validation else None
        print(f"accuracy: {accuracy:.4f} - loss: {loss:.4f} - val_accuracy: {val_accuracy}")
        return {"accuracy": accuracy, "val_accuracy": val_accuracy}

    @torch.inference_mode()
    def validate(self):
        _, right = self.loss_and_right(self.x_validation, self.y_validation)
        return right.item() / len(self.y_validation)


def serve(training, data, driver):
    model, cross_entropy = training.model, training.cross_entropy
    x, y = torch.from_numpy(data.x_test), torch.from_numpy(data.y_test)

    @torch.inference_mode()
    def probabilities(x, batch_size):
        return torch.cat([torch.softmax(model(part), 1) for part in x.split(batch_size)])

    @torch.inference_mode()
    def scores(batch_size):
        losses, right = torch.zeros(()), torch.zeros((), dtype=torch.int64)
        for some, labels in zip(x.split(batch_size), y.split(batch_size)):
            logits = model(some)
            losses += cross_entropy(logits, labels) * len(labels)
            right += (logits.argmax(1) == labels).sum()
        return losses.item() / len(x), right.item() / len(x)

    def predicted(x, batch_size):
        seconds, outputs = measured(lambda: probabilities(x, batch_size))
        accuracy = (outputs.argmax(1) == y[: len(x)]).float().mean().item()
        return {"seconds": seconds, "accuracy": accuracy}

    def evaluate(batch_size):
        seconds, (_, accuracy) = measured(lambda: scores(batch_size))
        return {"seconds": seconds, "accuracy": accuracy}

    driver.serve(
        {
            "predict": lambda batch_size: predicted(x, batch_size),
            "evaluate": evaluate,
            "one": lambda: predicted(x[:1], 1),
        }
    )


def main():
    driver = Driver()
    if driver.task.threads:
        torch.set_num_threads(driver.task.threads)
    started = time.perf_counter()
    data = mnist.load(driver.task)
    reading = time.perf_counter() - started
    training = Training(driver.task, data, how=sys.argv[2])
    driver.reply(reading=reading, versions={"torch": torch.__version__})
    driver.run_epochs(training.epoch)
    serve(training, data, driver)


main()
