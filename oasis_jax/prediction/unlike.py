"""Is a file like the slices of training? Its intensities, the confidence of its labels, the shape of its brain."""

import numpy as np
from jaxtyping import Bool, Float64

from oasis_jax.data import appearance
from oasis_jax.inference.label import Segmentation
from oasis_jax.runs.trained import Trained
from oasis_jax.volumes.anatomy import narrows_upward

_MORE_DOUBT = 1.25
"""How much more doubt than in the most doubtful slices of validation counts as alike; doubt is 1 - confidence."""

_SAME = 0.7
"""Share of voxels with the value of the next one from which on they are labels. It was 0.83 to 0.89 in maps of tissue,
and at most 0.15 in scans."""


def judge(
    segmentation: Segmentation,
    trained: Trained,
    expected: Bool[np.ndarray, " slices"],
    brain: Float64[np.ndarray, " slices"],
    height: Float64[np.ndarray, " slices"] | None,
) -> tuple[Bool[np.ndarray, " slices"], list[str]]:
    """Compare a file with the slices of training.

    Args:
        segmentation: the file and its labels.
        trained: the slices of training.
        expected: the slices that should be like them: those that show a head at trained heights.
        brain: labelled area of each slice.
        height: height of each slice, as `anatomy.heights` gives it; None if it is unknown.

    Returns:
        Whether the intensities of each slice, or the confidence of its labels, are outside the range of training; and
        notes for the user if this is so in most of the expected slices, or if the brain has another shape.
    """
    intensities = np.array(appearance.out_of_range(list(segmentation.input.slices), trained.ranges))
    lowest = 0.0 if trained.confidence is None else trained.confidence
    doubtful = 1 - segmentation.confidence > _MORE_DOUBT * (1 - lowest)
    notes = _map_notes(segmentation)
    if _most(intensities[expected]):
        notes.append("it looks unlike the training slices (mean and standard deviation of intensity)")
    if _most(doubtful[expected]):
        confidence = float(np.median(segmentation.confidence[expected]))
        notes.append(
            f"its labels are doubtful: their confidence is {confidence:.3f} in the median slice; in validation, nearly "
            f"always {lowest:.3f} or more"
        )
    if trained.cut.axis == "axial" and height is not None and not narrows_upward(brain, height):
        notes.append("its brain does not narrow upward as in an upright head: it may be upside down, or no head")
    return intensities | doubtful, notes


def _map_notes(segmentation: Segmentation) -> list[str]:
    """A note on a file of labels, in which neighbours are mostly equal. The background does not count."""
    volume = segmentation.input.volume
    values = segmentation.input.slices if volume is None else volume.values
    here, same = values[:, 1:], values[:, 1:] == values[:, :-1]
    shown = (here != 0) & (here != values.min())
    if not shown.any() or same[shown].mean() < _SAME:
        return []
    return ["most of its voxels equal their neighbours, as in a map of labels: give the scan itself"]


def _most(flags: Bool[np.ndarray, " slices"]) -> bool:
    return 2 * int(flags.sum()) > flags.size
