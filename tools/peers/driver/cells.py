"""Epochs of one network at a time: what the grid and the plots of growth are made of."""

from .company import at_work
from .walkthrough import task

ENOUGH = 16e9  # multiplications, forward and backward: a peer's epoch of about half a second
MOST_STEPS = 4000  # of a peer's 100 to 200 µs of overhead each
IMAGES = 54_000


def samples_for(options, widths, batch):
    """As many as make an epoch of about half a second, in whole batches."""
    if options.quick:
        return 10 * batch
    sizes = [784, *widths, 10]
    weights = sum(inputs * units for inputs, units in zip(sizes, sizes[1:]))
    samples = min(IMAGES, MOST_STEPS * batch, int(ENOUGH / (3 * weights)))
    return max(samples // batch, 8) * batch


def epochs(options, names, threads, **changes):
    """Rounds of epochs, without validation, after a warm-up; who failed, and versions."""
    network = task(options, validation=0, threads=threads, **changes)
    with at_work(options, names, network) as company:
        company.round("go")
        replies = company.rounds("go", options.rounds)
    return replies, company
