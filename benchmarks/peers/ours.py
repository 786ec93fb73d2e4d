"""The network and the steps of the package, as `oasis_jax.training.loop` compiles them."""

from functools import partial
from typing import Any

import jax
import numpy as np

from oasis_jax.config import Augment, Config
from oasis_jax.evaluation import counting
from oasis_jax.network import unet
from oasis_jax.runs import state
from oasis_jax.system import sharding
from oasis_jax.training import optimizer, step
from oasis_jax.training.augment import augment
from peers import Arrays, Program


def initial(settings: Config, size: tuple[int, int]) -> Arrays:
    """Initial parameters by "module/name". Biases are not 0, so that a missing bias is noticed."""
    sharding.divide_cpu(settings.train.batch)
    sharding.configure_jax()
    init, _ = unet.network(settings.model)
    params = jax.jit(init, static_argnums=1)(jax.random.key(settings.train.seed), (*size, settings.data.channels))
    rng = np.random.default_rng(settings.train.seed)
    flat = {f"{module}/{name}": np.asarray(x) for module, part in params.items() for name, x in part.items()}
    return {name: x if x.ndim == 4 else x + rng.normal(0, 0.01, x.shape).astype(np.float32) for name, x in flat.items()}


def lower(settings: Config, params: Any, batch: Arrays, evaluate: bool = False) -> tuple[Any, tuple[Any, ...]]:
    """The jitted step of training or evaluation, and its arguments on the devices."""
    mesh = sharding.make_mesh(len(batch["label"]))
    _, apply = unet.network(settings.model)
    device_params = jax.device_put(params, sharding.replicated(mesh))
    (device_batch,) = sharding.to_devices([batch], mesh)
    if evaluate:
        return counting.compiled_eval_step(settings, apply, mesh), (device_params, device_batch)
    transform = optimizer.optimizer(settings.optim)
    train_step = partial(
        step.train_step,
        apply=apply,
        transform=transform,
        augment=partial(augment, config=Augment(), method=settings.data.normalise),
        cross_entropy=settings.optim.cross_entropy,
    )
    initial_state = jax.jit(lambda p: state.TrainState(jax.numpy.zeros((), "int32"), p, transform.init(p)))
    key, rate = jax.random.key(settings.train.seed), settings.optim.learning_rate
    compiled = sharding.compile_step(train_step, mesh, 2, donate_argnums=0)
    return compiled, (initial_state(device_params), device_batch, key, rate)


def unflatten(parameters: Arrays) -> unet.Params:
    """The tree of parameters that Flax takes."""
    tree: dict[str, dict[str, np.ndarray]] = {}
    for path, value in parameters.items():
        module, name = path.split("/")
        tree.setdefault(module, {})[name] = value
    return tree


def build(settings: Config, parameters: Arrays, exact: bool = False) -> Program:
    """The package, without augmentation. With `exact`, a GPU computes float32 products, not TF32."""
    sharding.divide_cpu(settings.train.batch)
    sharding.configure_jax()
    jax.config.update("jax_default_matmul_precision", "highest" if exact else None)
    params = unflatten(parameters)
    _, apply = unet.network(settings.model)
    forward = jax.jit(apply)
    held: dict[str, Any] = {}

    def train(batch: Arrays) -> Any:
        if "train" not in held:
            held["train"], (held["state"], _, *held["more"]) = lower(settings, params, batch)
        held["state"], metrics = held["train"](held["state"], batch, *held["more"])
        return metrics["loss"]

    def evaluate(batch: Arrays) -> Any:
        if "evaluate" not in held:
            held["evaluate"], (held["params"], _) = lower(settings, params, batch, evaluate=True)
        found = held["evaluate"](held["params"], batch)
        return (found["table"].loss, *found["table"].soft, found["prediction"], found["table"].confusion)

    def device_bytes() -> int | None:
        memory = jax.local_devices()[0].memory_stats()
        return memory["peak_bytes_in_use"] if memory else None

    return Program(
        put=lambda batch: next(sharding.to_devices([batch], sharding.make_mesh(len(batch["label"])))),
        outputs=lambda batch: (np.asarray(forward(params, batch["image"])), np.asarray(evaluate(batch)[-1])),
        train=train,
        evaluate=evaluate,
        wait=jax.block_until_ready,
        device_bytes=device_bytes,
        device=jax.default_backend(),
        versions={"jax": jax.__version__},
    )
