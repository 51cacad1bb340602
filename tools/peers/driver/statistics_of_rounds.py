"""What many rounds come to."""

from statistics import median


def seconds(replies):
    return [reply["seconds"] for reply in replies]


def ratio(ours, theirs):
    """The median of the rounds' ratios: a slow moment of the machine slows both sides of one."""
    return median(a / b for a, b in zip(seconds(ours), seconds(theirs)))


def outliers(accuracies, tolerance):
    """The names of those whose accuracy is further than that from the median."""
    middle = median(accuracies.values())
    return [name for name, value in accuracies.items() if abs(value - middle) > tolerance]
