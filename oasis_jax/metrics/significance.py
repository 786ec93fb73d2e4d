"""Paired tests of two runs on the same subjects.

With five subjects the Wilcoxon test cannot reach p = 0.05, so there is no p value below 8 subjects.
"""

from typing import Any

import numpy as np
from jaxtyping import Float, Float64

from oasis_jax.metrics.bootstrap import FEWEST_SUBJECTS


def wilcoxon(
    ours: Float[np.ndarray, "subjects classes"], theirs: Float[np.ndarray, "subjects classes"]
) -> Float64[np.ndarray, " classes"] | None:
    """Two-sided p values of the signed-rank test (Wilcoxon 1945) on the paired scores of each class.

    The scores of two runs, NaN where undefined, are of the same subjects in the same order. Zero differences are
    dropped. SciPy's defaults choose between the exact and the approximate distribution.

    Returns:
        1 if all differences are zero; NaN for a class that is defined in both runs for fewer than 8 subjects. None
        below 8 subjects.
    """
    if len(ours) < FEWEST_SUBJECTS:
        return None
    from scipy import stats  # takes a second to import, and most commands do no test

    test: Any = stats.wilcoxon
    p = np.full(ours.shape[1], np.nan)
    for k, column in enumerate((ours - theirs).T):
        differences = column[~np.isnan(column)]
        if len(differences) >= FEWEST_SUBJECTS:
            p[k] = test(differences).pvalue if differences.any() else 1
    return p


def holm(p: Float[np.ndarray, " classes"]) -> Float64[np.ndarray, " classes"]:
    """Adjust p values for multiple tests (Holm 1979); NaN stays NaN and does not count.

    The i-th smallest of m values (i from 0) is multiplied by m - i. It is at least the adjusted value before it, and at
    most 1.
    """
    adjusted = np.full(p.shape, np.nan)
    order = np.argsort(p)[: (~np.isnan(p)).sum()]
    adjusted[order] = np.minimum(np.maximum.accumulate(p[order] * np.arange(len(order), 0, -1)), 1)
    return adjusted
