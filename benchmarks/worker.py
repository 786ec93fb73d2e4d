"""One framework in a process of its own: proves that it computes what the package computes, then runs when told.

`step.py` calls these functions in a process pool of one worker a framework. The framework is imported here, not there.
"""

import importlib
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import figures
import numpy as np
from peers import Arrays, Program

from oasis_jax import classes
from oasis_jax.config import Config

FRAMEWORKS = {"ours": "ours", "torch": "torch_unet", "torch-compiled": "torch_unet", "tensorflow": "tensorflow_unet"}
"""The module of `peers` that each is in."""

LOGITS, LOSSES, COUNTS = 1e-4, 1e-3, 1e-3
"""How far from the package a peer may be: any logit; the loss of any of the first steps; the share of pixels counted in
another cell of the confusion matrix (ties in the largest logit)."""

_STEPS = 3
_running: dict[str, Any] = {}


def make_batch(count: int, size: tuple[int, int]) -> Arrays:
    """A batch of noise: no step is quicker on it, and no error hides in pixels that are 0."""
    rng = np.random.default_rng(0)
    return {
        "image": rng.normal(size=(count, *size, 1)).astype(np.float32),
        "label": rng.integers(0, classes.COUNT, (count, *size)).astype(np.uint8),
        "index": np.arange(count, dtype=np.int32),
        "valid": np.ones(count, bool),
    }


def write_reference(settings: Config, size: tuple[int, int], folder: Path) -> None:
    """Write initial parameters, and what the package computes from them. For the worker of "ours"."""
    parameters = importlib.import_module("peers.ours").initial(settings, size)
    np.savez(folder / "parameters.npz", **parameters)
    np.savez(folder / "reference.npz", **_probe("ours", settings, size, parameters))


def differences(framework: str, settings: Config, size: tuple[int, int], folder: Path) -> dict[str, float]:
    """How far a framework is from the reference: logits, losses of the first steps, pixels in the confusion matrix."""
    with np.load(folder / "reference.npz") as want, np.load(folder / "parameters.npz") as parameters:
        have = _probe(framework, settings, size, dict(parameters))
        gaps = {name: float(np.abs(have[name] - want[name]).max()) for name in ("logits", "losses")}
        moved = np.abs(have["confusion"] - want["confusion"]).sum() / 2
        return gaps | {"counts": float(moved / want["confusion"].sum())}


def judge(found: dict[str, float]) -> None:
    """Refuse to go on where a framework does not compute what the package computes."""
    for name, limit in (("logits", LOGITS), ("losses", LOSSES), ("counts", COUNTS)):
        if not found[name] <= limit:
            raise ValueError(f"computes something else: {name} differ by {found[name]:.2g}, more than {limit:.0e}")


def load(
    framework: str, settings: Config, size: tuple[int, int], batch: int, mode: str, folder: Path
) -> tuple[str, dict[str, str]]:
    """Make the program that will be timed and run it twice, so that all is compiled; its device, and versions."""
    with np.load(folder / "parameters.npz") as parameters:
        program = _build(framework)(settings, dict(parameters))
    there = program.put(make_batch(batch, size))
    _running.update(program=program, batch=there, call=program.train if mode == "train" else program.evaluate)
    turn(1)
    return program.device, program.versions


def turn(steps: int) -> tuple[float, float]:
    """Seconds and page faults a step, over so many steps without a wait in between, as training runs them.

    One step before them is not timed: while the others had their turns, the system may have taken memory back that
    this framework had freed, and gives it again slowly (on a virtual machine a step took up to a half longer).
    """
    program, call, batch = _running["program"], _running["call"], _running["batch"]
    program.wait(call(batch))
    start, faults = time.perf_counter(), figures.page_faults()
    for _ in range(steps):
        result = call(batch)
    program.wait(result)
    return (time.perf_counter() - start) / steps, (figures.page_faults() - faults) / steps


def peak() -> tuple[int, int | None]:
    """Largest memory so far in bytes: of this process, on the accelerator."""
    return figures.peak_bytes(), _running["program"].device_bytes()


def _build(framework: str) -> Callable[..., Program]:
    build = importlib.import_module(f"peers.{FRAMEWORKS[framework]}").build
    return partial(build, compiled=True) if framework == "torch-compiled" else build


def _probe(framework: str, settings: Config, size: tuple[int, int], parameters: Arrays) -> Arrays:
    """Outputs on two slices in exact float32 without dropout."""
    exact = replace(settings, model=replace(settings.model, dtype="float32", dropout=0.0))
    program = _build(framework)(exact, parameters, exact=True)
    there = program.put(make_batch(2, size))
    logits, confusion = program.outputs(there)
    losses = [float(program.train(there)) for _ in range(_STEPS)]
    return {"logits": logits, "confusion": confusion, "losses": np.array(losses)}
