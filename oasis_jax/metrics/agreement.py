"""How well predicted volumes agree with true ones: bias, limits of agreement, intraclass correlation. Pure numpy.

All volumes have the same unit (for example mm³, or pixels); bias and limits have that unit too. Pearson's correlation
coefficient is not enough: it is 1 if every predicted volume is twice the true one.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Num


class Agreement(NamedTuple):
    """Agreement over subjects, one value for each class. All but `icc` are in the unit of the volumes."""

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

    The limits are `bias ± 1.96 s`, where s is the sample standard deviation of the S differences (divisor S - 1). If
    the differences are normal, about 95 % of them lie between the limits (Bland & Altman 1986, Lancet 327:307). For
    `icc` see `icc_a1`. Limits and ICC are NaN below two subjects.
    """
    difference = np.asarray(predicted, np.float64) - true
    with np.errstate(invalid="ignore", divide="ignore"):
        bias = difference.mean(0)
        half_width = 1.96 * np.sqrt(((difference - bias) ** 2).sum(0) / (len(difference) - 1))
    return Agreement(bias, bias - half_width, bias + half_width, icc_a1(np.stack([true, predicted], axis=1)))


def icc_a1(ratings: Num[np.ndarray, "subjects raters *classes"]) -> Float[np.ndarray, "*classes"]:
    """ICC(A,1): two-way random effects, absolute agreement, single measure (McGraw & Wong 1996, table 4).

    `(MSR - MSE) / (MSR + (k - 1) MSE + k (MSC - MSE) / n)`, with the mean squares of the n subjects (rows, MSR), of the
    k raters (columns, MSC) and of the residuals (MSE). Shrout & Fleiss (1979) call it ICC(2,1). It is at most 1; NaN
    below two subjects, or if all ratings are equal.
    """
    ratings = np.asarray(ratings, np.float64)
    n, k = ratings.shape[:2]
    by_subject, by_rater, overall = ratings.mean(1), ratings.mean(0), ratings.mean((0, 1))
    residual = ratings - by_subject[:, None] - by_rater + overall
    with np.errstate(invalid="ignore", divide="ignore"):
        msr = k * ((by_subject - overall) ** 2).sum(0) / (n - 1)
        msc = n * ((by_rater - overall) ** 2).sum(0) / (k - 1)
        mse = (residual**2).sum((0, 1)) / np.float64((n - 1) * (k - 1))
        coefficient = (msr - mse) / (msr + (k - 1) * mse + k * (msc - mse) / n)
    return np.where(np.ptp(ratings, axis=(0, 1)) > 0, coefficient, np.nan)
