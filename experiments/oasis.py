from pathlib import Path

from oasis_jax.config import Config, Model, Optim, Train

config = Config(
    run=Path("runs/oasis"),
    model=Model(stem=16),
    optim=Optim(learning_rate=8e-3),
    train=Train(epochs=7),
)
