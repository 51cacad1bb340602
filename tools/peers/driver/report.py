"""Tables in Markdown, and the machine and versions that they were measured with."""

import json
import os
import platform
import re
import subprocess
import tomllib

from .paths import BUILT, DOCUMENTS, PEERS


def table(columns, rows):
    lines = [columns, ["---"] * len(columns), *rows]
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines)


def duration(seconds):
    """Three digits and a unit."""
    for unit, scale in (("s", 1), ("ms", 1e3), ("µs", 1e6)):
        value = seconds * scale
        if value >= 1 or unit == "µs":
            return f"{value:.3g} {unit}" if value < 100 else f"{value:.0f} {unit}"


def count_of_rounds(options):
    return "1 round" if options.rounds == 1 else f"{options.rounds} rounds"


def machine():
    """Processor, threads, system."""
    kernel = ".".join(platform.release().split(".")[:2])
    system = f"{platform.system()} {kernel} on {platform.machine()}"
    return f"{processor()}, {len(os.sched_getaffinity(0))} hardware threads, {system}"


def processor():
    try:
        with open("/proc/cpuinfo") as file:
            text = file.read()
    except OSError:
        return platform.processor() or platform.machine()
    model = re.search(r"model name\s*: (.*)", text)
    vectors = "AVX-512" if "avx512f" in text else "AVX2" if "avx2" in text else "no AVX2"
    return f"{model[1] if model else platform.machine()} ({vectors})"


def versions(of_peers):
    """Of ours, of what it stands on, and of the peers."""
    lock = tomllib.loads((PEERS / "ours" / "Cargo.lock").read_text())["package"]
    crates = {package["name"]: package["version"] for package in lock}
    rust = subprocess.run(["rustc", "--version"], capture_output=True, text=True, check=False)
    all_versions = {
        **{name: crates[name] for name in ("candle-keras", "candle-core", "gemm")},
        "Rust": rust.stdout.split()[1] if rust.stdout else "unknown",
        **of_peers,
        "Python": platform.python_version(),
    }
    return ", ".join(f"{name} {version}" for name, version in all_versions.items())


def disturbance(others):
    """What other processes may have done to the figures."""
    return f"Other processes took {others.share():.0%} of the processors between the turns.\n"


def not_run(failures):
    if not failures:
        return ""
    lines = [f"- {name}: {reason}" for name, reason in failures.items()]
    return "Could not be run:\n\n" + "\n".join(lines) + "\n"


def publish(options, name, title, parts, of_peers, numbers):
    """Prints a report and writes it, with the numbers behind it, where it belongs."""
    heading = f"# {title}\n\nMade by `tools/peers/compare {name}`.\n\n{machine()}.\n\n"
    heading += f"{versions(of_peers)}.\n"
    text = "\n".join([heading, *(part for part in parts if part)]).rstrip() + "\n"
    print("\n" + text, flush=True)
    folder = BUILT / "quick" if options.quick else DOCUMENTS
    for place in (folder, BUILT):
        place.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.md").write_text(text)
    (BUILT / f"{name}.json").write_text(json.dumps(numbers, indent=1))
