"""Values whose types libraries do not name, and values that may be None, with the types that the tests need."""

import csv
from pathlib import Path
from typing import Any, TypeVar

import nibabel as nib
import numpy as np
from scipy import stats

Value = TypeVar("Value")


def present(value: Value | None) -> Value:
    """A value that must not be None."""
    assert value is not None
    return value


def load(path: Path) -> nib.Nifti1Image:
    """A NIfTI file, as nibabel reads it."""
    image = nib.load(path)
    assert isinstance(image, nib.Nifti1Image)
    return image


def rows(table: Path) -> list[dict[str, str]]:
    """Of a table of comma-separated values, by the names of its columns."""
    return list(csv.DictReader(table.read_text(encoding="utf-8").splitlines()))


def turned(image: nib.Nifti1Image, way: str) -> nib.Nifti1Image:
    """A RAS image, stored with axes that lead another way."""
    turn = nib.orientations.ornt_transform(nib.orientations.axcodes2ornt("RAS"), nib.orientations.axcodes2ornt(way))
    return image.as_reoriented(turn)  # pyright: ignore[reportArgumentType]  # nibabel's type says lists, its code arrays


def wilcoxon_p(scores: np.ndarray, others: np.ndarray | None = None) -> float:
    """SciPy's p of paired scores, or of their differences. SciPy's types do not name what its test returns."""
    result: Any = stats.wilcoxon(scores, others)
    return result.pvalue
