"""How a program is driven: its task is the first argument, commands come on standard input, and
replies, one JSON object a line, go to the file that the task names. Standard output stays free for
the progress that a user would see."""

import json
import statistics
import sys
import time
from types import SimpleNamespace

LONG_ENOUGH = 0.2  # seconds: short work is repeated for as long, to be measured well


class Driver:
    """The way to the driver."""

    def __init__(self):
        self.task = SimpleNamespace(**json.loads(sys.argv[1]))
        self.replies = open(self.task.replies, "w", buffering=1)

    def reply(self, **reply):
        self.replies.write(json.dumps(reply) + "\n")

    def wait_for_go(self):
        command = sys.stdin.readline().strip()
        if command != "go":
            sys.exit(f"expected go, got {command!r}")

    def run_epochs(self, epoch):
        """Runs and times `epoch()`, which gives accuracies, as often as the task says."""
        for _ in range(self.task.epochs):
            self.wait_for_go()
            started = time.perf_counter()
            accuracies = epoch()
            self.reply(seconds=time.perf_counter() - started, **accuracies)

    def serve(self, commands):
        """Answers `name number` with `commands[name](number)` until the driver closes the pipe."""
        for line in sys.stdin:
            name, *number = line.split()
            self.reply(**commands[name](*map(int, number)))


def measured(work):
    """The median of the seconds that `work()` takes, and what it gives."""
    seconds = []
    begun = time.perf_counter()
    while not seconds or time.perf_counter() - begun < LONG_ENOUGH:
        started = time.perf_counter()
        result = work()
        seconds.append(time.perf_counter() - started)
    return statistics.median(seconds), result
