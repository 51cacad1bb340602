"""An epoch alone, and beside a process that keeps one processor busy."""

import contextlib
import os
import subprocess
import sys
import time
from statistics import median

from .company import at_work
from .process import on_processors
from .programs import OURS, PYTORCH
from .report import count_of_rounds, not_run, publish, table
from .statistics_of_rounds import ratio, seconds
from .walkthrough import task

NAMES = [OURS, PYTORCH]
# Ends by itself, should nobody be left to end it.
SPIN = "import time\nend = time.time() + 600\nwhile time.time() < end: pass"


def run(options):
    alone, beside = [], []
    sizes = task(options, epochs=2 * options.rounds + 1)
    with at_work(options, options.chosen(NAMES), sizes) as company:
        company.round("go")
        for _ in range(options.rounds):
            alone.append(company.round("go"))
            with busy_processor():
                beside.append(company.round("go"))
    names = list(company.processes)
    rows = [row(name, alone, beside) for name in names]
    columns = ["program", "alone", "beside", "beside/alone"]
    explanation = (
        "Seconds of the walkthrough's epoch, alone and beside a process that never rests, held "
        f"to the second processor; medians of {count_of_rounds(options)} in turn.\n"
    )
    parts = [explanation, table(columns, rows) + "\n", not_run(company.failures)]
    numbers = {"alone": alone, "beside": beside}
    publish(options, "neighbour", "Beside a busy process", parts, company.versions, numbers)
    return True


@contextlib.contextmanager
def busy_processor():
    second = sorted(os.sched_getaffinity(0))[1:2]
    with on_processors(set(second)):
        process = subprocess.Popen([sys.executable, "-c", SPIN])
    try:
        time.sleep(0.3)  # until it has started
        yield
    finally:
        process.kill()
        process.wait()


def row(name, alone, beside):
    replies = [[reply[name] for reply in rounds] for rounds in (alone, beside)]
    times = [f"{median(seconds(rounds)):.3f}" for rounds in replies]
    return [name, *times, f"{ratio(replies[1], replies[0]):.2f}"]
