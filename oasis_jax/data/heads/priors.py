"""How bright each structure of a head is in a T1 scan, and what it counts as.

The numbers are SynthSeg's priors for T1 (Billot et al. 2023, `prior_means_t1.npy` and `prior_stds_t1.npy`): over many
scans, the mean of a structure's intensities and their standard deviation within it, each with its spread from scan to
scan, on a scale whose white matter is 160. Values of label maps are those of FreeSurfer and, above 500, of SimNIBS
CHARM.
"""

from typing import Literal, NamedTuple

Role = Literal["outside", "fluid", "ventricle", "brain"]
"""What a structure is to the brain: `fluid` is CSF around it, `ventricle` CSF within it."""


class Structure(NamedTuple):
    """A structure of the head: its brightness in T1, and the values of label maps that stand for it."""

    role: Role
    mean: float
    mean_spread: float
    deviation: float
    deviation_spread: float
    values: tuple[int, ...]


STRUCTURES: dict[str, Structure] = {
    "air": Structure("outside", 7, 2, 5, 2, (0,)),
    "csf": Structure("fluid", 44, 11, 26, 10, (24,)),
    "ventricle": Structure("ventricle", 44, 11, 26, 10, (4, 5, 14, 15, 43, 44, 72)),
    "choroid-plexus": Structure("ventricle", 60, 10, 24, 11, (136, 137, 163, 164)),
    "white": Structure("brain", 160, 22, 16, 5, (2, 41)),
    "cortex": Structure("brain", 96, 12, 19, 6, (3, 11, 17, 18, 26, 42, 50, 53, 54, 58)),
    "cerebellum-white": Structure("brain", 136, 13, 15, 6, (7, 46)),
    "cerebellum-cortex": Structure("brain", 88, 11, 17, 5, (8, 47)),
    "thalamus": Structure("brain", 130, 18, 20, 8, (10, 49)),
    "putamen": Structure("brain", 124, 16, 14, 7, (12, 51)),
    "pallidum": Structure("brain", 152, 20, 9, 4, (13, 52)),
    "ventral-diencephalon": Structure("brain", 143, 16, 21, 7, (28, 60)),
    "lesion": Structure("brain", 116, 15, 19, 7, (25, 57)),
    "brain-stem": Structure("brain", 130, 12, 18, 7, (16,)),
    "spinal-cord": Structure("outside", 68, 11, 36, 18, (512,)),
    "vessel": Structure("outside", 87, 17, 17, 9, (30, 62)),
    "artery": Structure("outside", 126, 25, 84, 49, (502,)),
    "vein": Structure("outside", 48, 9, 20, 9, (514,)),
    "optic-nerve": Structure("outside", 144, 16, 45, 26, (85, 530)),
    "eye": Structure("outside", 18, 4, 14, 7, (506,)),
    "eye-muscle": Structure("outside", 117, 12, 65, 29, (508,)),
    "mucosa": Structure("outside", 70, 9, 25, 13, (509,)),
    "soft-tissue": Structure("outside", 94, 9, 49, 13, (507,)),
    "skin": Structure("outside", 114, 12, 75, 20, (511,)),
    "cortical-bone": Structure("outside", 30, 7, 22, 12, (515,)),
    "cancellous-bone": Structure("outside", 94, 18, 43, 20, (516,)),
}

NAMES = tuple(STRUCTURES)
"""The index of a structure in a head map is its place in this list."""

CSF, CORTEX, WHITE = (NAMES.index(name) for name in ("csf", "cortex", "white"))
