"""What can be asked for."""

import argparse
import fcntl
import os
import signal
import sys
from pathlib import Path

from . import grid, neighbour, predict, scaling, startup, walkthrough
from .environments import Environments
from .paths import BUILT, REPOSITORY

COMPARISONS = {
    "walkthrough": (walkthrough.run, 7),
    "predict": (predict.run, 5),
    "startup": (startup.run, 5),
    "grid": (grid.run, 5),
    "scaling": (scaling.run, 5),
    "neighbour": (neighbour.run, 7),
}
DEFAULT = ["walkthrough", "predict", "startup"]


def arguments():
    parser = argparse.ArgumentParser(
        prog="compare", description="Compares candle-keras with its peers, one beside the other."
    )
    parser.add_argument(
        "comparisons",
        nargs="*",
        metavar="COMPARISON",
        help=f"of {', '.join(COMPARISONS)}; {', '.join(DEFAULT)} unless said otherwise",
    )
    parser.add_argument("--data", type=Path, help="MNIST's folder, or the folder around it")
    parser.add_argument("--rounds", type=int, help="epochs of each program, after a warm-up")
    parser.add_argument("--environments", help="a folder of ready ones: tensorflow, jax, torch")
    parser.add_argument("--programs", help="parts of the names of the peers to run, by commas")
    parser.add_argument("--cells", default="", help="only the grid's cells with this in their name")
    parser.add_argument("--quick", action="store_true", help="few rounds and samples, as a test")
    options = parser.parse_args()
    options.comparisons = options.comparisons or DEFAULT
    for name in options.comparisons:
        if name not in COMPARISONS:
            parser.error(f"no comparison {name}; there are {', '.join(COMPARISONS)}")
    options.data = data_folder(options.data) or parser.error("no MNIST found; give --data FOLDER")
    options.environments = Environments(options.environments)
    options.chosen = lambda names: chosen(names, options.programs)
    return options


def data_folder(given):
    """The first folder with MNIST's files."""
    default = os.environ.get("CANDLE_KERAS_DATA") or REPOSITORY.parent / "shared" / "data"
    place = Path(given or default).resolve()
    for folder in (place / "mnist", place):
        if (folder / "train-images-idx3-ubyte.gz").exists():
            return folder
    return None


def chosen(names, parts):
    """The programs asked for; ours always."""
    if not parts:
        return list(names)
    parts = ["candle-keras", *parts.split(",")]
    return [name for name in names if any(part.lower() in name.lower() for part in parts)]


def alone():
    """Two comparisons at once would measure each other: a lock that one of them holds."""
    BUILT.mkdir(parents=True, exist_ok=True)
    lock = open(BUILT / "lock", "w")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        sys.exit("another comparison is running")
    return lock


def main():
    # Ended from outside, it still ends the programs that it started.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    options = arguments()
    lock = alone()
    asked_for = options.rounds
    right = True
    for name in options.comparisons:
        run, rounds = COMPARISONS[name]
        options.rounds = asked_for or (1 if options.quick else rounds)
        right = run(options) and right
    lock.close()
    sys.exit(0 if right else 1)
