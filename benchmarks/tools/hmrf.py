"""The Markov random field classifier of DIPY:  python hmrf.py IMAGE MASK OUTPUT"""

import sys
from typing import Any

import nibabel as nib
import numpy as np
from dipy.segment.tissue import TissueClassifierHMRF  # pyright: ignore[reportMissingImports]  # in its own environment

image: Any
mask: Any
image, mask = (nib.load(path) for path in sys.argv[1:3])  # type: ignore[attr-defined]
brain = image.get_fdata() * (mask.get_fdata() > 0)
_, classes, _ = TissueClassifierHMRF().classify(brain, 3, 0.1)  # 1 CSF, 2 gray matter, 3 white matter
nib.save(nib.Nifti1Image(classes.astype(np.uint8), image.affine), sys.argv[3])  # type: ignore[attr-defined]
