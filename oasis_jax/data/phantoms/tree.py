"""Phantoms, the built-in data set: slices of made-up heads. No patient, no download."""

import atexit
import shutil
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np

from oasis_jax.data.phantoms.head import draw_slice, make_head
from oasis_jax.data.tree import Case, write_tree
from oasis_jax.system import cache, console

SLICES = 16
"""Slices of each subject."""

GAP = 2.0
"""mm from one slice to the next; pixels are 1 mm."""

SUBJECTS = {"train": 20, "validate": 4, "test": 6}

_VERSION = 3
"""Increased when the pictures change, so that an older tree in the cache is not used for this one."""


def cases(seed: int = 0) -> Iterator[Case]:
    """The slices of the subjects of all splits; the same seed gives the same pixels."""
    splits = [split for split, count in SUBJECTS.items() for _ in range(count)]
    with ThreadPoolExecutor() as pool:
        for subject, split in console.track(enumerate(splits), len(splits), "Drawing phantoms"):
            head = make_head(np.random.default_rng([seed, subject]))
            keys = [np.random.default_rng([seed, subject, k]) for k in range(SLICES)]
            slices = pool.map(partial(draw_slice, head), GAP * np.arange(SLICES), keys)
            name = f"{subject + 1:03d}"
            yield Case(name, name, split, list(slices), gap=GAP)


def default_tree() -> Path:
    """The phantoms in the cache folder, drawn if they are not there. Without a cache, in a temporary folder."""
    name, folder = f"phantoms-{_VERSION}", cache.folder()
    try:
        if folder and not (folder / name).is_dir():
            write_tree(folder / name, cases())
    except OSError as error:
        if folder and not (folder / name).is_dir():  # another process may have been quicker
            cache.cannot_be_used(error)
            folder = None
    if folder is None:
        folder = Path(tempfile.mkdtemp(prefix="oasis_jax-"))
        atexit.register(shutil.rmtree, folder, ignore_errors=True)
        write_tree(folder / name, cases())
    return folder / name
