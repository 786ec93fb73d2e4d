"""Phantoms, the built-in data set: made-up heads written as a tree of slices. No patient, no download."""

import atexit
import shutil
import tempfile
from pathlib import Path

import numpy as np

from oasis_jax.data.phantoms.head import draw_slice, make_head
from oasis_jax.data.slices import make_folders, write_pair
from oasis_jax.geometry import Cut, write_cut
from oasis_jax.system import cache
from oasis_jax.system.console import Tracker, silent
from oasis_jax.system.files import atomic_folder

SLICES = 16
"""Slices of each subject."""

GAP = 2.0
"""mm from one slice to the next; pixels are 1 mm."""

SUBJECTS = {"train": 20, "validate": 4, "test": 6}

_VERSION = 3
"""Increased when the pictures change, so that an older tree in the cache is not used for this one."""


def write_tree(root: Path, seed: int = 0, track: Tracker = silent) -> None:
    """Write subjects of all splits as a tree of slices under `root`, which must not exist yet.

    The tree appears complete or not at all. The same seed gives the same pixels.
    """
    split_of = [split for split, count in SUBJECTS.items() for _ in range(count)]

    def fill(part: Path) -> None:
        make_folders(part)
        write_cut(part, Cut(spacing=(1.0, 1.0, GAP)))
        heads = ((case, make_head(np.random.default_rng([seed, case]))) for case in range(len(split_of)))
        jobs = ((case, head, k) for case, head in heads for k in range(SLICES))
        for case, head, k in track(jobs, len(split_of) * SLICES, "Drawing phantoms"):
            image, classes = draw_slice(head, GAP * k, np.random.default_rng([seed, case, k]))
            write_pair(part, split_of[case], f"{case + 1:03d}", k, image, classes)

    atomic_folder(root, fill)


def default_tree(track: Tracker = silent) -> Path:
    """The phantoms in the cache folder, drawn if they are not there. Without a cache, in a temporary folder."""
    name, folder = f"phantoms-{_VERSION}", cache.folder()
    try:
        if folder and not (folder / name).is_dir():
            write_tree(folder / name, track=track)
    except OSError as error:
        if folder and not (folder / name).is_dir():  # another process may have been quicker
            cache.cannot_be_used(error)
            folder = None
    if folder is None:
        folder = Path(tempfile.mkdtemp(prefix="oasis_jax-"))
        atexit.register(shutil.rmtree, folder, ignore_errors=True)
        write_tree(folder / name, track=track)
    return folder / name
