"""Whole heads: slices of OASIS, scans without skull and drawn heads, at every height and anywhere in the frame.

Claim:    one network that labels a T1 head from the neck to the vertex, with or without skull: against FSL FAST on
          whole volumes of three people that did not train, hard Dice beyond 0.90 for CSF and gray matter and 0.94 for
          white matter.
Command:  python -m oasis_jax.train heads --data.root keras_png_slices_data --data.join scans drawn --data.shares 5 8 7
Score:    hard Dice pooled over the three people's whole volumes after four trainings, each from the one before: CSF
          0.9097, gray matter 0.9059, white matter 0.9422. The model card has tests on others.
Cost:     4,200 steps of 8 slices: 65 minutes on 2 CPU cores beside other work.

The network is that of `oasis`; what differs is what it sees. No axis of the brains is known, so slices are mirrored
about their middle. Four in ten are turned, scaled and moved, a fifth of the OASIS slices are shown without skull, and
contrast and bias field change more. The window holds every brain of these folders. benchmarks/results.md says how the
folders are made, and how the network that comes with the program was trained in four parts.
"""

from pathlib import Path

from oasis_jax.config import Augment, Config, Data, Model, Optim, Train

config = Config(
    run=Path("runs/heads"),
    data=Data(normalise="zscore", neighbours=1),
    augment=Augment(mirror=True, rotate=10.0, scale=0.12, shift=8.0, warped=0.4, gamma=0.25, bias_field=0.2, strip=0.2),
    model=Model(stem=16, norm="instance", segmentation="1x1", dropout=0.0, crop=(160, 192)),
    optim=Optim(learning_rate=4e-3, schedule="one_cycle", weight_decay=1e-4, cross_entropy=1.0),
    train=Train(steps=4200, batch=8, evaluate="validate"),
)
