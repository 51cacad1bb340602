"""One running program: it gets commands, gives replies, and is ended."""

import contextlib
import json
import os
import pty
import re
import select
import signal
import subprocess
import threading
import time

from .paths import LOGS


class Failed(Exception):
    """A program broke off, gave no reply in time, or could not be started; says why."""


class Process:
    """A program at work on a task. Its progress goes to a terminal that nobody looks at, so that
    it costs what it costs a user; what it says of errors goes to a file."""

    def __init__(self, name, words, arguments, task, variables):
        self.name = name
        self.received = b""
        LOGS.mkdir(parents=True, exist_ok=True)
        self.log = LOGS / (re.sub(r"\W+", "-", name) + ".log")
        self.replies, its_replies = os.pipe()
        self.terminal, its_terminal = pty.openpty()
        task = json.dumps({**task, "replies": f"/dev/fd/{its_replies}"})
        self.started = time.perf_counter()
        with open(self.log, "wb") as errors, on_processors(task_processors(task)):
            self.process = subprocess.Popen(
                [*words, task, *arguments],
                stdin=subprocess.PIPE,
                stdout=its_terminal,
                stderr=errors,
                pass_fds=[its_replies],
                env={**os.environ, **variables},
                start_new_session=True,
            )
        os.close(its_replies)
        os.close(its_terminal)
        threading.Thread(target=self.drain_terminal, daemon=True).start()

    def drain_terminal(self):
        with contextlib.suppress(OSError):  # the program has closed its side
            while os.read(self.terminal, 1 << 16):
                pass

    def ask(self, command, timeout):
        """Sends a command and waits for its reply."""
        try:
            self.process.stdin.write(f"{command}\n".encode())
            self.process.stdin.flush()
        except OSError as error:
            raise Failed(self.last_words()) from error
        return self.reply(timeout)

    def reply(self, timeout):
        end = time.monotonic() + timeout
        while b"\n" not in self.received:
            readable, _, _ = select.select([self.replies], [], [], max(0, end - time.monotonic()))
            if not readable:
                raise Failed(f"no reply within {timeout} s")
            received = os.read(self.replies, 1 << 16)
            if not received:
                raise Failed(self.last_words())
            self.received += received
        line, _, self.received = self.received.partition(b"\n")
        return json.loads(line)

    def last_words(self):
        """Why it ended: its last line of errors."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(5)
        lines = self.log.read_text(errors="replace").split("\n")
        said = [line.strip() for line in lines if line.strip()]
        return said[-1] if said else f"ended with status {self.process.returncode}"

    def peak_memory(self):
        """The most bytes of memory it has held, or `None` where the system does not tell."""
        try:
            with open(f"/proc/{self.process.pid}/status") as status:
                held = re.search(r"VmHWM:\s*(\d+) kB", status.read())
            return int(held[1]) * 1024
        except (OSError, TypeError):
            return None

    def let_go(self):
        """Tells it that no more commands come."""
        with contextlib.suppress(OSError):
            self.process.stdin.close()

    def end(self):
        """Lets it end by itself, or else ends it and what it started, by their number."""
        self.let_go()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(5)
        # It leads a group of its own, which may have outlived it.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        os.close(self.replies)
        os.close(self.terminal)


def task_processors(task):
    """On fewer threads than processors a program gets as many processors as threads: not every
    peer can be told a number of threads."""
    threads = json.loads(task)["threads"]
    return set(sorted(os.sched_getaffinity(0))[:threads]) if threads else None


@contextlib.contextmanager
def on_processors(processors):
    """What is started inside runs on these processors."""
    before = os.sched_getaffinity(0)
    if processors:
        os.sched_setaffinity(0, processors)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)
