"""The modules that are written into files: an image in, arrays out, composed of the model's own parts.

    input ─ normalize ─ backbone ─ neck ─ head's convolutions ─┬─ raw maps                     cut "raw"
                                                               └─ decode ─┬─ top-k ─ DCC       cut "decoded", "fused"
                                                                          └─ NMS ─ DCC         cut "end2end"

Shape letters as in ``rtmo_plugin.structures``; coordinates are pixels of the network's input.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from rtmo_plugin.errors import ConfigError
from rtmo_plugin.export.export_options import ExportOptions
from rtmo_plugin.export.folding import fix_size, fold
from rtmo_plugin.export.nms_graph import select_rows
from rtmo_plugin.models.heads.dense import decode_dense
from rtmo_plugin.models.heads.rtmo_head import find_size_wh
from rtmo_plugin.models.heads.rtmo_head_module import RawMaps
from rtmo_plugin.models.heads.uncertainty import compute_deviations
from rtmo_plugin.models.layers.encoder import SelfAttention
from rtmo_plugin.runtime.model_info import FUSED_OUTPUT, UNCERTAINTY
from rtmo_plugin.structures import DensePredictions

_FUSED_ATTENTION = 14  # the first opset of ONNX that PyTorch writes it in
RAW_OUTPUTS = ("class_logits", "box_deltas", "visibility_logits", "pose_vectors")


class ImageInput(nn.Module):
    """What the model's preprocessor does to an image, for either kind of input."""

    mean: Tensor
    std: Tensor

    def __init__(self, preprocessor: Any, kind: str) -> None:
        super().__init__()
        self.is_uint8 = kind == "uint8"
        self.swaps_channels = bool(getattr(preprocessor, "_channel_conversion", False))
        mean, std = (getattr(preprocessor, name, None) for name in ("mean", "std"))
        self.register_buffer("mean", torch.zeros(3, 1, 1) if mean is None else mean.float(), persistent=False)
        self.register_buffer("std", torch.ones(3, 1, 1) if std is None else std.float(), persistent=False)
        self.normalizes = bool(self.mean.any() or (self.std != 1).any())

    def forward(self, image: Tensor) -> Tensor:
        """Map (B, H, W, 3) uint8 or (B, 3, H, W) float32 BGR to the (B, 3, H, W) that the backbone takes."""
        if self.is_uint8:
            image = image.permute(0, 3, 1, 2).float()
        if self.swaps_channels:
            image = image.flip(1)
        return (image - self.mean) / self.std if self.normalizes else image


def _check_half_precision() -> None:
    """Raise if this PyTorch cannot trace a model in float16 on a CPU.

    Raises:
        ConfigError: It cannot, as those before 2.3.
    """
    try:
        nn.functional.conv2d(torch.zeros(1, 1, 1, 1, dtype=torch.half), torch.zeros(1, 1, 1, 1, dtype=torch.half))
    except RuntimeError as error:
        raise ConfigError(
            f"PyTorch {torch.__version__} cannot compute in float16 on CPUs, which --half needs: install a newer one."
        ) from error


class RawGraph(nn.Module):
    """An image to the head's maps, level by level."""

    def __init__(self, model: nn.Module, options: ExportOptions) -> None:
        super().__init__()
        folded: Any = fold(model)
        self.image_input = ImageInput(folded.data_preprocessor, options.input)
        is_fixed = "size" not in options.dynamic
        self.backbone = folded.backbone
        self.neck = fix_size(folded.neck, options.size_wh) if is_fixed else folded.neck
        for module in self.neck.modules():
            if isinstance(module, SelfAttention):
                module.is_fused = options.opset >= _FUSED_ATTENTION
        self.head = folded.head
        self.dtype = torch.float32
        if options.half:
            _check_half_precision()
            self.set_precision(torch.float16)
        self.output_names = [f"{name}_{stride}" for stride in self.head.strides for name in RAW_OUTPUTS]

    def set_precision(self, dtype: torch.dtype) -> None:
        """Let convolutions and attention compute in a type; input, outputs and geometry stay float32."""
        self.dtype = dtype
        for part in (self.backbone, self.neck, self.head.head_module):
            part.to(dtype)

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        """Map an image to ``output_names``, each (B, C, H / stride, W / stride)."""
        levels = zip(*self.compute_maps(image)[: len(RAW_OUTPUTS)])
        return tuple(each for level in levels for each in level)

    def compute_maps(self, image: Tensor) -> RawMaps:
        """Return the head's maps in float32."""
        image = self.image_input(image)
        image = image if self.dtype == torch.float32 else image.to(self.dtype)
        maps: RawMaps = self.head(self.neck(self.backbone(image)))
        return RawMaps(*([each.float() for each in levels] for levels in maps))


