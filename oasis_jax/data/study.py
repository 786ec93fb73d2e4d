"""A user's own study: T1 volumes with their label volumes, paired by name, split by subject, and their classes."""

import glob
import os
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Float32, UInt8

from oasis_jax.config import SPLITS
from oasis_jax.data.slices import tidy, two_spellings
from oasis_jax.system.errors import UserError
from oasis_jax.volumes.finding import natural
from oasis_jax.volumes.nifti import Volume, same_grid


class Scan(NamedTuple):
    """One T1 volume and its labels."""

    subject: str
    session: str
    image: Path
    label: Path

    @property
    def case(self) -> str:
        return f"{self.subject}-{self.session}" if self.session else self.subject


Values = tuple[tuple[int, ...], ...]
"""The values of label volumes that stand for each class."""


@dataclass(frozen=True)
class LabelValues:
    """The values of label volumes that stand for each class, as options of a command."""

    background: tuple[int, ...] = (0,)
    """Values of the label volumes that are background."""
    csf: tuple[int, ...] = (1,)
    """Values that are CSF."""
    gray: tuple[int, ...] = (2,)
    """Values that are gray matter."""
    white: tuple[int, ...] = (3,)
    """Values that are white matter."""

    def by_class(self) -> Values:
        """The values of each class.

        Raises:
            UserError: a value stands for two classes.
        """
        values = self.background, self.csf, self.gray, self.white
        counts = Counter(value for class_values in values for value in class_values)
        if twice := [value for value, count in counts.items() if count > 1]:
            raise UserError(f"The label value {twice[0]} is given twice: give each value to one class.")
        return values


def pair_scans(images: str, label_volumes: str) -> list[Scan]:
    """Pair volumes by name.

    Args:
        images: a path with {subject}, and {session} if there is one, in place of the names, and * in place of what does
            not matter: "study/sub-{subject}/anat/*_T1w.nii.gz".
        label_volumes: the same for the labels.

    Returns:
        The pairs by subject and session.

    Raises:
        UserError: a path is empty, lacks {subject}, or has placeholders with no text between them; or lists the files
            without a partner and the names that stand for two scans.
    """
    if not images or not label_volumes:
        raise UserError("--images and --labels must each name files, with {subject} where the subject's name stands.")
    images, label_volumes = (os.path.normpath(os.path.expanduser(pattern)) for pattern in (images, label_volumes))
    for pattern in (images, label_volumes):
        if "{subject}" not in pattern:
            raise UserError(f"{pattern} must hold {{subject}} where the subject's name stands.")
        if re.search(r"(\}|\*)(\{|\*)", pattern):
            raise UserError(f"{pattern} must have text between its placeholders, so that names can be separated.")
    (t1, t1_problems), (truth, truth_problems) = _match(images), _match(label_volumes)
    problems = t1_problems + truth_problems
    problems += [f"{t1[key]} has no label volume" for key in t1.keys() - truth.keys()]
    problems += [f"{truth[key]} has no image" for key in truth.keys() - t1.keys()]
    if not t1:
        problems.append(f"no file matches {images}")
    keys = sorted(t1.keys() & truth.keys(), key=lambda key: (natural(key[0]), natural(key[1])))
    scans = [Scan(*key, t1[key], truth[key]) for key in keys]
    for case, count in Counter(scan.case for scan in scans).items():
        if count > 1:
            problems.append(f"{count} scans would have the name {case}: rename a subject or a session")
    twins = two_spellings({scan.subject for scan in scans})
    problems += [f"one subject in two spellings: {names}; rename the files of one" for names in twins]
    if problems:
        raise UserError("\n".join(["The volumes cannot be paired:", *(f"  {problem}" for problem in sorted(problems))]))
    return scans


