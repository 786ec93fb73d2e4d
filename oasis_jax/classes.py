"""The four classes of a label slice: names, grey levels on disk, colours on screen."""

import numpy as np

NAMES = ("background", "CSF", "gray matter", "white matter")
SHORT = ("bg", "CSF", "GM", "WM")
COUNT = len(NAMES)

GREYS = (0, 85, 170, 255)
"""Grey level of each class in a `seg_*.png` file."""

STEP = 85
"""Class k is stored as grey level `k * STEP`."""

COLOURS = np.array([(0, 0, 0), (86, 180, 233), (230, 159, 0), (0, 158, 115)], np.uint8)
"""RGB of each class, from the Okabe-Ito palette, which colour-blind readers tell apart."""

FOREGROUND = (1, 2, 3)
"""The classes over which a foreground mean is taken."""

CLASSES = (*NAMES, "foreground mean")
"""What a score has a value of."""


def by_class(values: np.ndarray) -> dict[str, float | None]:
    """Five values by class and for the foreground mean; None where undefined."""
    return {name: None if np.isnan(x) else float(x) for name, x in zip(CLASSES, values, strict=True)}
