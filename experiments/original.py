"""The original (a Keras project of 2020) to the letter: its network, loss, optimizer, batch and length.

Claim:    this program trains the network that the original describes, with 2,779,472 parameters. The original reported,
          on the 544 test slices, a soft Dice of .9987 / .9428 / .9568 / .9740 (background / CSF / gray / white matter)
          of its last epoch. Two slips of the original are not repeated: here the given validate split is read, not a
          fifth of train, and the best checkpoint is what is evaluated, not the last.
Command:  python -m oasis_jax.train original --data.root keras_png_slices_data
Score:    not measured at this length; the README has the score after one epoch.
Cost:     80 epochs of 1,208 steps on the 9,664 training slices; the original took 56 minutes on a cloud GPU.
"""

from pathlib import Path

from oasis_jax.config import Config, Data, Model, Optim, Train

config = Config(
    run=Path("runs/original"),
    data=Data(normalise="scale"),
    model=Model(stem=16, norm="none", pre_activation=False, segmentation="3x3", dropout=0.3, crop=None),
    optim=Optim(learning_rate=1e-4, schedule="constant", weight_decay=0.0, cross_entropy=0.0),
    train=Train(epochs=80, batch=8, evaluate="test"),
)
