"""An evaluation: slices with their predictions, and all the scores of them."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from oasis_jax import baselines, groups, summary, tissue
from oasis_jax.data.frame import Spacing
from oasis_jax.data.slices import Slice
from oasis_jax.scores import SliceTable
from oasis_jax.surface import SurfaceTable


class Evaluated(NamedTuple):
    """Slices, their predictions, and what was counted on them."""

    pairs: Sequence[Slice]
    subjects: dict[str, str]
    """The person of each case."""
    slices: Sequence[tuple[np.ndarray, np.ndarray]]
    """Grey levels and true classes of each slice, uint8 `(H, W)`; slices of different cases may differ in size."""
    predictions: Sequence[np.ndarray]
    """Predicted classes of each slice, uint8 `(H, W)`."""
    table: SliceTable
    surfaces: SurfaceTable | None
    """A row for each slice, or for each case of whole volumes, cases sorted; None where the spacing is unknown."""
    spacing: dict[str, Spacing | None]
    """Of each case."""
    whole: bool = False
    """Whether the cases are whole volumes, whose surfaces are compared in 3D."""

    @property
    def people(self) -> list[str]:
        """The person of each slice."""
        return [self.subjects[pair.case] for pair in self.pairs]

    @property
    def cases(self) -> list[str]:
        """Each case once, sorted."""
        return sorted({pair.case for pair in self.pairs})


def measure(found: Evaluated) -> tuple[dict[str, Any], dict[str, Any]]:
    """All scores of an evaluation.

    Returns:
        What `metrics.json` holds as `scores`, and the content of `subjects.json`: the counts of each person, from which
        any pooled score can be had and two evaluations compared.
    """
    people = found.people
    histograms = np.stack([baselines.histogram(*found.slices[i]) for i in range(len(found.pairs))])
    confusions = {name: baselines.confusion(histograms, method) for name, (_, method) in baselines.METHODS.items()}
    units = {case: tissue.unit(spacing) for case, spacing in found.spacing.items()}
    if len({unit.name for unit in units.values()}) > 1:
        units = dict.fromkeys(units, tissue.unit(None))
    scans = tissue.measure(
        found.table.confusion,
        [pair.case for pair in found.pairs],
        found.subjects,
        {case: unit.amount for case, unit in units.items()},
    )
    surfaces, surface_sums = None, {}
    if found.surfaces is not None:
        rows = [found.subjects[case] for case in found.cases] if found.whole else people
        surfaces = summary.of_surfaces(found.surfaces, rows, "volume" if found.whole else "slice")
        surface_sums = summary.surface_sums(found.surfaces, rows)
    names, counts = groups.sums(found.table.confusion, people)
    return (
        {
            **summary.summarise(found.table, people),
            "surfaces": surfaces,
            "tissue": tissue.summarise(scans, next(iter(units.values())).name, found.whole),
            "baselines": {name: summary.of_baseline(table, people) for name, table in confusions.items()},
        },
        {
            "subjects": names,
            "spacing": {case: found.spacing[case] for case in found.cases},
            "confusion": counts.tolist(),
            "surfaces": {name: sums.tolist() for name, sums in surface_sums.items()},
            "baselines": {name: groups.sums(table, people)[1].tolist() for name, table in confusions.items()},
        },
    )
