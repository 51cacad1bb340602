"""Ours against PyTorch and Keras on JAX over batch sizes, widths, depths, optimizers, threads."""

import os
import sys
from statistics import median

from .cells import epochs, samples_for
from .programs import KERAS_ON_JAX, OURS, PYTORCH
from .report import count_of_rounds, duration, not_run, publish, table
from .statistics_of_rounds import outliers, ratio, seconds

NAMES = [OURS, PYTORCH, KERAS_ON_JAX]
PEERS = NAMES[1:]
TOLERANCE = 0.15  # of training accuracy: in few steps the initial weights tell


def cells():
    """Label and network of each cell."""
    for optimizer in ("sgd", "adam"):
        for batch in (1, 8, 32, 64, 256, 1024):
            yield f"{optimizer}, batch {batch}", [128, 64], batch, optimizer
    for width in (16, 64, 128, 256, 512, 1024, 2048):
        yield f"sgd, width {width}", [width], 64, "sgd"
    for depth in (1, 2, 4, 8):
        yield f"sgd, depth {depth}", [128] * depth, 64, "sgd"


def thread_counts():
    return range(1, min(2, len(os.sched_getaffinity(0))) + 1)


def run(options):
    numbers, rows, behind, wrong, failures, versions = [], [], [], [], {}, {}
    for threads in thread_counts():
        for name, widths, batch, optimizer in cells():
            label = f"{name}, {threads} thread" + "s" * (threads > 1)
            if options.cells not in label:
                continue
            samples = samples_for(options, widths, batch)
            network = {"widths": widths, "batch": batch, "optimizer": optimizer, "samples": samples}
            replies, company = epochs(options, options.chosen(NAMES), threads, **network)
            failures.update({f"{who} ({label})": why for who, why in company.failures.items()})
            versions.update(company.versions)
            numbers.append({"cell": label, **network, "threads": threads, "rounds": replies})
            rows.append(row(label, network, replies, behind, wrong))
            print(" | ".join(rows[-1]), file=sys.stderr, flush=True)
    columns = ["cell", "network", "batch", "samples", *NAMES, *(f"ours / {name}" for name in PEERS)]
    parts = [
        explanation(options),
        table(columns, rows) + "\n",
        verdict(behind),
        f"Training accuracy NOT that of the others: {'; '.join(wrong)}.\n" if wrong else "",
        not_run(failures),
    ]
    publish(options, "grid", "A grid of networks", parts, versions, numbers)
    return True


def explanation(options):
    return (
        "Training epochs without validation, a warm-up first, then "
        f"{count_of_rounds(options)} in turn; medians. On 1 thread every program has one processor to "
        "itself. **Bold** where ours is not ahead.\n"
    )


def row(label, network, replies, behind, wrong):
    ratios = []
    for peer in PEERS:
        if OURS not in replies or peer not in replies:
            ratios.append("")
            continue
        value = ratio(replies[OURS], replies[peer])
        ratios.append(f"{value:.3f}" if value < 1 else f"**{value:.3f}**")
        if value >= 1:
            behind.append(f"{label} ({peer}: {value:.2f})")
    times = [duration(median(seconds(replies[name]))) if name in replies else "" for name in NAMES]
    if replies:
        accuracies = {name: rounds[-1]["accuracy"] for name, rounds in replies.items()}
        wrong.extend(
            f"{name} in {label} ({accuracies[name]:.3f})"
            for name in outliers(accuracies, TOLERANCE)
        )
    sizes = "-".join(map(str, [784, *network["widths"], 10]))
    return [label, sizes, str(network["batch"]), f"{network['samples']:,}", *times, *ratios]


def verdict(behind):
    if not behind:
        return "Ours is ahead in every cell.\n"
    return f"Ours is not ahead in {len(behind)}: {'; '.join(behind)}.\n"