def split_subjects(scans: Sequence[Scan], fractions: tuple[float, float, float], seed: int) -> dict[str, str]:
    """The split of each subject, drawn at random. The same seed gives the same splits.

    `fractions` are the shares of train, validate and test. 0 leaves a split empty, others get one subject or more.

    Raises:
        UserError: fewer subjects than splits, or fractions that are negative or do not add up to 1.
    """
    if not (min(fractions) >= 0 and abs(sum(fractions) - 1) < 1e-6):
        raise UserError(f"--fractions are {' '.join(map(str, fractions))}: three numbers, 0 or more, that add up to 1.")
    subjects = sorted({scan.subject for scan in scans}, key=natural)
    wanted = {split: share for split, share in zip(SPLITS, fractions, strict=True) if share}
    if len(subjects) < len(wanted):
        raise UserError(
            f"{len(subjects)} subject(s) cannot be divided into {', '.join(wanted)}: give {len(wanted)} or more, or "
            "give a split the fraction 0."
        )
    rest, *others = wanted
    names: list[str] = []
    for number, split in enumerate(others, 1):
        room = len(subjects) - len(names) - (len(wanted) - number)
        names += [split] * min(max(1, round(wanted[split] * len(subjects))), room)
    names = [rest] * (len(subjects) - len(names)) + names
    order = np.random.default_rng(seed).permutation(len(subjects))
    return {subjects[i]: name for i, name in zip(order, names, strict=True)}


def classes_on(image: Volume, truth: Volume, values: Values) -> UInt8[np.ndarray, "x y z"]:
    """The class of each voxel of a T1 volume, in RAS order, from its label volume `truth`.

    Raises:
        UserError: the label volume does not belong to the image, or has values that belong to no class.
    """
    if truth.nonfinite:
        raise UserError(f"{truth.path} has {truth.nonfinite} voxels that are not finite numbers: label them.")
    if not same_grid(image, truth):
        raise UserError(f"{truth.path} does not lie on the grid of {image.path}: resample it to that grid.")
    return classes_of(truth.path, truth.values, values, truth.rounding)


def classes_of(
    path: Path, stored: Float32[np.ndarray, "*grid"], values: Values, rounding: float = 0.0
) -> UInt8[np.ndarray, "*grid"]:
    """The class of each value.

    Args:
        path: what errors call the values.
        stored: of a label volume.
        values: those that stand for each class.
        rounding: of values that were stored as scaled whole numbers; they are rounded within this error.

    Raises:
        UserError: a value belongs to no class.
    """
    out = np.zeros(stored.shape, np.uint8)
    labelled = np.zeros(stored.shape, bool)
    rounded = np.rint(stored)
    tolerance = max(1e-3, 1.01 * rounding) if rounding < 0.5 else 1e-3  # 1e-3: the error of a change of type
    rounded = np.where(np.abs(stored - rounded) < tolerance, rounded, stored)
    for k, class_values in enumerate(values):
        of_class = np.isin(rounded, class_values)
        out[of_class], labelled = k, labelled | of_class
    if not labelled.all():
        others = np.unique(rounded[~labelled])
        listed = ", ".join(f"{value:g}" for value in others[:8]) + (" ..." if len(others) > 8 else "")
        raise UserError(
            f"{path} holds the values {listed}, which belong to no class: name their classes with --csf, --gray and "
            "--white (in Python, with values)."
        )
    return out


def _match(pattern: str) -> tuple[dict[tuple[str, str], Path], list[str]]:
    """The file of each (subject, session), and problems."""
    wild, regex = glob.escape(pattern).replace("[*]", "*"), re.escape(pattern).replace(r"\*", "[^/]*")
    for name in ("subject", "session"):
        mark = re.escape(f"{{{name}}}")
        wild = wild.replace(f"{{{name}}}", "*")
        regex = regex.replace(mark, f"(?P<{name}>[^/]+?)", 1).replace(mark, f"(?P={name})")  # each time the same name
    files: dict[tuple[str, str], Path] = {}
    problems = []
    for path in sorted(glob.glob(wild)):
        match = re.fullmatch(regex, path)
        if not match:
            continue
        key = tidy(match["subject"]), tidy(match.groupdict().get("session") or "")
        if key in files:
            problems.append(f"{files[key]} and {path} are both of {' '.join(filter(None, key))}")
        files[key] = Path(path)
    return files, problems
