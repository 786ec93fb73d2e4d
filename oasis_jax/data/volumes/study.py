"""A study of your own: T1 volumes with their label volumes, found by name, read, split by subject."""

import glob
import os
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from oasis_jax.config import SPLITS
from oasis_jax.data.slices import natural, tidy, two_spellings
from oasis_jax.data.volumes.nifti import Volume, read_volume, same_grid
from oasis_jax.system.errors import UserError


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
"""The values in label volumes that stand for each class."""


@dataclass(frozen=True)
class LabelValues:
    """The values in label volumes that stand for each class, as options of a command."""

    background: tuple[int, ...] = (0,)
    """Values in the label volumes that are background."""
    csf: tuple[int, ...] = (1,)
    """Values that are CSF."""
    gray: tuple[int, ...] = (2,)
    """Values that are gray matter."""
    white: tuple[int, ...] = (3,)
    """Values that are white matter."""

    def by_class(self) -> Values:
        """The values of each class.

        Raises:
            UserError: one stands for two classes.
        """
        values = self.background, self.csf, self.gray, self.white
        claimed = Counter(value for one in values for value in one)
        if twice := [value for value, count in claimed.items() if count > 1]:
            options = zip(("--background", "--csf", "--gray", "--white"), values, strict=True)
            both = " and ".join(dict.fromkeys(option for option, one in options if twice[0] in one))
            raise UserError(f"The label value {twice[0]} is claimed twice, by {both}: name the values of each.")
        return values


def find_scans(images: str, label_volumes: str) -> tuple[list[Scan], list[str]]:
    """Pair volumes by name.

    Args:
        images: a path in which {subject}, and {session} if there is one, stand for what varies, and * for what does
            not matter: "study/sub-{subject}/anat/*_T1w.nii.gz".
        label_volumes: the same for the labels.

    Returns:
        The pairs by subject and session, and a sentence for each file that has no partner.
    """
    if not images or not label_volumes:
        raise UserError("--images and --labels must each name files, with {subject} where the subject's name stands.")
    images, label_volumes = (os.path.normpath(os.path.expanduser(pattern)) for pattern in (images, label_volumes))
    for pattern in (images, label_volumes):
        if "{subject}" not in pattern:
            raise UserError(f"{pattern} must hold {{subject}} where the subject's name stands.")
        if re.search(r"(\}|\*)(\{|\*)", pattern):
            raise UserError(f"{pattern} must have something between what varies, so that names can be told apart.")
    t1, problems = _match(images)
    truth, more = _match(label_volumes)
    problems += more
    problems += [f"{t1[key]} has no label volume" for key in t1.keys() - truth.keys()]
    problems += [f"{truth[key]} has no image" for key in truth.keys() - t1.keys()]
    if not t1:
        problems.append(f"no file matches {images}")
    keys = sorted(t1.keys() & truth.keys(), key=lambda key: (natural(key[0]), natural(key[1])))
    scans = [Scan(*key, t1[key], truth[key]) for key in keys]
    for case, count in Counter(scan.case for scan in scans).items():
        if count > 1:
            problems.append(f"{count} scans would be named {case}: rename a subject or a session")
    twins = two_spellings({scan.subject for scan in scans})
    problems += [f"one subject in two spellings: {names}; rename the files of one" for names in twins]
    return scans, sorted(problems)


def pair_scans(images: str, label_volumes: str) -> list[Scan]:
    """`find_scans`, where every file must have its partner.

    Raises:
        UserError: lists what has none.
    """
    scans, problems = find_scans(images, label_volumes)
    if problems:
        raise UserError("\n".join(["The volumes cannot be paired:", *(f"  {problem}" for problem in problems)]))
    return scans


def split_subjects(scans: Sequence[Scan], fractions: tuple[float, float, float], seed: int) -> dict[str, str]:
    """The split of each subject: drawn at random by the seed, at least one subject in each.

    Raises:
        UserError: fewer than three subjects, or fractions that are not positive or do not add up to 1.
    """
    if not (min(fractions) > 0 and abs(sum(fractions) - 1) < 1e-6):
        raise UserError(f"--fractions are {' '.join(map(str, fractions))}: three positive numbers that add up to 1.")
    people = sorted({scan.subject for scan in scans}, key=natural)
    if len(people) < 3:
        raise UserError(f"{len(people)} subject(s) cannot be divided into train, validate and test: give 3 or more.")
    held_out = [max(1, round(share * len(people))) for share in fractions[1:]]
    held_out[0] = min(held_out[0], len(people) - 2)
    held_out[1] = min(held_out[1], len(people) - 1 - held_out[0])
    names = [SPLITS[1]] * held_out[0] + [SPLITS[2]] * held_out[1]
    names = [SPLITS[0]] * (len(people) - len(names)) + names
    order = np.random.default_rng(seed).permutation(len(people))
    return {people[i]: name for i, name in zip(order, names, strict=True)}


def read_classes(scan: Scan, image: Volume, values: Values, orientation: str | None = None) -> np.ndarray:
    """The class of each voxel of a scan, uint8 in RAS order as the image.

    Values that were stored as scaled whole numbers are rounded within the error that this makes.

    Raises:
        UserError: the label volume cannot be read, does not belong to the image, or has values that no class claims.
    """
    path, truth = scan.label, read_volume(scan.label, orientation)
    if truth.nonfinite:
        raise UserError(f"{path} has {truth.nonfinite} voxels that are not finite numbers: label them.")
    if not same_grid(image, truth):
        raise UserError(f"{path} does not lie on the grid of {scan.image}: resample it to that grid.")
    out = np.zeros(truth.values.shape, np.uint8)
    known = np.zeros(truth.values.shape, bool)
    whole, rounding = np.rint(truth.values), truth.header.rounding
    off = max(1e-3, 1.01 * rounding) if rounding < 0.5 else 1e-3  # 1e-3: as left by a change of type
    whole = np.where(np.abs(truth.values - whole) < off, whole, truth.values)
    for k, claimed in enumerate(values):
        here = np.isin(whole, claimed)
        out[here], known = k, known | here
    if not known.all():
        others = np.unique(whole[~known])
        listed = ", ".join(f"{value:g}" for value in others[:8]) + (" ..." if len(others) > 8 else "")
        raise UserError(f"{path} holds the values {listed}, which no class claims: see --csf, --gray, --white.")
    return out


def _match(pattern: str) -> tuple[dict[tuple[str, str], Path], list[str]]:
    """File of each (subject, session)."""
    words = re.split(r"(\{subject\}|\{session\}|\*)", pattern)
    wild = "".join("*" if word in ("{subject}", "{session}", "*") else glob.escape(word) for word in words)
    seen: set[str] = set()
    regex = ""
    for word in words:
        name = word.strip("{}")
        if word == "*":
            regex += "[^/]*"
        elif word in ("{subject}", "{session}"):
            regex += f"(?P={name})" if name in seen else f"(?P<{name}>[^/]+?)"
            seen.add(name)
        else:
            regex += re.escape(word)
    found: dict[tuple[str, str], Path] = {}
    problems = []
    for path in sorted(glob.glob(wild)):
        match = re.fullmatch(regex, path)
        if not match:
            continue
        key = tidy(match["subject"]), tidy(match.groupdict().get("session") or "")
        if key in found:
            problems.append(f"{found[key]} and {path} are both of {' '.join(filter(None, key))}")
        found[key] = Path(path)
    return found, problems
