"""How the time of an epoch grows with samples, width, depth and threads: plots."""

import subprocess
import sys
from statistics import median

from .cells import IMAGES, epochs
from .environments import Unavailable
from .grid import thread_counts
from .paths import BUILT, IMAGES as PICTURES, PEERS
from .programs import OURS, PYTORCH
from .report import count_of_rounds, duration, publish, table
from .statistics_of_rounds import seconds

NAMES = [OURS, PYTORCH]
SAMPLES = 6400  # for the plots of width and depth


def plots():
    """What grows: its name, label, values, and the network for each value."""
    counts = [6750, 13_500, 27_000, IMAGES]
    widths = [16, 32, 64, 128, 256, 512, 1024, 2048]
    depths = [1, 2, 4, 8]
    return [
        ("samples", "samples", counts, lambda n: {"samples": n}),
        ("width", "units of one hidden layer", widths, lambda n: {"widths": [n]}),
        ("depth", "hidden layers of 128 units", depths, lambda n: {"widths": [128] * n}),
    ]


def run(options):
    drawings, parts, versions = [], [], {}
    for name, label, values, network in plots():
        lines = measure(options, values[:2] if options.quick else values, network, versions)
        drawings.append({"name": name, "label": label, "lines": lines})
        parts.append(table_of(label, lines))
        if not options.quick:
            parts.append(f"![Seconds of an epoch by {label}](../images/performance-{name}.svg)\n")
    explanation = (
        "Seconds of a training epoch in batches of 64, medians of "
        f"{count_of_rounds(options)} in turn. By samples: 784-128-64-10; by width and depth: "
        f"{SAMPLES:,} samples.\n"
    )
    publish(options, "scaling", "How time grows", [explanation, *parts], versions, drawings)
    draw(options)
    return True


def measure(options, values, network, versions):
    """Points (value, seconds) for each program and count of threads."""
    lines = {}
    for threads in thread_counts():
        for value in values:
            changes = {"samples": SAMPLES, **network(value)}
            replies, company = epochs(options, options.chosen(NAMES), threads, **changes)
            versions.update(company.versions)
            for name, rounds in replies.items():
                title = f"{name}, {threads} thread" + "s" * (threads > 1)
                lines.setdefault(title, []).append((value, median(seconds(rounds))))
            print(f"{value} on {threads}: done", file=sys.stderr, flush=True)
    return lines


def table_of(label, lines):
    values = sorted({value for points in lines.values() for value, _ in points})
    rows = []
    for title, points in lines.items():
        times = dict(points)
        rows.append([title, *(duration(times[v]) if v in times else "" for v in values)])
    return table([label, *(f"{value:,}" for value in values)], rows) + "\n"


def draw(options):
    """Has the plots drawn where matplotlib is."""
    folder = BUILT / "quick" if options.quick else PICTURES
    folder.mkdir(parents=True, exist_ok=True)
    try:
        python = options.environments.python("jax")
        command = [python, PEERS / "programs" / "plots.py", BUILT / "scaling.json", folder]
        subprocess.run(command, check=True)
    except (Unavailable, OSError, subprocess.CalledProcessError) as error:
        print(f"no plots: {error}", file=sys.stderr)
