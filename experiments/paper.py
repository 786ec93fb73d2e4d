"""The network of Isensee et al. 2017 (arXiv:1802.10508) as the paper trains it, in 2D.

Claim:    this program trains the paper's network: pre-activation context modules, instance normalisation, linear 1x1
          segmentation layers summed upward, dropout 0.3; multi-class Dice loss alone; Adam at 5e-4 times 0.985 an epoch
          of 100 batches, L2 1e-5; rotation, scale, elastic deformation, gamma and mirroring; 300 epochs.
Command:  python -m oasis_jax.train paper --data.root keras_png_slices_data
Score:    not measured at this length.
Cost:     30,000 steps of 8 slices, 25 passes over the 9,664 training slices: hours on a GPU, half a day on 2 CPU cores.

What 2D changes: slices in place of patches of 128x128x128 voxels, so 8 a batch in place of 2; mirroring of left and
right alone; four classes of tissue in place of tumour regions. The paper does not say how far it rotates, scales or
deforms; the ranges here are ours. A shorter run (`--train.steps`) ends at a higher learning rate: after 8,400 steps it
is 0.28 of the first one, after 30,000 it is 0.01.
"""

from pathlib import Path

from oasis_jax.config import Augment, Config, Data, Model, Optim, Train

config = Config(
    run=Path("runs/paper"),
    data=Data(normalise="zscore"),
    augment=Augment(mirror=True, rotate=15.0, scale=0.15, elastic=2.0, gamma=0.3),
    model=Model(stem=16, norm="instance", pre_activation=True, segmentation="1x1", dropout=0.3, crop=(176, 208)),
    optim=Optim(learning_rate=5e-4, schedule="exponential", weight_decay=0.0, l2=1e-5, cross_entropy=0.0),
    train=Train(steps=30_000, batch=8, evaluate="test"),
)
