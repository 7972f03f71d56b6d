"""MMPose 1.3.2's own RTMO as the oracle, our model with the same weights, and random batches for both."""

from __future__ import annotations

import copy
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmengine.structures import InstanceData, PixelData
from torch import nn

from rtmo_plugin import workarounds

workarounds.apply()

import mmpose  # noqa: E402
from mmpose.registry import MODELS  # noqa: E402
from mmpose.structures import PoseDataSample  # noqa: E402

OFFICIAL_CONFIGS = Path(mmpose.__file__).parent / ".mim/configs/body_2d_keypoint/rtmo"
OUR_CONFIGS = Path(__file__).parents[1] / "configs"

# our leaf -> MMPose's config
RECIPES = {
    "rtmo-s_coco": "coco/rtmo-s_8xb32-600e_coco-640x640",
    "rtmo-m_coco": "coco/rtmo-m_16xb16-600e_coco-640x640",
    "rtmo-l_coco": "coco/rtmo-l_16xb16-600e_coco-640x640",
    "rtmo-s_crowdpose": "crowdpose/rtmo-s_8xb32-700e_crowdpose-640x640",
    "rtmo-t_body7": "body7/rtmo-t_8xb32-600e_body7-416x416",
}
STAGES = ("warmup", "refine", "finish")
# Biases that change nothing: of DCC's bin encodings (ours are frozen), and before a normalization that
# takes the mean away again.  Their gradients are rounding errors, which AdamW scales up to whole steps.
IDLE = (
    "head.dcc.x_fc.bias",
    "head.dcc.y_fc.bias",
    "head.dcc.pose_to_kpts.0.bias",
    "neck.input_proj.0.bn.bias",
    "neck.input_proj.1.bn.bias",
    "neck.encoder.0.layers.0.norms.1.bias",
)


@cache
def _parse_config(path: Path) -> Config:
    return Config.fromfile(path)


def read_config(path: Path) -> Config:
    """Return the config of a file that no test changes; its parts are read once, which takes half a second."""
    return copy.deepcopy(_parse_config(path))


def load_official(recipe: str) -> Config:
    """Return MMPose's own config of one of our recipes."""
    return read_config(OFFICIAL_CONFIGS / f"{RECIPES[recipe]}.py")


def load_ours(recipe: str) -> Config:
    """Return our config of the name."""
    return read_config(OUR_CONFIGS / f"{recipe}.py")


def build_model(config: Config) -> nn.Module:
    """Build the estimator of a config with random weights, without a download or a random resize."""
    init_default_scope("mmpose")
    model = config.model.copy()
    model.backbone = {**model.backbone, "init_cfg": None}
    model.data_preprocessor = {**model.data_preprocessor, "batch_augments": None}
    built = MODELS.build(model)
    built.init_weights()
    return built


def randomize(module: nn.Module, seed: int) -> None:
    """Give BatchNorm layers statistics, and all one-dimensional parameters values, that are not neutral."""
    generator = torch.Generator().manual_seed(seed)
    for name, tensor in module.state_dict().items():
        noise = torch.randn(tensor.shape, generator=generator) if tensor.is_floating_point() else None
        if name.endswith("running_var"):
            tensor.copy_(noise.abs() * 0.5 + 0.75)
        elif name.endswith("running_mean"):
            tensor.copy_(noise * 0.1)
        elif noise is not None and tensor.ndim == 1 and "dim_t" not in name and "bins" not in name:
            tensor.add_(noise.to(tensor.dtype) * 0.05 if "sigmas" not in name else 0)


def build_pair(recipe: str, seed: int = 0, same_backbone: bool = False) -> tuple[nn.Module, nn.Module]:
    """Return MMPose's model and ours with equal weights, and with backbones equal to the last bit if asked to."""
    theirs, ours = _build_pair(recipe, seed, same_backbone)
    return copy.deepcopy(theirs), copy.deepcopy(ours)


@lru_cache(maxsize=2)  # the tests of a recipe follow each other
def _build_pair(recipe: str, seed: int, same_backbone: bool) -> tuple[nn.Module, nn.Module]:
    torch.manual_seed(seed)
    official, config = load_official(recipe), load_ours(recipe)
    if same_backbone:
        official.model.backbone.act_cfg = config.model.backbone.act_cfg
    theirs, ours = build_model(official), build_model(config)
    randomize(theirs, seed)
    ours.load_state_dict(theirs.state_dict(), strict=True)
    return theirs, ours


