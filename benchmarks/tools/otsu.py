"""Otsu's two thresholds over the whole brain, in 256 grey levels:  python otsu.py IMAGE MASK OUTPUT"""

import sys
from typing import Any

import nibabel as nib
import numpy as np

from oasis_jax.metrics.baselines import otsu

image: Any
mask: Any
image, mask = (nib.load(path) for path in sys.argv[1:3])  # type: ignore[attr-defined]
values, brain = image.get_fdata(), mask.get_fdata() > 0
low, high = np.percentile(values[brain], (0.1, 99.9))
grey = np.clip(255 * (values - low) / (high - low), 0, 255).astype(np.uint8)
classes = otsu(np.bincount(grey[brain], minlength=256)[None])[0].astype(np.uint8)
labels = np.where(brain, classes[grey], 0).astype(np.uint8)
nib.save(nib.Nifti1Image(labels, image.affine), sys.argv[3])  # type: ignore[attr-defined]
