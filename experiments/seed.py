"""The seed project's settings, to the letter (a Keras project of 2020, documented in its README)."""

from pathlib import Path

from oasis_jax.config import Config, Data, Model, Optim, Train

config = Config(
    run=Path("runs/seed"),
    data=Data(normalise="scale"),
    model=Model(stem=16, norm="none", segmentation="3x3", dropout=0.3, crop=None),
    optim=Optim(learning_rate=1e-4, schedule="constant", weight_decay=0.0, cross_entropy=0.0),
    train=Train(epochs=80, batch=8),
)
