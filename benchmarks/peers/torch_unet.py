"""The Improved U-Net of `oasis_jax.network.unet` in PyTorch, channels last, with its loss and Adam.

On a GPU, float32 means TF32 products, as in JAX; bfloat16 is autocast with float32 parameters.
"""

from collections.abc import Callable
from typing import Any

import torch  # pyright: ignore[reportMissingImports]  # optional
import torch.nn.functional as F  # pyright: ignore[reportMissingImports]  # optional

from oasis_jax import classes
from oasis_jax.config import Config, Model
from peers import BACKGROUND_LOGIT, EPSILON, LEAKY_SLOPE, Arrays, Program

Tensors = dict[str, torch.Tensor]
LAST = torch.channels_last


def network(config: Model) -> Callable[[Tensors, torch.Tensor, bool], torch.Tensor]:
    """`forward(weights, image, dropping)`: float32 logits `(B, 4, H, W)` of images `(B, C, H, W)`."""

    def whole(weights: Tensors, image: torch.Tensor, dropping: bool) -> torch.Tensor:
        def conv(x: torch.Tensor, name: str, stride: int = 1) -> torch.Tensor:
            kernel, bias = weights[f"{name}/kernel"], weights[f"{name}/bias"]
            if stride == 2:  # "SAME" of JAX and TensorFlow pads even sides only below and on the right
                return F.conv2d(F.pad(x, (0, 1, 0, 1)), kernel, bias, stride)
            return F.conv2d(x, kernel, bias, padding=kernel.shape[-1] // 2)

        def norm_act(x: torch.Tensor, name: str) -> torch.Tensor:
            if config.norm == "instance":
                x = instance_norm(x, weights[f"{name}_norm/scale"], weights[f"{name}_norm/bias"])
            return F.leaky_relu(x, LEAKY_SLOPE)

        def block(x: torch.Tensor, name: str, stride: int = 1) -> torch.Tensor:
            return norm_act(conv(x, name, stride), name)

        def context(x: torch.Tensor, name: str) -> torch.Tensor:
            first, second = f"{name}_conv1", f"{name}_conv2"
            if config.pre_activation:
                y = F.dropout(conv(norm_act(x, first), first), config.dropout, dropping)
                return x + conv(norm_act(y, second), second)
            return x + block(F.dropout(block(x, first), config.dropout, dropping), second)

        def segmentation(x: torch.Tensor, name: str) -> torch.Tensor:
            y = conv(x, name)
            return y if config.segmentation == "1x1" else F.leaky_relu(y, LEAKY_SLOPE)

        x, skips = image, []
        for level in range(config.levels):
            x = context(block(x, f"encoder{level}_conv", stride=1 if level == 0 else 2), f"encoder{level}_context")
            skips.append(x)
        total = None
        for level in reversed(range(config.levels - 1)):
            x = torch.cat([conv(upsample(x), f"decoder{level}_up"), skips[level]], 1)
            if level > 0:
                x = block(block(x, f"decoder{level}_localisation1"), f"decoder{level}_localisation2")
            else:
                x = block(x, "decoder0_conv")
            if level < config.levels - 2:
                scores = segmentation(x, f"decoder{level}_segmentation")
                total = scores if total is None else upsample(total) + scores
        assert total is not None
        return conv(total, "logits").float()

    def forward(weights: Tensors, image: torch.Tensor, dropping: bool) -> torch.Tensor:
        with torch.autocast(image.device.type, torch.bfloat16, enabled=config.dtype == "bfloat16"):
            if config.crop is None:
                return whole(weights, image, dropping)
            (rows, columns), (height, width) = image.shape[2:], config.crop
            top, left = (rows - height) // 2, (columns - width) // 2
            logits = whole(weights, image[:, :, top : top + height, left : left + width], dropping)
        around = (left, columns - width - left, top, rows - height - top)
        return torch.cat([F.pad(logits[:, :1], around), F.pad(logits[:, 1:], around, value=-BACKGROUND_LOGIT)], 1)

    return forward


def upsample(x: torch.Tensor) -> torch.Tensor:
    return F.interpolate(x, scale_factor=2, mode="nearest")


def instance_norm(x: torch.Tensor, scale: torch.Tensor, bias: torch.Tensor) -> torch.Tensor:
    """Group normalisation with groups of one channel: faster on a CPU than the instance normalisation of PyTorch."""
    if x.is_cuda:
        return F.group_norm(x, x.shape[1], scale, bias, 1e-5)
    # The CPU kernel for channels last is six times less accurate, and not faster than the other one with two copies.
    return F.group_norm(x.contiguous(), x.shape[1], scale, bias, 1e-5).contiguous(memory_format=LAST)


def loss(logits: torch.Tensor, label: torch.Tensor, cross_entropy: float) -> tuple[torch.Tensor, ...]:
    """The loss of each slice `(B,)`, and its soft sums `(B, 4)`: intersection, predicted, true."""
    log_probability = logits.log_softmax(1)
    probability = log_probability.exp()
    truth = F.one_hot(label, classes.COUNT).movedim(-1, 1)
    sums = (probability * truth).sum((2, 3)), probability.sum((2, 3)), truth.sum((2, 3)).float()
    losses = 1 - (2 * sums[0] / (sums[1] + sums[2] + EPSILON)).mean(1)
    if cross_entropy:
        losses = losses + cross_entropy * F.nll_loss(log_probability, label, reduction="none").mean((1, 2))
    return losses, *sums


def confusion(prediction: torch.Tensor, label: torch.Tensor) -> torch.Tensor:
    """Pixels of each slice by true class (row) and predicted class (column), `(B, 4, 4)`."""
    pairs = (label * classes.COUNT + prediction).flatten(1)
    counts = [(pairs == kind).sum(1) for kind in range(classes.COUNT**2)]  # `bincount` waits for the device
    return torch.stack(counts, 1).view(-1, classes.COUNT, classes.COUNT)


def build(settings: Config, parameters: Arrays, exact: bool = False, compiled: bool = False) -> Program:
    """The network on the GPU if there is one, else on the CPU. With `compiled`, `torch.compile` compiles it."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    torch.set_float32_matmul_precision("highest" if exact else "high")
    torch.backends.cudnn.allow_tf32 = not exact
    torch.backends.cudnn.benchmark = not exact  # it may choose kernels that are faster and less exact
    weights = {name: _parameter(torch.tensor(value), device) for name, value in parameters.items()}
    forward, optim = network(settings.model), settings.optim
    adam = torch.optim.AdamW(weights.values(), optim.learning_rate, weight_decay=optim.weight_decay, fused=True)

    def mean_loss(image: torch.Tensor, label: torch.Tensor) -> torch.Tensor:
        return loss(forward(weights, image, True), label.long(), optim.cross_entropy)[0].mean()

    def score(image: torch.Tensor, label: torch.Tensor) -> tuple[torch.Tensor, ...]:
        logits = forward(weights, image, False)
        prediction = logits.argmax(1)
        return (
            *loss(logits, label.long(), optim.cross_entropy),
            prediction.to(torch.uint8),
            confusion(prediction, label),
        )

    if compiled:
        mean_loss, score, forward = torch.compile(mean_loss), torch.compile(score), torch.compile(forward)

    def train(batch: tuple[torch.Tensor, torch.Tensor]) -> torch.Tensor:
        adam.zero_grad()
        value = mean_loss(*batch)
        value.backward()
        adam.step()
        return value.detach()

    def evaluate(batch: tuple[torch.Tensor, torch.Tensor]) -> tuple[torch.Tensor, ...]:
        with torch.no_grad():
            return score(*batch)

    def outputs(batch: tuple[torch.Tensor, torch.Tensor]) -> Any:
        with torch.no_grad():
            logits = forward(weights, batch[0], False).movedim(1, -1)
            return logits.cpu().numpy(), evaluate(batch)[-1].cpu().numpy()

    def put(batch: Arrays) -> tuple[torch.Tensor, torch.Tensor]:
        image = torch.tensor(batch["image"]).movedim(-1, 1).to(device, memory_format=LAST)
        return image, torch.tensor(batch["label"]).to(device)

    return Program(
        put=put,
        outputs=outputs,
        train=train,
        evaluate=evaluate,
        wait=lambda result: torch.cuda.synchronize() if device == "cuda" else None,
        device_bytes=lambda: torch.cuda.max_memory_allocated() if device == "cuda" else None,
        device="gpu" if device == "cuda" else "cpu",
        versions={"torch": torch.__version__},
    )


def _parameter(value: torch.Tensor, device: str) -> torch.Tensor:
    if value.ndim == 4:  # rows, columns, in, out -> out, in, rows, columns
        value = value.permute(3, 2, 0, 1).contiguous(memory_format=LAST)
    return value.to(device).requires_grad_()
