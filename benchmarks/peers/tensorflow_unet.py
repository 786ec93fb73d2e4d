"""The Improved U-Net of `oasis_jax.network.unet` in Keras on TensorFlow, as in the original, with its loss and Adam.

The layers are those of Keras; the steps are `tf.function`s. Instance normalisation, which the original does not have,
is group normalisation of Keras with groups of one channel.
"""

import os
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ["KERAS_BACKEND"] = "tensorflow"

import keras  # pyright: ignore[reportMissingImports]  # optional
import tensorflow as tf  # pyright: ignore[reportMissingModuleSource]  # optional
from keras import layers  # pyright: ignore[reportMissingImports]  # optional

from oasis_jax import classes
from oasis_jax.config import Config, Model
from peers import BACKGROUND_LOGIT, EPSILON, LEAKY_SLOPE, Arrays, Program


def network(config: Model, size: tuple[int, int], channels: int) -> keras.Model:
    """The model, from images `(B, H, W, C)` to float32 logits `(B, H, W, 4)`. Its layers have the names of Flax."""
    keras.config.set_dtype_policy("mixed_bfloat16" if config.dtype == "bfloat16" else "float32")

    def conv(x: Any, features: int, name: str, kernel: int = 3, stride: int = 1) -> Any:
        return layers.Conv2D(features, kernel, stride, padding="same", name=name)(x)

    def norm_act(x: Any, name: str) -> Any:
        if config.norm == "instance":
            x = layers.GroupNormalization(groups=-1, epsilon=1e-5, name=f"{name}_norm")(x)
        return layers.LeakyReLU(negative_slope=LEAKY_SLOPE)(x)

    def block(x: Any, features: int, name: str, kernel: int = 3, stride: int = 1) -> Any:
        return norm_act(conv(x, features, name, kernel, stride), name)

    def drop(x: Any) -> Any:
        return layers.Dropout(config.dropout)(x) if config.dropout else x

    def context(x: Any, name: str) -> Any:
        features, first, second = x.shape[-1], f"{name}_conv1", f"{name}_conv2"
        if config.pre_activation:
            y = drop(conv(norm_act(x, first), features, first))
            y = conv(norm_act(y, second), features, second)
        else:
            y = block(drop(block(x, features, first)), features, second)
        return layers.Add()([x, y])

    def upsample(x: Any) -> Any:
        return layers.UpSampling2D(2)(x)

    def segmentation(x: Any, name: str) -> Any:
        if config.segmentation == "1x1":
            return conv(x, classes.COUNT, name, kernel=1)
        return layers.LeakyReLU(negative_slope=LEAKY_SLOPE)(conv(x, classes.COUNT, name))

    image = keras.Input((*size, channels))
    crop = config.crop or size
    around = [((whole - part) // 2, -((part - whole) // 2)) for whole, part in zip(size, crop, strict=True)]
    widths = [config.stem * 2**level for level in range(config.levels)]
    x, skips, total = layers.Cropping2D(around)(image) if config.crop else image, [], None
    for level, width in enumerate(widths):
        x = block(x, width, f"encoder{level}_conv", stride=1 if level == 0 else 2)
        x = context(x, f"encoder{level}_context")
        skips.append(x)
    for level in reversed(range(config.levels - 1)):
        width = widths[level]
        x = layers.Concatenate()([conv(upsample(x), width, f"decoder{level}_up"), skips[level]])
        if level > 0:
            x = block(x, width, f"decoder{level}_localisation1")
            x = block(x, width, f"decoder{level}_localisation2", kernel=1)
        else:
            x = block(x, 2 * width, "decoder0_conv")
        if level < config.levels - 2:
            scores = segmentation(x, f"decoder{level}_segmentation")
            total = scores if total is None else layers.Add()([upsample(total), scores])
    logits = layers.Activation("linear", dtype="float32")(conv(total, classes.COUNT, "logits", kernel=1))
    if config.crop:
        pads = [(0, 0), *around, (0, 0)]
        background, others = keras.ops.pad(logits[..., :1], pads), logits[..., 1:]
        others = keras.ops.pad(others, pads, constant_values=-BACKGROUND_LOGIT)
        logits = keras.ops.concatenate([background, others], -1)
    return keras.Model(image, logits)


def loss(logits: tf.Tensor, label: tf.Tensor, cross_entropy: float) -> tuple[tf.Tensor, ...]:
    """The loss of each slice `(B,)`, and its soft sums `(B, 4)`: intersection, predicted, true."""
    log_probability = tf.nn.log_softmax(logits)
    probability = tf.exp(log_probability)
    truth = tf.one_hot(label, classes.COUNT)
    pixels = (1, 2)
    sums = [tf.reduce_sum(x, pixels) for x in (probability * truth, probability, truth)]
    losses = 1 - tf.reduce_mean(2 * sums[0] / (sums[1] + sums[2] + EPSILON), -1)
    if cross_entropy:
        losses -= cross_entropy * tf.reduce_mean(tf.reduce_sum(log_probability * truth, -1), pixels)
    return losses, *sums


def confusion(prediction: tf.Tensor, label: tf.Tensor) -> tf.Tensor:
    """Pixels of each slice by true class (row) and predicted class (column), `(B, 4, 4)`."""
    kinds = classes.COUNT**2
    pairs = tf.reshape(tf.cast(label, tf.int32) * classes.COUNT + prediction, (len(label), -1))
    return tf.reshape(tf.math.bincount(pairs, None, kinds, kinds, axis=-1), (-1, classes.COUNT, classes.COUNT))


def build(settings: Config, parameters: Arrays, exact: bool = False) -> Program:
    """The network for slices of the size of the first batch."""
    tf.config.experimental.enable_tensor_float_32_execution(not exact)
    optim = settings.optim
    held: dict[str, Any] = {}

    def prepare(size: tuple[int, int]) -> None:
        model = network(settings.model, size, settings.data.channels)
        for path, value in parameters.items():
            layer, name = path.split("/")
            variable = {"kernel": "kernel", "bias": "bias", "scale": "gamma"}[name]
            if layer.endswith("_norm") and name == "bias":
                variable = "beta"
            getattr(model.get_layer(layer), variable).assign(value)
        adam = keras.optimizers.Adam(optim.learning_rate, epsilon=1e-8, weight_decay=optim.weight_decay or None)
        adam.build(model.trainable_variables)

        @tf.function
        def train(image: tf.Tensor, label: tf.Tensor) -> tf.Tensor:
            with tf.GradientTape() as tape:
                losses = loss(model(image, training=True), label, optim.cross_entropy)[0]
                value = tf.reduce_mean(losses)
            adam.apply(tape.gradient(value, model.trainable_variables), model.trainable_variables)
            return value

        @tf.function
        def evaluate(image: tf.Tensor, label: tf.Tensor) -> tuple[tf.Tensor, ...]:
            logits = model(image, training=False)
            prediction = tf.argmax(logits, -1, tf.int32)
            losses = loss(logits, label, optim.cross_entropy)
            return *losses, tf.cast(prediction, tf.uint8), confusion(prediction, label)

        held.update(model=model, train=train, evaluate=evaluate)

    def put(batch: Arrays) -> tuple[tf.Tensor, tf.Tensor]:
        if not held:
            prepare(batch["label"].shape[1:])
        return tf.constant(batch["image"]), tf.constant(batch["label"])

    return Program(
        put=put,
        outputs=lambda batch: (held["model"](batch[0], training=False).numpy(), held["evaluate"](*batch)[-1].numpy()),
        train=lambda batch: held["train"](*batch),
        evaluate=lambda batch: held["evaluate"](*batch),
        wait=lambda result: tf.nest.map_structure(lambda x: x.numpy(), result),
        device_bytes=lambda: None,  # TensorFlow takes the whole memory of a GPU at once
        device="gpu" if tf.config.list_physical_devices("GPU") else "cpu",
        versions={"tensorflow": tf.__version__, "keras": keras.__version__},
    )
