"""Phantoms, the embedded default data set: made-up heads written as a tree of slices. No patient, no download."""

import shutil
import tempfile
from pathlib import Path

import numpy as np

from oasis_jax import classes
from oasis_jax.data.geometry import Cut, write_cut
from oasis_jax.data.phantoms.head import draw_slice, make_head
from oasis_jax.data.slices import folders, write_png
from oasis_jax.system import cache
from oasis_jax.system.console import Tracker, silent
from oasis_jax.system.errors import at_end
from oasis_jax.system.files import atomic_folder

SLICES = 16
"""Slices a subject."""

GAP = 2.0
"""mm from one slice to the next; pixels are 1 mm."""

SUBJECTS = {"train": 20, "validate": 4, "test": 6}

_VERSION = 3
"""Counts changes to the pictures, so that an older cached tree is not mistaken for this one."""


def write_tree(root: Path, seed: int = 0, track: Tracker = silent) -> None:
    """Write train, validate and test persons as a tree of slices under `root`, which may not exist yet.

    The whole tree appears at once. The same seed gives the same pixels.
    """
    try:
        atomic_folder(root, lambda part: _fill_tree(part, seed, track))
    except OSError:
        if not root.is_dir():  # another process may have been quicker
            raise


def _fill_tree(part: Path, seed: int, track: Tracker) -> None:
    people = [split for split, count in SUBJECTS.items() for _ in range(count)]
    jobs = [(case, k) for case in range(len(people)) for k in range(SLICES)]
    for split in SUBJECTS:
        for folder in folders(part, split):
            folder.mkdir()
    write_cut(part, Cut(spacing=(1.0, 1.0, GAP)))
    head = make_head(np.random.default_rng([seed, 0]))
    for case, k in track(jobs, len(jobs), "Drawing phantoms"):
        if k == 0:
            head = make_head(np.random.default_rng([seed, case]))
        image, label = draw_slice(head, GAP * k, np.random.default_rng([seed, case, k]))
        image_folder, label_folder = folders(part, people[case])
        write_png(image_folder / f"case_{case + 1:03d}_slice_{k}.nii.png", image)
        write_png(label_folder / f"seg_{case + 1:03d}_slice_{k}.nii.png", label * np.uint8(classes.STEP))


def default_tree(track: Tracker = silent) -> Path:
    """The phantoms in the cache folder, drawn when they are not there yet; without one, in a folder for this time."""
    name, folder = f"phantoms-{_VERSION}", cache.folder()
    try:
        if folder and not (folder / name).is_dir():
            write_tree(folder / name, track=track)
    except OSError as error:
        cache.warn(error)
        folder = None
    if folder is None:
        folder = Path(tempfile.mkdtemp(prefix="oasis_jax-"))
        at_end(lambda: shutil.rmtree(folder, ignore_errors=True))
        write_tree(folder / name, track=track)
    return folder / name
