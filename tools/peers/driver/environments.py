"""What must be there before a program runs: Python environments, and our two binaries."""

import os
import subprocess
import sys
from functools import cache
from pathlib import Path

from .paths import BUILT, CARGO_TARGET, PEERS


class Unavailable(Exception):
    """A program cannot be run; says why."""


class Environments:
    """Virtual environments by name, made when they are first asked for."""

    def __init__(self, folder):
        self.folder = Path(folder) if folder else BUILT / "environments"
        self.given = bool(folder)
        self.broken = {}

    def python(self, name):
        if name in self.broken:
            raise Unavailable(self.broken[name])
        python = self.folder / name / "bin" / "python"
        if not self.given:
            self.make(name)
        if not python.exists():
            raise Unavailable(f"there is no environment {name}")
        return python

    def make(self, name):
        """Makes one, or remembers that it cannot be made."""
        try:
            make(self.folder / name, PEERS / f"requirements-{name}.txt")
        except (OSError, subprocess.CalledProcessError) as error:
            self.broken[name] = f"the environment {name} could not be made: pip failed"
            raise Unavailable(self.broken[name]) from error


def make(folder, requirements):
    """Makes a virtual environment, unless it has been made from just these requirements."""
    done = folder / "made-from.txt"
    if done.exists() and done.read_text() == requirements.read_text():
        return
    print(f"making {folder.name} from {requirements.name} ...", file=sys.stderr)
    subprocess.run([sys.executable, "-m", "venv", "--clear", folder], check=True)
    install = [folder / "bin" / "python", "-m", "pip", "install", "--quiet", "-r", requirements]
    subprocess.run(install, check=True)
    done.write_text(requirements.read_text())


@cache
def build(crate):
    """Builds one of the crates beside the driver, and gives its binary."""
    environment = {**os.environ, "CARGO_TARGET_DIR": str(CARGO_TARGET)}
    command = ["cargo", "build", "--release", "--quiet"]
    try:
        subprocess.run(command, cwd=PEERS / crate, env=environment, check=True)
    except (OSError, subprocess.CalledProcessError) as error:
        raise Unavailable(f"{crate} could not be built: {error}") from error
    return CARGO_TARGET / "release" / crate
