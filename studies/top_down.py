"""MMPose's top-down pipeline in ONNX Runtime: a person detector, then a pose estimator on each box.

Both networks come from MMDetection's and MMPose's own configs with random weights, which suffice to
measure time, and take uint8 images as our files do.
"""

from __future__ import annotations

import inspect
import io
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import mmdet.models  # noqa: F401  (registers the detector)
import numpy as np
import torch
from mmengine.model import revert_sync_batchnorm
from mmengine.registry import MODELS, DefaultScope
from numpy.typing import NDArray
from torch import Tensor, nn

from benchmarks.official import load_mmpose_config
from rtmo_plugin.files import write_file
from rtmo_plugin.ops.arrays import box_nms
from rtmo_plugin.runtime.engines.onnx_runtime import open_session
from rtmo_plugin.runtime.letterbox import apply_letterbox

_OPSET = 17
_NUM_BOXES = 100  # before NMS
_IOU_THR = 0.6
_PADDING = 1.25  # scale of the boxes, as in MMPose's top-down pipelines


class _Normalize(nn.Module):
    """Input of the networks: (N, H, W, 3) uint8 BGR images, normalized."""

    mean: Tensor
    std: Tensor

    def __init__(self, preprocessor: Mapping[str, Any]) -> None:
        super().__init__()
        self.swaps_channels = bool(preprocessor.get("bgr_to_rgb", False))
        for name in ("mean", "std"):
            self.register_buffer(name, torch.tensor(preprocessor[name]).float().reshape(3, 1, 1), persistent=False)

    def forward(self, images: Tensor) -> Tensor:
        values = images.permute(0, 3, 1, 2).float()
        return ((values.flip(1) if self.swaps_channels else values) - self.mean) / self.std


class DetectorGraph(nn.Module):
    """An image to (B, P, 4) boxes and (B, P) scores of one of MMDetection's RTMDet."""

    output_names = ("boxes", "scores")

    def __init__(self, model: Any, preprocessor: Mapping[str, Any]) -> None:
        super().__init__()
        self.normalize, self.model = _Normalize(preprocessor), model
        self.strides = [stride[0] for stride in model.bbox_head.prior_generator.strides]

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Decode all priors."""
        maps = self.model.bbox_head(self.model.neck(self.model.backbone(self.normalize(images))))
        boxes, scores = [], []
        for classes, distances, stride in zip(*maps[:2], self.strides):
            height, width = classes.shape[2:]
            y, x = torch.meshgrid(torch.arange(height) * stride, torch.arange(width) * stride, indexing="ij")
            points = torch.stack([x, y], dim=-1).flatten(0, 1)
            low, high = distances.flatten(2).transpose(1, 2).chunk(2, dim=-1)
            boxes.append(torch.cat([points - low, points + high], dim=-1))
            scores.append(classes.sigmoid().amax(dim=1).flatten(1))
        return torch.cat(boxes, dim=1), torch.cat(scores, dim=1)


class PoseGraph(nn.Module):
    """Crops to the two distributions of an RTMPose."""

    output_names = ("x", "y")

    def __init__(self, model: Any, preprocessor: Mapping[str, Any]) -> None:
        super().__init__()
        self.normalize, self.model = _Normalize(preprocessor), model

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Return (N, K, X) and (N, K, Y)."""
        features = self.model.backbone(self.normalize(images))
        x, y = self.model.head(features)
        return x, y


def write_network(config: str, size_wh: Sequence[int], path: Path) -> None:
    """Write a detector or a pose estimator with random weights as ONNX, for any number of images.

    Args:
        config: Config of MMPose: ``mmpose:FILE``, below the folder of its configs.
        size_wh: Width and height of the input in pixels.
        path: File to write.

    Raises:
        MissingFileError: MMPose was installed without its configs.
    """
    cfg = load_mmpose_config(config.removeprefix("mmpose:"))
    is_detector = "bbox_head" in cfg.model
    cfg.model.backbone.init_cfg = None
    torch.manual_seed(0)
    with DefaultScope.overwrite_default_scope("mmdet" if is_detector else "mmpose"):
        model = revert_sync_batchnorm(MODELS.build(cfg.model)).eval()
    graph = (DetectorGraph if is_detector else PoseGraph)(model, cfg.model.data_preprocessor).eval()
    width, height = size_wh
    buffer = io.BytesIO()
    names = list(graph.output_names)
    old: dict[str, Any] = {"dynamo": False} if "dynamo" in inspect.signature(torch.onnx.export).parameters else {}
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # warnings about the legacy exporter and the fixed size
        torch.onnx.export(
            graph,
            (torch.zeros(2, height, width, 3, dtype=torch.uint8),),
            buffer,  # type: ignore[arg-type]  # its annotation allows file paths only
            opset_version=_OPSET,
            input_names=["images"],
            output_names=names,
            dynamic_axes={name: {0: "batch"} for name in ("images", *names)},
            **old,
        )
    write_file(path, buffer.getvalue())