def spread_scores(head: nn.Module, std: float = 0.2) -> None:
    """Let class scores differ from cell to cell; untrained ones are all 1 %."""
    for conv in head.head_module.out_cls:
        nn.init.normal_(conv.weight, std=std)
        nn.init.constant_(conv.bias, -1.0)


def to_float64(model: nn.Module) -> nn.Module:
    """Convert a model, and recompute what MMPose's keeps as float32 numbers."""
    model.double()
    numbers = torch.arange(64, dtype=torch.float64) / 64
    if hasattr(model.head.dcc, "spe"):
        model.head.dcc.x_bins = torch.linspace(-0.5, 0.5, 192, dtype=torch.float64)
        model.head.dcc.y_bins = torch.linspace(-0.5, 0.5, 256, dtype=torch.float64)
        model.head.dcc.spe.dim_t = 300**numbers
        model.neck.sincos_pos_enc.dim_t = 10000**numbers
    return model


def enter_stage(theirs: nn.Module, ours: nn.Module, stage: str, official: Config) -> None:
    """Put both heads into a training stage, MMPose's by what its hooks would set at that epoch."""
    ours.enter_stage(stage)
    if stage != "warmup":
        hook = next(h for h in official.custom_hooks if h.type == "RTMOModeSwitchHook")
        (attributes,) = hook.epoch_attributes.values()
        for path, value in attributes.items():
            *parents, name = path.split(".")
            target = theirs
            for parent in parents:
                target = getattr(target, parent)
            setattr(target, name, value)
    theirs.use_aux_loss = stage == "finish"


def make_samples(
    counts: list[int],
    num_keypoints: int = 17,
    size_wh: tuple[int, int] = (256, 192),
    seed: int = 0,
    with_mask: bool = False,
    dtype: torch.dtype = torch.float32,
) -> list[PoseDataSample]:
    """Return a data sample an image with that many random people in it."""
    generator = torch.Generator().manual_seed(seed)
    limit = torch.tensor(size_wh, dtype=dtype)

    def rand(*shape: int) -> torch.Tensor:
        return torch.rand(*shape, generator=generator, dtype=torch.float64).to(dtype)

    samples = []
    for index, count in enumerate(counts):
        sizes = (0.15 + 0.6 * rand(count, 2)) * limit
        corner = rand(count, 2) * (limit - sizes)
        # some people curled up, so that untrained proxy poses reach a similarity that counts
        spread = rand(count, 1, 1)
        keypoints = (corner + sizes / 2)[:, None] + (rand(count, num_keypoints, 2) - 0.5) * sizes[:, None] * spread
        visible = (rand(count, num_keypoints) > 0.3).to(dtype)
        labels = InstanceData(
            bboxes=torch.cat([corner, corner + sizes], dim=-1),
            labels=torch.zeros(count, dtype=torch.int8),
            keypoints=keypoints,
            keypoints_visible=visible,
            keypoints_visible_weights=(rand(count, num_keypoints) > 0.1).to(dtype),
            areas=sizes.prod(dim=-1) * 0.6,
        )
        sample = PoseDataSample(gt_instance_labels=labels, metainfo=make_metainfo(size_wh, index))
        if with_mask:
            mask = torch.zeros(1, size_wh[1], size_wh[0])
            mask[:, : size_wh[1] // 2, size_wh[0] // 2 :] = 1
            sample.gt_fields = PixelData(heatmap_mask=mask)
        samples.append(sample)
    return samples


def make_metainfo(size_wh: tuple[int, int], index: int = 0) -> dict[str, Any]:
    """Return what MMPose's pipeline says of an image that already has the network's size."""
    width, height = size_wh
    return {
        "img_path": f"image{index}.jpg",
        "img_shape": (height, width),
        "pad_shape": (height, width),
        "input_size": (width, height),
        "input_center": np.array([width / 2, height / 2]),
        "input_scale": np.array([width, height], dtype=np.float64),
    }


def assert_relative(got: torch.Tensor, expected: torch.Tensor, limit: float, name: str) -> None:
    """Compare the norm of the difference with the norm of what is expected."""
    error = float((got - expected).norm() / expected.norm())
    assert error <= limit, f"{name}: relative error {error:.1e}, allowed {limit:.1e}"