def _rank(scores: Tensor, top_k: int) -> Tensor:
    """Return the priors of the best of (B, P) scores, at most P."""
    return scores.topk(min(top_k, scores.size(1)), dim=1)[1]


# A tracer alone would make the minimum a constant.
_rank_priors: Callable[..., Tensor] = torch.jit.script_if_tracing(_rank)  # type: ignore[no-untyped-call]


class DecodedGraph(RawGraph):
    """An image to its best priors, as boxes, scores and keypoints; duplicates stay."""

    def __init__(self, model: nn.Module, options: ExportOptions) -> None:
        super().__init__(model, options)
        self.has_uncertainty = options.uncertainty
        self.output_names = ["dets", "labels", "keypoints", *([UNCERTAINTY] if options.uncertainty else [])]
        width, height = options.size_wh
        num_priors = sum((width // s) * (height // s) for s in self.head.strides)
        self.is_fixed = "size" not in options.dynamic
        self.top_k = min(options.top_k, num_priors) if self.is_fixed else options.top_k

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        """Map an image to (B, N, 5) boxes and scores, (B, N) labels and (B, N, K, 3) keypoints and scores.

        N is ``top_k``, or as many as there are priors in the input; best first.  (B, N, K, 2) standard deviations
        of the keypoints follow if they were asked for.
        """
        predictions, size_wh = self.predict_densely(image)
        scores, labels = predictions.class_logits.sigmoid().max(dim=-1)
        priors = scores.topk(self.top_k, dim=1)[1] if self.is_fixed else _rank_priors(scores, self.top_k)
        best = scores.gather(1, priors)
        dets, *keypoints = self.describe(predictions, best, priors, size_wh)
        return dets, labels.gather(1, priors), *keypoints

    def predict_densely(self, image: Tensor) -> tuple[DensePredictions, tuple[int, int]]:
        """Return predictions at all priors, and the width and height of the input."""
        maps = self.compute_maps(image)
        strides = self.head.strides
        return decode_dense(maps, strides), find_size_wh(maps.class_logits, strides)

    def describe(
        self, predictions: DensePredictions, scores: Tensor, priors: Tensor, size_wh: tuple[int, int]
    ) -> tuple[Tensor, ...]:
        """Return boxes with scores (B, N, 5), keypoints with scores (B, N, K, 3), and deviations, of (B, N) priors."""
        boxes, poses, visibility = (
            # Nothing here depends on the batch size that a tracer sees.
            each.gather(1, priors[..., None].expand(-1, -1, each.shape[-1])).flatten(0, 1)
            for each in (predictions.boxes, predictions.pose_vectors, predictions.visibility_logits)
        )
        centers = predictions.priors.centers.index_select(0, priors.flatten())
        located = self.head.dcc(poses, boxes, centers, size_wh)
        keypoints = torch.cat([located.keypoints, visibility.sigmoid()[..., None]], dim=-1)
        dets = torch.cat([boxes, scores.reshape(-1, 1)], dim=-1)
        num_rows, num_keypoints = priors.shape[1], self.head.dcc.num_keypoints
        people = [dets.reshape(-1, num_rows, 5), keypoints.reshape(-1, num_rows, num_keypoints, 3)]
        if self.has_uncertainty:
            people.append(compute_deviations(located, boxes).reshape(-1, num_rows, num_keypoints, 2))
        return tuple(people)


class FusedGraph(DecodedGraph):
    """An image to its best priors in one array, in the order that DeepStream-Yolo-Pose's parser reads."""

    def __init__(self, model: nn.Module, options: ExportOptions) -> None:
        super().__init__(model, options)
        if self.head.num_classes > 1:
            raise ConfigError(
                f"--cut fused has no place for the class of a person, and the model has {self.head.num_classes} "
                "classes: take --cut decoded."
            )
        self.output_names = [FUSED_OUTPUT]

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        """Map an image to (B, N, 5 + 3K): x1, y1, x2, y2, score, and x, y and score of each keypoint."""
        dets, _, keypoints = super().forward(image)  # without deviations
        return (torch.cat([dets, keypoints.flatten(2)], dim=-1),)


class EndToEndGraph(DecodedGraph):
    """An image to its people, with the outputs of MMDeploy's RTMO files, and ``labels`` where there are classes."""

    score_thr: Tensor
    nms_thr: Tensor
    max_people: Tensor

    def __init__(self, model: nn.Module, options: ExportOptions) -> None:
        super().__init__(model, options)
        self.has_classes = self.head.num_classes > 1
        self.output_names = ["dets", "keypoints", *([UNCERTAINTY] if self.has_uncertainty else [])]
        self.output_names += ["labels"] if self.has_classes else []
        # Buffers, so that they have names in the file and can be changed there.
        self.register_buffer("score_thr", torch.tensor([options.score_thr]))
        self.register_buffer("nms_thr", torch.tensor([options.nms_thr]))
        self.register_buffer("max_people", torch.tensor([options.max_people]))

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        """Map an image to (B, N, 5) boxes and scores, (B, N, K, 3) keypoints and scores, and (B, N) labels.

        (B, N, K, 2) standard deviations of the keypoints precede the labels if they were asked for.  N is the
        number of people in the image with the most, at least 1; the others are padded with zeros.  A model of one
        class gives no labels.
        """
        predictions, size_wh = self.predict_densely(image)
        scores = predictions.class_logits.sigmoid().amax(dim=-1)
        best, priors = select_rows(predictions.boxes, scores, self.score_thr, self.nms_thr, self.max_people)
        dets, *keypoints = self.describe(predictions, best, priors, size_wh)
        is_person = (best > 0).to(dets.dtype)
        people = (dets * is_person[..., None], *(each * is_person[..., None, None] for each in keypoints))
        if not self.has_classes:
            return people
        labels = predictions.class_logits.argmax(dim=-1).gather(1, priors)
        return (*people, labels * is_person.to(labels.dtype))


_GRAPHS = {"end2end": EndToEndGraph, "decoded": DecodedGraph, "fused": FusedGraph, "raw": RawGraph}


def build_graph(model: nn.Module, options: ExportOptions) -> RawGraph:
    """Return the module that is written to a file, in eval mode; ``model`` stays as it is.

    Raises:
        ConfigError: The model's keypoints come from its proxy, which is for training and ablation only.
    """
    if getattr(model.head, "coordinates", "dcc") != "dcc":
        raise ConfigError("Files hold the classifier, and the config says coordinates='proxy': this does not export.")
    return _GRAPHS[options.cut](model, options).eval()


def make_example(options: ExportOptions) -> Tensor:
    """Return a gray input of the kind that ``options`` describe, to trace a graph with.

    A dynamic batch has two images, so that a tracer cannot take their number for a constant 1.
    """
    num_images = 2 if "batch" in options.dynamic else 1
    width, height = options.size_wh
    if options.input == "uint8":
        return torch.full((num_images, height, width, 3), 114, dtype=torch.uint8)
    return torch.full((num_images, 3, height, width), 114.0)
