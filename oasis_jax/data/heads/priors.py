"""How bright each structure of a head can be in a T1 scan, and what it counts as.

The brightness of a structure is drawn anew for each scan, evenly from a range that is wider than that of one scanner.
For the brain, the ranges follow SynthSeg's priors for T1 (Billot et al. 2023, `prior_means_t1.npy` and
`prior_stds_t1.npy`): the mean over many scans and 1.5 times their spread to both sides, on a scale whose fixed points
are CSF, the cortex and white matter. Outside, where one sequence shows a structure dark and the next one bright (fat
with and without suppression, vessels with and without inflow, muscle as gray as the cortex), they span what sequences
give. Values of label maps are those of FreeSurfer and, above 500, of SimNIBS CHARM.
"""

from typing import Literal, NamedTuple

Role = Literal["outside", "fluid", "ventricle", "brain"]
"""What a structure is to the brain: `fluid` is CSF around it, `ventricle` CSF within it."""

Range = tuple[float, float]


class Structure(NamedTuple):
    """A structure of the head: its brightness in T1, and the values of label maps that stand for it."""

    role: Role
    level: Range
    """Brightness. Outside the brain, a share of that of white matter; else 0 is CSF, 1 the cortex, 2 white matter."""
    values: tuple[int, ...]
    fat: Range = (0, 0)
    """Share of the structure that is fat, which has a brightness of its own."""


# FAST, which corrects the bias field first, calls the brain stem and the white matter of the cerebellum white, and no
# gray matter CSF as a whole: these ranges end at 1.6, 1.65 and 0.75.
STRUCTURES: dict[str, Structure] = {
    "air": Structure("outside", (0, 0.06), (0,)),
    "csf": Structure("fluid", (0, 0), (24,)),
    "ventricle": Structure("ventricle", (0, 0), (4, 5, 14, 15, 43, 44, 72)),
    "choroid-plexus": Structure("ventricle", (0, 0.7), (136, 137, 163, 164)),
    "white": Structure("brain", (2, 2), (2, 41)),
    "cortex": Structure("brain", (1, 1), (3, 11, 17, 18, 26, 42, 50, 53, 54, 58)),
    "cerebellum-white": Structure("brain", (1.65, 2), (7, 46)),
    "cerebellum-cortex": Structure("brain", (0.75, 1.05), (8, 47)),
    "thalamus": Structure("brain", (1.1, 1.95), (10, 49)),
    "putamen": Structure("brain", (1.05, 1.8), (12, 51)),
    "pallidum": Structure("brain", (1.5, 2), (13, 52)),
    "ventral-diencephalon": Structure("brain", (1.35, 2), (28, 60)),
    "lesion": Structure("brain", (0.95, 1.65), (25, 57)),
    "brain-stem": Structure("brain", (1.6, 1.9), (16,)),
    "spinal-cord": Structure("outside", (0.35, 1), (512,)),
    "vessel": Structure("outside", (0.2, 1), (30, 62)),
    "artery": Structure("outside", (0.1, 1.6), (502,)),
    "vein": Structure("outside", (0.1, 1.4), (514,)),
    "optic-nerve": Structure("outside", (0.6, 1.1), (85, 530)),
    "eye": Structure("outside", (0.05, 0.6), (506,)),
    "eye-muscle": Structure("outside", (0.4, 1), (508,), fat=(0, 0.7)),
    "mucosa": Structure("outside", (0.25, 1.1), (509,)),
    "soft-tissue": Structure("outside", (0.4, 1), (507,), fat=(0, 0.6)),
    "skin": Structure("outside", (0.4, 1.1), (511,), fat=(0, 0.8)),
    "dura": Structure("outside", (0.1, 1.1), ()),
    "cortical-bone": Structure("outside", (0.02, 0.3), (515,)),
    "cancellous-bone": Structure("outside", (0.15, 0.8), (516,), fat=(0.1, 0.9)),
}

NAMES = tuple(STRUCTURES)
"""The index of a structure in a head map is its place in this list."""

CSF, CORTEX, WHITE = (NAMES.index(name) for name in ("csf", "cortex", "white"))
