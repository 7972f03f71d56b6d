"""What both necks are tested with: feature maps, and one module against another."""

from __future__ import annotations

import torch
from torch import Tensor, nn

LIMITS = {torch.float64: 1e-9, torch.float32: 1e-4}


def make_features(
    in_channels, size_hw=(64, 96), num_images=2, dtype=torch.float32, seed=0, memory_format=torch.contiguous_format
) -> list[Tensor]:
    """Return P3, P4, P5 of random images of a size."""
    generator = torch.Generator().manual_seed(seed)
    height, width = size_hw
    return [
        torch.randn(num_images, channels, height // stride, width // stride, generator=generator, dtype=torch.float64)
        .to(dtype)
        .to(memory_format=memory_format)
        for channels, stride in zip(in_channels, (8, 16, 32))
    ]


def assert_close(actual: Tensor, expected: Tensor, limit: float, name: str = "", floor: float = 1e-12) -> None:
    """Compare, relative to the largest number of the tensor or to ``floor``."""
    assert actual.shape == expected.shape, name
    error = (actual - expected).abs().max() / expected.abs().max().clamp(min=floor)
    assert error <= limit, f"{name}: relative error {error:.2e}"


def run_with_gradients(neck: nn.Module, features: list[Tensor]) -> dict[str, Tensor]:
    """Return outputs, gradients of inputs and of every parameter, and running statistics, by name."""
    inputs = [feature.clone().requires_grad_() for feature in features]
    outputs = neck(inputs)
    # weights that differ everywhere: a plain sum would have a gradient of 0 through a norm
    loss = sum((output * make_weights(output)).sum() for output in outputs)
    names, parameters = zip(*neck.named_parameters())
    gradients = torch.autograd.grad(loss, [*inputs, *parameters])
    labels = [f"gradient of {name}" for name in [*(f"input {i}" for i in range(len(inputs))), *names]]
    statistics = {name: tensor for name, tensor in neck.state_dict().items() if "running" in name}
    return {**{f"output {i}": out for i, out in enumerate(outputs)}, **dict(zip(labels, gradients)), **statistics}


def make_weights(output: Tensor) -> Tensor:
    return torch.randn(output.shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64).to(output.dtype)


def assert_same_numbers(ours: nn.Module, theirs: nn.Module, features: list[Tensor]) -> None:
    """Compare outputs, all gradients and the statistics that training updates."""
    expected = run_with_gradients(theirs, features)
    actual = run_with_gradients(ours, features)
    assert actual.keys() == expected.keys()
    # In training a norm undoes every bias before it, whose gradient is then rounding error alone.
    floor = 1e-2 * max(tensor.abs().max().item() for name, tensor in expected.items() if "gradient" in name)
    for name, tensor in expected.items():
        assert_close(actual[name], tensor, LIMITS[features[0].dtype], name, floor if "gradient" in name else 1e-12)
