"""The Dynamic Coordinate Classifier as arrays, for programs that decode the outputs of the cut ``raw``."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from rtmo_plugin.errors import ExportError
from rtmo_plugin.export.checks.tolerance import FLOAT32
from rtmo_plugin.export.folding import fold
from rtmo_plugin.models.heads.uncertainty import compute_deviations
from rtmo_plugin.models.losses.coordinates import MIN_SIGMA
from rtmo_plugin.runtime.coordinate_decoder import CoordinateDecoder, CoordinateParameters

_NUM_PEOPLE = 20


def collect_parameters(model: Any) -> CoordinateParameters:
    """Return the weights of a model's classifier, norms folded, and compare NumPy's keypoints with PyTorch's.

    Raises:
        ExportError: NumPy locates other keypoints than PyTorch.
    """
    dcc: Any = fold(model.head.dcc)
    tensors = {name: torch.as_tensor(value).detach() for name, value in _read(dcc).items()}
    tensors = {name: each.float() if each.is_floating_point() else each for name, each in tensors.items()}
    parameters = CoordinateParameters(**{name: each.numpy() for name, each in tensors.items()})
    _check(dcc, parameters)
    return parameters


def _read(dcc: Any) -> dict[str, Any]:
    linear, nothing = dcc.pose_to_kpts[0], torch.zeros(0)
    sigma_linear, _, sigma_scale = dcc.sigma_fc
    values: dict[str, Any] = {
        "pose_weight": linear.weight,
        "pose_bias": linear.bias,
        "projection_x": dcc.x_fc.weight,
        "projection_y": dcc.y_fc.weight,
        "encoding_x": getattr(dcc, "x_encodings", nothing),
        "encoding_y": getattr(dcc, "y_encodings", nothing),
        "num_bins": dcc.num_bins,
        "temperature": dcc.temperature,
        "box_padding": dcc.box_padding,
        "covers_image": dcc.bin_layout == "image",
        "sigma_weight": sigma_linear.weight,
        "sigma_bias": sigma_linear.bias,
        "sigma_limits": np.array([MIN_SIGMA, float(sigma_scale.scale)]),
    }
    return {**values, **_read_attention(dcc)}


def _read_attention(dcc: Any) -> dict[str, Tensor]:
    names = ("norm_gain", "uv_weight", "scale", "offset", "out_weight", "residual")
    if not dcc.has_attention:
        return dict.fromkeys(names, torch.zeros(0))
    gau = dcc.gau
    offset = gau.beta[:, None] + dcc.pos_enc
    tensors = (gau.ln.g, gau.uv.weight, gau.gamma, offset, gau.o.weight, gau.res_scale.scale)
    return dict(zip(names, tensors))


@torch.no_grad()
def _check(dcc: nn.Module, parameters: CoordinateParameters) -> None:
    """Compare NumPy's keypoints and standard deviations with PyTorch's, for people of all sizes and random poses."""
    generator = torch.Generator().manual_seed(0)
    poses = torch.randn(_NUM_PEOPLE, parameters.pose_weight.shape[1], generator=generator)
    centers = torch.rand(_NUM_PEOPLE, 2, generator=generator) * 640
    halves = torch.rand(_NUM_PEOPLE, 2, generator=generator) * torch.linspace(10, 300, _NUM_PEOPLE)[:, None]
    boxes = torch.cat([centers - halves, centers + halves], dim=-1)
    located = dcc(poses, boxes, centers, (640, 640))
    expected = {"keypoints": located.keypoints, "deviations": compute_deviations(located, boxes)}
    decode = CoordinateDecoder(parameters).locate_with_deviations
    got = decode(poses.numpy(), boxes.numpy(), centers.numpy(), (640, 640))
    for found, (name, values) in zip(got, expected.items()):
        error = float(np.abs(found - values.numpy()).max())
        if not error <= FLOAT32.keypoint:
            raise ExportError(f"The parameters of the classifier give {name} that are {error:.3g} pixels off.")
