"""Epochs of the walkthrough: 784-128-64-10 on 54,000 images, validated on 6,000."""

from statistics import median

from .company import at_work
from .programs import OURS, PROGRAMS
from .report import count_of_rounds, disturbance, duration, not_run, publish, table
from .statistics_of_rounds import outliers, ratio, seconds

TOLERANCE = 0.01  # of accuracy: runs from other weights differ by less


def task(options, **changes):
    """The walkthrough, with changes."""
    walkthrough = {
        "widths": [128, 64],
        "batch": 64,
        "optimizer": "sgd",
        "samples": 6400 if options.quick else 54_000,
        "validation": 6000,
        "epochs": options.rounds + 1,
    }
    return {**walkthrough, **changes}


def run(options):
    with at_work(options, options.chosen(PROGRAMS), task(options)) as company:
        first = company.round("go")
        replies = company.rounds("go", options.rounds)
    accuracies = {name: rounds[-1]["val_accuracy"] for name, rounds in replies.items()}
    wrong = outliers(accuracies, 5 * TOLERANCE if options.quick else TOLERANCE)
    columns = ["program", "s/epoch", "min", "max", "ours/peer", "first epoch", "val accuracy"]
    rows = [row(name, first[name], replies, name in wrong) for name in by_speed(replies)]
    parts = [
        explanation(options),
        table(columns, rows),
        verdict(wrong),
        disturbance(company.others),
        not_run(company.failures),
    ]
    numbers = {"first": first, "rounds": replies, "failures": company.failures}
    publish(options, "walkthrough", "Epochs of the walkthrough", parts, company.versions, numbers)
    return not wrong


def explanation(options):
    sizes = task(options)
    return (
        f"784-128-64-10, {sizes['samples']:,} images in batches of 64, SGD with momentum, shuffled, "
        f"with accuracy, then validated on {sizes['validation']:,}. One warm-up epoch each, then "
        f"{count_of_rounds(options)} in which each program runs one epoch after the other. Seconds are "
        "medians of the rounds, ours/peer is the median of the rounds' ratios, val accuracy is "
        f"that after {options.rounds + 1} epochs.\n"
    )


def by_speed(replies):
    return sorted(replies, key=lambda name: median(seconds(replies[name])))


def row(name, first, replies, wrong):
    times = seconds(replies[name])
    compared = name != OURS and OURS in replies
    against = f"{ratio(replies[OURS], replies[name]):.3f}" if compared else ""
    accuracy = f"{replies[name][-1]['val_accuracy']:.4f}" + (" WRONG" if wrong else "")
    values = [f"{value:.3f}" for value in (median(times), min(times), max(times))]
    return [name, *values, against, duration(first["seconds"]), accuracy]


def verdict(wrong):
    if not wrong:
        return "\nAll reach the same accuracy, within a percentage point of the median.\n"
    return f"\nNOT the accuracy of the others, so their times do not count: {', '.join(wrong)}.\n"
