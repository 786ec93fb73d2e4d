from oasis_jax.config import Config

config = Config()
