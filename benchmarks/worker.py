"""A framework in a process of its own: it must compute what the package computes, then its steps are timed.

`step.py` calls these functions in process pools, with one worker for each framework. Only the worker imports the
framework.
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
"""The module of `peers` for each framework."""

LOGITS, LOSSES, COUNTS = 1e-4, 1e-3, 1e-3
"""Largest allowed differences from the package: of a logit; of the loss of one of the first steps; and the share of
pixels in another cell of the confusion matrix (the largest logits may be equal)."""

_STEPS, _SLICES = 3, 2
"""Steps, and slices in each, that must agree."""

_running: dict[str, Any] = {}


def make_batch(count: int, size: tuple[int, int], channels: int) -> Arrays:
    """A batch of noise: steps are not faster on it, and errors cannot hide in pixels that are 0."""
    rng = np.random.default_rng(0)
    return {
        "image": rng.normal(size=(count, *size, channels)).astype(np.float32),
        "label": rng.integers(0, classes.COUNT, (count, *size)).astype(np.uint8),
        "index": np.arange(count, dtype=np.int32),
        "valid": np.ones(count, bool),
    }


def of_batch(settings: Config, batch: int) -> Config:
    """Settings with another size of a batch, which decides on the devices of a CPU."""
    return replace(settings, train=replace(settings.train, batch=batch))


def write_reference(settings: Config, size: tuple[int, int], folder: Path) -> None:
    """Write initial parameters and what the package computes from them. For the worker of "ours"."""
    parameters = importlib.import_module("peers.ours").initial(of_batch(settings, _SLICES), size)
    np.savez(folder / "parameters.npz", **parameters)
    computed = _probe("ours", settings, size, parameters)
    logits, losses, confusion = (computed[name] for name in ("logits", "losses", "confusion"))
    np.savez(folder / "reference.npz", logits=logits, losses=losses, confusion=confusion)


def differences(framework: str, settings: Config, size: tuple[int, int], folder: Path) -> dict[str, float]:
    """Differences between a framework and the reference: logits, losses of the first steps, confusion matrices."""
    with np.load(folder / "reference.npz") as expected, np.load(folder / "parameters.npz") as parameters:
        computed = _probe(framework, settings, size, dict(parameters))
        gaps = {name: float(np.abs(computed[name] - expected[name]).max()) for name in ("logits", "losses")}
        moved = np.abs(computed["confusion"] - expected["confusion"]).sum() / 2
        return gaps | {"counts": float(moved / expected["confusion"].sum())}


def judge(gaps: dict[str, float]) -> None:
    """Raise ValueError if a framework does not compute what the package computes."""
    for name, limit in (("logits", LOGITS), ("losses", LOSSES), ("counts", COUNTS)):
        if not gaps[name] <= limit:
            raise ValueError(f"computes something else: {name} differ by {gaps[name]:.2g}, more than {limit:.0e}")


def load(
    framework: str, settings: Config, size: tuple[int, int], batch: int, mode: str, folder: Path
) -> tuple[str, dict[str, str]]:
    """Make the program to time and run it twice, so that it is compiled; return its device and versions."""
    settings = of_batch(settings, batch)
    with np.load(folder / "parameters.npz") as parameters:
        program = _build(framework)(settings, dict(parameters))
    batch_on_device = program.put(make_batch(batch, size, settings.data.channels))
    _running.update(program=program, batch=batch_on_device, call=program.train if mode == "train" else program.evaluate)
    turn(1)
    return program.device, program.versions


def turn(steps: int) -> tuple[float, float]:
    """Seconds and page faults per step, over steps without a wait between them, as training runs them.

    The first step is not timed. During the turns of the others, the system may take back memory that this framework
    freed, and it returns memory slowly: on a virtual machine, a step took up to half as long again.
    """
    program, call, batch = _running["program"], _running["call"], _running["batch"]
    program.wait(call(batch))
    result = None
    start, faults = time.perf_counter(), figures.page_faults()
    for _ in range(steps):
        result = call(batch)
    program.wait(result)
    return (time.perf_counter() - start) / steps, (figures.page_faults() - faults) / steps


def peak() -> tuple[int, int | None]:
    """Peak memory so far in bytes, of this process and of the accelerator."""
    return figures.peak_bytes(), _running["program"].device_bytes()


def _build(framework: str) -> Callable[..., Program]:
    build = importlib.import_module(f"peers.{FRAMEWORKS[framework]}").build
    return partial(build, compiled=True) if framework == "torch-compiled" else build


def _probe(framework: str, settings: Config, size: tuple[int, int], parameters: Arrays) -> Arrays:
    """Logits, losses and confusion matrices of two slices, in exact float32 without dropout."""
    exact = replace(of_batch(settings, _SLICES), model=replace(settings.model, dtype="float32", dropout=0.0))
    program = _build(framework)(exact, parameters, exact=True)
    batch = program.put(make_batch(_SLICES, size, settings.data.channels))
    logits, confusion = program.outputs(batch)
    losses = [float(program.train(batch)) for _ in range(_STEPS)]
    return {"logits": logits, "confusion": confusion, "losses": np.array(losses)}
