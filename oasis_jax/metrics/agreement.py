"""Do predicted volumes agree with true ones: bias, limits of agreement, intraclass correlation. Pure numpy.

Volumes in any one unit (mm³, or pixels): bias and limits have it too. A correlation coefficient of Pearson would not
do: it is 1 for volumes that are all twice too large.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Num


class Agreement(NamedTuple):
    """Of the volumes of subjects: a value each class, in the unit of the volumes but for `icc`."""

    bias: Float[np.ndarray, " classes"]
    """Mean of predicted minus true."""
    low: Float[np.ndarray, " classes"]
    """Lower 95 % limit of agreement."""
    high: Float[np.ndarray, " classes"]
    """Upper 95 % limit of agreement."""
    icc: Float[np.ndarray, " classes"]
    """ICC(A,1); 1 is perfect agreement."""


def agreement(
    true: Num[np.ndarray, " subjects *classes"], predicted: Num[np.ndarray, " subjects *classes"]
) -> Agreement:
    """Compare the volumes of the same subjects.

    The limits are `bias ± 1.96 s`, s the standard deviation of the differences with S - 1 below the line: about 95 of
    100 differences lie between them if they are normal (Bland & Altman 1986, Lancet 327:307). For `icc` see `icc_a1`.

    Args:
        true: in any one unit.
        predicted: in the same unit.

    Returns:
        All four; limits and ICC are NaN below two subjects.
    """
    difference = np.asarray(predicted, np.float64) - true
    with np.errstate(invalid="ignore", divide="ignore"):
        bias = difference.mean(0)
        spread = 1.96 * np.sqrt(((difference - bias) ** 2).sum(0) / (len(difference) - 1))
    return Agreement(bias, bias - spread, bias + spread, icc_a1(np.stack([true, predicted], axis=1)))


def icc_a1(ratings: Num[np.ndarray, "subjects raters *classes"]) -> Float[np.ndarray, "*classes"]:
    """ICC(A,1): two-way random effects, absolute agreement, single measure (McGraw & Wong 1996, table 4).

    `(MSR - MSE) / (MSR + (k - 1) MSE + k (MSC - MSE) / n)`, with the mean squares of the n subjects (rows, MSR), of the
    k raters (columns, MSC) and of what is left (MSE). It is ICC(2,1) of Shrout & Fleiss (1979).

    Args:
        ratings: of n subjects by k raters.

    Returns:
        At most 1; NaN below two subjects, or where all ratings are one number.
    """
    ratings = np.asarray(ratings, np.float64)
    n, k = ratings.shape[:2]
    by_subject, by_rater, overall = ratings.mean(1), ratings.mean(0), ratings.mean((0, 1))
    left = ratings - by_subject[:, None] - by_rater + overall
    with np.errstate(invalid="ignore", divide="ignore"):
        msr = k * ((by_subject - overall) ** 2).sum(0) / (n - 1)
        msc = n * ((by_rater - overall) ** 2).sum(0) / (k - 1)
        mse = (left**2).sum((0, 1)) / np.float64((n - 1) * (k - 1))
        coefficient = (msr - mse) / (msr + (k - 1) * mse + k * (msc - mse) / n)
    return np.where(np.ptp(ratings, axis=(0, 1)) > 0, coefficient, np.nan)
