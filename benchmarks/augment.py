"""How much time each augmentation adds to a training step of `experiments/oasis.py`.

Run:  python benchmarks/augment.py [--turns 5] [--only mirror gamma ...]

Times the whole step (augmentation, forward, backward, Adam) on a batch of 8 made-up slices of 256x256 with a neighbour
on each side: without augmentation, and with each kind alone, in turns. Each turn gives the ratio of a step with a kind
to the step without augmentation. Prints the median of these ratios. Goal: at most 1.10 for each kind.
"""

import time
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import figures
import jax
import numpy as np
import tyro

from oasis_jax.config import Augment, Config
from oasis_jax.network import unet
from oasis_jax.runs.state import TrainState
from oasis_jax.system import sharding
from oasis_jax.train import load_experiment
from oasis_jax.training import optimizer, step
from oasis_jax.training.augment import augment

SIZE, BATCH = (256, 256), 8

KINDS = {
    "none": Augment(),
    "mirror": Augment(mirror=True, mirror_axis=129.0),
    "gamma": Augment(gamma=0.2),
    "bias field": Augment(bias_field=0.2),
    "strip": Augment(strip=0.25),
    "rotate, scale": Augment(rotate=5.0, scale=0.05),
    "elastic": Augment(elastic=2.0),
}


@dataclass(frozen=True)
class Arguments:
    """Time training steps with each kind of augmentation alone."""

    turns: int = 5
    """Steps of each kind."""
    only: tuple[str, ...] = ()
    """Kinds to time. If none is given: all."""


def compiled(settings: Config) -> tuple[Any, TrainState]:
    """The jitted step and its first state."""
    mesh = sharding.make_mesh(BATCH)
    init, apply = unet.network(settings.model)
    transform = optimizer.optimizer(settings.optim)
    change = partial(augment, config=settings.augment, method=settings.data.normalise, window=settings.model.crop)
    train_step = partial(
        step.train_step, apply=apply, transform=transform, augment=change, cross_entropy=settings.optim.cross_entropy
    )
    shape = (*SIZE, settings.data.channels)
    initial_state = jax.jit(partial(optimizer.initial_state, jax.random.key(0), shape, init, transform))
    return sharding.compile_train_step(train_step, mesh), initial_state()


def batch(channels: int) -> dict[str, np.ndarray]:
    """Noise in a frame of air, with a label in its middle."""
    rng = np.random.default_rng(0)
    label = np.zeros((BATCH, *SIZE), np.uint8)
    label[:, 70:190, 50:200] = rng.integers(1, 4, (BATCH, 120, 150))
    image = rng.normal(size=(BATCH, *SIZE, channels)).astype(np.float32)
    brain = np.repeat(label[..., None] > 0, channels, axis=-1)
    index = np.arange(BATCH, dtype=np.int32)
    return {"image": image, "label": label, "index": index, "valid": np.ones(BATCH, bool), "brain": brain}


def main() -> None:
    arguments = tyro.cli(Arguments)
    sharding.configure_jax()
    settings = load_experiment(Path(__file__).parent.parent / "experiments" / "oasis.py")
    kinds = {name: KINDS[name] for name in ("none", *(arguments.only or [name for name in KINDS if name != "none"]))}
    steps = {name: compiled(replace(settings, augment=kind)) for name, kind in kinds.items()}
    states = {name: state for name, (_, state) in steps.items()}
    seconds: dict[str, list[float]] = {name: [] for name in kinds}
    (device_batch,) = sharding.to_devices([batch(settings.data.channels)], sharding.make_mesh(BATCH))
    for turn in range(arguments.turns + 1):
        for name, (train_step, _) in steps.items():
            start = time.perf_counter()
            states[name], metrics = train_step(states[name], device_batch, jax.random.key(1), 1e-3)
            jax.block_until_ready(metrics)
            if turn:  # the first turn compiles
                seconds[name].append(time.perf_counter() - start)
    rows = []
    for name, times in seconds.items():
        ratios = [seconds_of_kind / plain for seconds_of_kind, plain in zip(times, seconds["none"], strict=True)]
        rows.append([name, f"{1000 * median(times):.0f}", figures.spread(ratios)])
    print(f"{figures.machine()}\n\n{figures.markdown(['augmentation', 'ms a step', 'beside none'], rows)}")


if __name__ == "__main__":
    main()
