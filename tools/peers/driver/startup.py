"""From the start of a process to the end of its first step, and its memory after an epoch."""

import time
from statistics import median

from .company import TO_REPLY, TO_START, Company, at_work
from .programs import OURS, PROGRAMS
from .report import count_of_rounds, duration, not_run, publish, table
from .walkthrough import task


def run(options):
    names = options.chosen(PROGRAMS)
    first_steps = {name: [] for name in names}
    failures, versions = {}, {}
    for _ in range(options.rounds):
        for name in names:
            if name not in failures:
                first_step(options, name, first_steps[name], failures, versions)
    memory = memory_after_an_epoch(options, [name for name in names if name not in failures])
    rows = rows_of(first_steps, memory, failures)
    columns = ["program", "to the first step", "of it reading MNIST", "ours/peer", "peak memory"]
    parts = [explanation(options), table(columns, rows) + "\n", not_run(failures)]
    numbers = {"first_steps": first_steps, "memory": memory, "failures": failures}
    publish(options, "startup", "Starting, and memory", parts, versions, numbers)
    return True


def explanation(options):
    return (
        "Seconds from the start of the process, with MNIST's packed files on disk, to the end of "
        "a `fit` of one step of 64: importing, reading, building, compiling. Medians of "
        f"{count_of_rounds(options)}. Peak memory is that after a whole epoch, all "
        "70,000 images loaded.\n"
    )


def first_step(options, name, results, failures, versions):
    """Starts a program and lets it train one step."""
    with Company(options, [name], task(options, samples=64, validation=0, epochs=1)) as company:
        for process in company.processes.copy().values():
            with company.leaving(name):
                ready = process.reply(TO_START)
                versions.update(ready["versions"])
                process.ask("go", TO_REPLY)
                whole = time.perf_counter() - process.started
                results.append({"seconds": whole, "reading": ready["reading"]})
        failures.update(company.failures)


def memory_after_an_epoch(options, names):
    memory = {}
    for name in names:
        with at_work(options, [name], task(options, epochs=1)) as company:
            company.round("go")
            for process in company.processes.values():
                memory[name] = process.peak_memory()
    return memory


def rows_of(first_steps, memory, failures):
    def middle(name, what):
        return median(result[what] for result in first_steps[name])

    rows = []
    complete = [name for name in first_steps if name not in failures]
    for name in sorted(complete, key=lambda name: middle(name, "seconds")):
        whole, reading = middle(name, "seconds"), middle(name, "reading")
        compared = name != OURS and OURS in complete
        against = f"{middle(OURS, 'seconds') / whole:.3f}" if compared else ""
        held = f"{memory[name] / 1e6:.0f} MB" if memory.get(name) else ""
        rows.append([name, duration(whole), duration(reading), against, held])
    return rows
