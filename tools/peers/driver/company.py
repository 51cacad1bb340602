"""Several programs at work on the same task, one after the other."""

import contextlib
import sys

from .environments import Unavailable
from .other_processes import OtherProcesses
from .process import Failed, Process
from .programs import PROGRAMS

TO_START = 180  # seconds that a program may take to import, read and build
TO_REPLY = 300  # and to reply: the first epoch may compile
VARIABLES = {"TERM": "xterm-256color", "PYTHONDONTWRITEBYTECODE": "1", "RUST_BACKTRACE": "0"}


class Company:
    """Runs programs by turns. Whoever fails leaves, and the reason is kept in `failures`."""

    def __init__(self, options, names, task):
        self.task = {"data": str(options.data), "threads": 0, **task}
        self.processes = {}
        self.versions = {}
        self.readings = {}
        self.failures = {}
        self.others = OtherProcesses()
        for name, command in self.commands(options, names).items():
            self.start(name, *command)

    def commands(self, options, names):
        """How each is started. Builds what must be built, before anything runs beside it."""
        commands = {}
        for name in names:
            try:
                commands[name] = PROGRAMS[name].command(options.environments)
            except Unavailable as error:
                self.failures[name] = str(error)
        return commands

    def start(self, name, words, arguments):
        variables = {**VARIABLES}
        if threads := self.task["threads"]:
            for variable in ("RAYON_NUM_THREADS", "OMP_NUM_THREADS"):
                variables[variable] = str(threads)
        variables.update(PROGRAMS[name].variables)
        with self.leaving(name):
            self.processes[name] = Process(name, words, arguments, self.task, variables)

    @contextlib.contextmanager
    def leaving(self, name):
        """A program that fails inside leaves the company."""
        try:
            yield
        except (Failed, OSError) as error:
            self.failures[name] = str(error)
            print(f"{name}: {error}", file=sys.stderr)
            if name in self.processes:
                self.processes.pop(name).end()

    def wait_until_ready(self):
        for name, process in list(self.processes.items()):
            with self.leaving(name):
                ready = process.reply(TO_START)
                self.versions.update(ready["versions"])
                self.readings[name] = ready["reading"]

    def round(self, command, names=None):
        """Each program's reply to a command, one program after the other."""
        replies = {}
        for name, process in list(self.processes.items()):
            if names is not None and name not in names:
                continue
            self.others.watch()
            with self.leaving(name):
                replies[name] = process.ask(command, TO_REPLY)
        return replies

    def rounds(self, command, count):
        """Each program's replies in `count` rounds, without the programs that failed."""
        rounds = []
        for number in range(count):
            rounds.append(self.round(command))
            times = (f"{name} {reply['seconds']:.3f}" for name, reply in rounds[-1].items())
            print(f"round {number + 1}: {', '.join(times)}", file=sys.stderr, flush=True)
        return {name: [replies[name] for replies in rounds] for name in self.processes}

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for process in self.processes.values():
            process.let_go()
        for process in self.processes.values():
            process.end()


@contextlib.contextmanager
def at_work(options, names, task):
    """A company that is ready."""
    with Company(options, names, task) as company:
        company.wait_until_ready()
        yield company
