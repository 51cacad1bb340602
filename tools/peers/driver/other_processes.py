"""How busy others keep the machine, seen in the moments in which all our programs wait."""

import time

BREATH = 0.05  # seconds in which the threads of the program before fall asleep, too


class OtherProcesses:
    """The share of the processors' time that others took, over all the moments so far."""

    def __init__(self):
        self.busy = self.all = 0

    def watch(self):
        """Waits a moment, and counts."""
        time.sleep(BREATH)
        before = processor_time()
        time.sleep(BREATH)
        after = processor_time()
        self.busy += after[0] - before[0]
        self.all += after[1] - before[1]

    def share(self):
        return self.busy / self.all if self.all else 0.0


def processor_time():
    """Busy and all time of all processors since the start, in the system's ticks."""
    try:
        with open("/proc/stat") as file:
            ticks = [int(word) for word in file.readline().split()[1:9]]
    except OSError:
        return 0, 0
    idle = ticks[3] + ticks[4]
    return sum(ticks) - idle, sum(ticks)
