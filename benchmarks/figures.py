"""Measurements as text: a median with its range, tables in Markdown, and the machine."""

import os
import platform
import resource
import subprocess
from collections.abc import Sequence
from pathlib import Path
from statistics import median


def spread(values: Sequence[float], digits: int = 3) -> str:
    """The median, the lowest and the highest value, with so many significant digits."""
    low, middle, high = (format_number(f(values), digits) for f in (min, median, max))
    return f"{middle} ({low} to {high})"


def format_number(value: float, digits: int = 3) -> str:
    """A number with so many significant digits, without an exponent."""
    return f"{float(f'{value:.{digits}g}'):,.10f}".rstrip("0").rstrip(".")


def markdown(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table in Markdown."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def mebibytes(count: int | None) -> str:
    """Bytes as MiB; "-" if there is no such memory."""
    return "-" if count is None else f"{count / 2**20:,.0f}"


def peak_bytes() -> int:
    """Peak memory of this process, in bytes."""
    status = Path("/proc/self/status")
    if status.is_file():  # getrusage starts with the memory of the parent process, this file does not
        (line,) = (line for line in status.read_text().splitlines() if line.startswith("VmHWM:"))
        return int(line.split()[1]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def page_faults() -> int:
    """Page faults of this process so far. A framework that frees its memory after each step has many in each step."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt


def machine() -> str:
    """The processor, the cores that this process may use, the accelerators, and the version of Python."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.is_file() else []
    names = [line.split(":")[1].strip() for line in lines if line.startswith("model name")]
    parts = [*(names[:1] or [platform.processor()]), f"{len(os.sched_getaffinity(0))} cores", *accelerators()]
    return ", ".join([*parts, f"Python {platform.python_version()}"])


def accelerators() -> list[str]:
    """Names of the NVIDIA devices. The driver names them, so that no device is opened."""
    command = ["nvidia-smi", "--query-gpu=name", "--format=csv,noheader"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.split("\n")[:-1]
    except (OSError, subprocess.CalledProcessError):
        return []
