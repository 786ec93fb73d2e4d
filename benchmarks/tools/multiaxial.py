"""MultiAxial (Birnbaum et al. 2025), three networks and their consensus:  python multiaxial.py IMAGE WEIGHTS OUTPUT

WEIGHTS is a folder of {sagittal,coronal,axial}_model.onnx and consensus_layer.onnx.
"""

import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import onnxruntime  # pyright: ignore[reportMissingImports]  # in an environment of its own
from nibabel.processing import conform, resample_from_to

SIZE = 256
PLANES = ("sagittal", "coronal", "axial")  # in the order of the axes that they are normal to
TISSUE = np.array([0, 0, 2, 3, 1, 0, 0], np.uint8)  # of air, air inside, gray and white matter, CSF, bone, skin


def network(name: str, *inputs: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
    """The outputs for slices, one after the other: many at a time need much memory."""
    session = onnxruntime.InferenceSession(Path(sys.argv[2]) / f"{name}.onnx", providers=["CPUExecutionProvider"])
    names = [one.name for one in session.get_inputs()]
    for slices in zip(*inputs, strict=True):
        feed = {name: values[None] for name, values in zip(names, slices, strict=True)}
        yield session.run(None, feed)[0][0]


image: Any = nib.load(sys.argv[1])  # type: ignore[attr-defined]
head = conform(image, (SIZE,) * 3, (1, 1, 1), order=1, orientation="RAS")
values = head.get_fdata(dtype=np.float32)
low, high = np.percentile(values, (2, 98)).astype(np.float32)  # as in pyAFQ
found = [((values.clip(low, high) - low) / (high - low))[..., None]]
place = np.moveaxis(np.indices((SIZE,) * 3, np.float32), 0, -1) / SIZE - 0.5
for axis, plane in enumerate(PLANES):
    outputs = network(f"{plane}_model", *(np.moveaxis(one, axis, 0) for one in (found[0], place)))
    found.append(np.stack(list(outputs), axis=axis))
joined = (np.concatenate(slices, -1)[None] for slices in zip(*found, strict=True))
classes = np.stack([one[0].argmax(-1) for one in network("consensus_layer", joined)])
labels = resample_from_to(nib.Nifti1Image(TISSUE[classes], head.affine), image, order=0)
nib.save(nib.Nifti1Image(np.asarray(labels.dataobj), image.affine), sys.argv[3])  # type: ignore[attr-defined]
