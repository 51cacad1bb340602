"""`predict` and `evaluate` of the 10,000 test images, and `predict` of one."""

from statistics import median

from .company import at_work
from .programs import KERAS_ON_JAX, KERAS_ON_TENSORFLOW, LAX_SCAN, OURS, PYTORCH
from .report import count_of_rounds, disturbance, duration, not_run, publish, table
from .statistics_of_rounds import outliers, ratio, seconds
from .walkthrough import task

SIZES = [32, 64, 256, 1000, 10_000]
KERAS_SIZES = [32, 1000]  # its default, and a large one: each takes long
KERAS = [KERAS_ON_JAX, KERAS_ON_TENSORFLOW]
NAMES = [OURS, PYTORCH, LAX_SCAN, *KERAS]
TOLERANCE = 0.02  # of accuracy, after one epoch


def run(options):
    names = options.chosen(NAMES)
    with at_work(options, names, task(options, samples=54_000, epochs=1)) as company:
        company.round("go")
        measure(company, 1)  # warms up
        results = measure(company, options.rounds)
    results = {command: kept(replies, company) for command, replies in results.items()}
    wrong = wrong_ones(results)
    parts = [
        f"Medians of {count_of_rounds(options)}; in each, short work is repeated for 0.2 s.\n",
        *(section(results, name) for name in ("predict", "evaluate")),
        one_image(results),
        f"\nWRONG accuracy, so their times do not count: {', '.join(wrong)}.\n" if wrong else "",
        disturbance(company.others),
        not_run(company.failures),
    ]
    numbers = {"commands": results, "failures": company.failures}
    publish(options, "predict", "Predicting and evaluating", parts, company.versions, numbers)
    return not wrong


def commands():
    """Each command, and who knows it."""
    for name in ("predict", "evaluate"):
        for size in SIZES:
            everybody = size in KERAS_SIZES
            yield f"{name} {size}", [name for name in NAMES if everybody or name not in KERAS]
    yield "one", NAMES
    yield "called", KERAS


def measure(company, rounds):
    results = {command: {} for command, _ in commands()}
    for _ in range(rounds):
        for command, names in commands():
            for name, reply in company.round(command, names).items():
                results[command].setdefault(name, []).append(reply)
    return results


def kept(replies, company):
    """Those of programs that came through to the end."""
    return {name: rounds for name, rounds in replies.items() if name in company.processes}


def wrong_ones(results):
    wrong = set()
    for command, replies in results.items():
        if replies and not command.startswith(("one", "called")):
            accuracies = {name: rounds[-1]["accuracy"] for name, rounds in replies.items()}
            wrong.update(outliers(accuracies, TOLERANCE))
    return sorted(wrong)


def section(results, work):
    """A table of one kind of work: a row for a program, a column for a batch size."""
    by_size = {size: results[f"{work} {size}"] for size in SIZES}
    rows = []
    for name in NAMES:
        medians = [median_of(by_size[size].get(name)) for size in SIZES]
        if any(medians):
            rows.append([name, *(duration(value) if value else "" for value in medians)])
    rows += comparisons(by_size)
    columns = [f"{work} 10,000 images", *(f"batches of {size:,}" for size in SIZES)]
    return table(columns, rows) + "\n"


def comparisons(by_size):
    """Ours at each size against PyTorch at its best size and Keras at its default."""
    rows = []
    at_best = [by_size[size][PYTORCH] for size in SIZES if PYTORCH in by_size[size]]
    references = {
        "ours / PyTorch at its best": min(at_best, key=median_of, default=None),
        "ours / Keras on TensorFlow at 32": by_size[32].get(KERAS_ON_TENSORFLOW),
    }
    for title, reference in references.items():
        if reference and OURS in by_size[32]:
            ratios = [ratio(by_size[size][OURS], reference) for size in SIZES]
            rows.append([title, *(f"{value:.3f}" for value in ratios)])
    return rows


def one_image(results):
    rows = [[name, duration(median_of(replies))] for name, replies in results["one"].items()]
    rows += [
        [f"{name}, `model(x)`", duration(median_of(replies))]
        for name, replies in results["called"].items()
    ]
    return table(["predict one image", "time"], rows) + "\n"


def median_of(replies):
    return median(seconds(replies)) if replies else None
