"""Draws how time grows: `plots.py numbers.json folder`."""

import json
import sys
from pathlib import Path

import matplotlib
from matplotlib import pyplot, ticker

matplotlib.use("svg")
# The same file from the same numbers, with text that can be searched.
matplotlib.rcParams.update({"svg.hashsalt": "peers", "svg.fonttype": "none", "font.size": 13})

COLOURS = {"candle-keras": "#c4501b", "PyTorch": "#3a5a98"}


def style(title):
    """One colour for a program, dashes for one thread."""
    colour = next(value for name, value in COLOURS.items() if title.startswith(name))
    return {"color": colour, "linestyle": "--" if title.endswith("1 thread") else "-"}


def draw(drawing, folder):
    figure, axes = pyplot.subplots(figsize=(8, 5), layout="constrained")
    for title, points in drawing["lines"].items():
        axes.plot(*zip(*points), marker="o", label=title, **style(title))
    values = sorted({value for points in drawing["lines"].values() for value, _ in points})
    axes.set(xscale="log", yscale="log", xlabel=drawing["label"], ylabel="seconds of an epoch")
    axes.set_xticks(values, [f"{value:,}" for value in values], minor=False)
    axes.xaxis.set_minor_locator(ticker.NullLocator())
    axes.yaxis.set_major_formatter(ticker.FuncFormatter(lambda value, _: f"{value:g}"))
    axes.grid(which="both", alpha=0.25)
    axes.legend()
    figure.savefig(folder / f"performance-{drawing['name']}.svg", metadata={"Date": None})
    pyplot.close(figure)


def main():
    numbers, folder = map(Path, sys.argv[1:])
    for drawing in json.loads(numbers.read_text()):
        draw(drawing, folder)


main()