class TopDownModel:
    """Both networks, from an image in memory to keypoints.

    Args:
        detector: Detector file of ``write_network``.
        pose: Pose estimator file of ``write_network``.
        crops_at_once: Batch size of the pose estimator.
        threads: CPU threads. Default: all cores.
    """

    def __init__(self, detector: Path, pose: Path, crops_at_once: int, threads: int | None = None) -> None:
        self._detector, self._pose = (open_session(path, threads=threads) for path in (detector, pose))
        self._crops_at_once = crops_at_once
        shapes = (session.get_inputs()[0].shape for session in (self._detector, self._pose))
        self._sizes = [(width, height) for _, height, width, _ in shapes]

    def predict(self, image: NDArray[Any], boxes: NDArray[Any]) -> NDArray[Any]:
        """Detect, then estimate the poses in ``boxes``: the detections of random weights are not usable.

        Args:
            image: (H, W, 3) BGR.
            boxes: (N, 4) x1, y1, x2, y2 in its pixels.

        Returns:
            (N, K, 3) x, y and score.
        """
        self.detect(image)
        found: list[NDArray[Any]] = [np.empty((0, 17, 3))]
        for start in range(0, len(boxes), self._crops_at_once):
            found.append(self.estimate(image, boxes[start : start + self._crops_at_once]))
        return np.concatenate(found)

    def detect(self, image: NDArray[Any]) -> NDArray[Any]:
        """Return (M, 4) boxes in pixels of the image."""
        padded, letterbox = apply_letterbox(image, self._sizes[0])
        boxes, scores = self._detector.run(None, {"images": padded[None]})
        best = np.argsort(-scores[0])[:_NUM_BOXES]
        kept = best[box_nms(boxes[0, best], scores[0, best], _IOU_THR)]
        return letterbox.restore(boxes[0, kept].reshape(-1, 2, 2)).reshape(-1, 4)

    def estimate(self, image: NDArray[Any], boxes: NDArray[Any]) -> NDArray[Any]:
        """Return the (N, K, 3) keypoints in some boxes."""
        size = self._sizes[1]
        corners, scales = _fit_boxes(boxes, size)
        crops = np.stack([_crop(image, corner, scale, size) for corner, scale in zip(corners, scales)])
        distributions = self._pose.run(None, {"images": crops})
        positions = np.stack(
            [each.argmax(-1) / (each.shape[-1] / length) for each, length in zip(distributions, size)], -1
        )
        scores = np.minimum(*(each.max(-1) for each in distributions))
        points = positions * scales[:, None] / size + corners[:, None]
        return np.concatenate([points, scores[..., None]], axis=-1)


def _fit_boxes(boxes: NDArray[Any], size_wh: tuple[int, int]) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return upper left corners (N, 2) and sizes (N, 2) of the crops: boxes with a margin, in the input's shape."""
    centers, sizes = (boxes[:, :2] + boxes[:, 2:]) / 2, boxes[:, 2:] - boxes[:, :2]
    ratio = size_wh[0] / size_wh[1]
    width = np.maximum(sizes[:, 0], sizes[:, 1] * ratio)
    scales = np.stack([width, width / ratio], axis=-1) * _PADDING
    return centers - scales / 2, scales


def _crop(image: NDArray[Any], corner: NDArray[Any], scale: NDArray[Any], size_wh: tuple[int, int]) -> NDArray[Any]:
    factor = size_wh[0] / scale[0]
    matrix = np.array([[factor, 0, -corner[0] * factor], [0, factor, -corner[1] * factor]])
    return cv2.warpAffine(image, matrix, size_wh, flags=cv2.INTER_LINEAR)
