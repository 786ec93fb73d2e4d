"""The four classes of a label slice: names, grey levels on disk, colours on screen."""

from typing import Literal, get_args

import numpy as np
from jaxtyping import UInt8

Tissue = Literal["CSF", "gray matter", "white matter"]
Name = Literal["background", Tissue]
Column = Literal[Name, "foreground mean"]
"""The values of a score."""

NAMES: tuple[Name, ...] = get_args(Name)
TISSUES: tuple[Tissue, ...] = get_args(Tissue)
SHORT = ("bg", "CSF", "GM", "WM")
COUNT = len(NAMES)

STEP = 85
"""Class k is stored as grey level `k * STEP`."""

GREYS = tuple(k * STEP for k in range(COUNT))
"""Grey level of each class in a `seg_*.png` file."""

COLOURS: UInt8[np.ndarray, "4 3"] = np.array([(0, 0, 0), (86, 180, 233), (230, 159, 0), (0, 158, 115)], np.uint8)
"""RGB of each class, from the Okabe-Ito palette, whose colours colour-blind readers can distinguish."""

FOREGROUND = (1, 2, 3)
"""The classes that a foreground mean averages."""

CLASSES: tuple[Column, ...] = get_args(Column)
"""Names of the values of a score."""
