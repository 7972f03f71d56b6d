"""RTMOHead: head module, assigner, criterion and DCC put together for MMPose's estimator."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from mmengine.model import BaseModule
from mmengine.structures import InstanceData
from torch import Tensor

from rtmo_plugin.keypoints.sets import find_schema
from rtmo_plugin.models.heads.criterion import RTMOCriterion
from rtmo_plugin.models.heads.dcc import DynamicCoordinateClassifier
from rtmo_plugin.models.heads.dense import PriorCache, decode_dense
from rtmo_plugin.models.heads.loss_check import LossCheck
from rtmo_plugin.models.heads.rtmo_head_module import RawMaps, RTMOHeadModule
from rtmo_plugin.models.heads.selection import collect_instances, select_priors
from rtmo_plugin.models.heads.stages import Stage, build_stages
from rtmo_plugin.models.heads.training_targets import build_targets, collect_people
from rtmo_plugin.models.heads.uncertainty import compute_deviations
from rtmo_plugin.registry import MODELS, TASK_UTILS
from rtmo_plugin.structures import CoordinateDistribution, DensePredictions, KeypointSchema

# What official files hold beside the weights: constants that are computed here.
_OBSOLETE_BUFFERS = ("dcc.x_bins", "dcc.y_bins", "dcc.spe.dim_t", "loss_oks.sigmas")

# Options of the parts of a head that follow from options of the head itself.
OWNED_OPTIONS: Mapping[str, Mapping[str, str]] = {
    "head_module": {
        "num_classes": "num_classes",
        "num_keypoints": "keypoints",
        "num_levels": "strides",
        "widen_factor": "widen_factor",
    },
    "dcc": {"num_keypoints": "keypoints", "in_channels": "head_module.pose_channels"},
}


@MODELS.register_module()
class RTMOHead(BaseModule):
    """One-stage pose head (arXiv 2312.07526) with the interface of MMPose's bottom-up estimator.

    Args:
        keypoints: Name of a keypoint set (``coco``, ``crowdpose``), or a dict of its fields.
        num_classes: Number of classes C.
        widen_factor: Width of the model; the head's and the pose vectors' widths follow from it.
        strides: Strides of the feature maps, in pixels.
        head_module: Options of ``RTMOHeadModule`` that differ from its defaults.
        dcc: Options of ``DynamicCoordinateClassifier`` that differ from its defaults.
        box_padding: Earlier name of ``dcc.box_padding``, for configs written before it moved there.
        coordinates: What the predicted keypoints come from: ``"dcc"``, or, for ablation, ``"proxy"``, the
            regression that otherwise only helps to train; give the classifier's loss no weight then.
        assigner: Config of the assigner.
        stages: Differences from ``DEFAULT_STAGES``.
        init_cfg: Initialization, as in MMEngine.
        **losses: Differences from ``DEFAULT_LOSSES``: ``loss_cls``, ``loss_bbox``, ``loss_oks`` (proxy
            keypoints), ``loss_vis``, ``loss_mle`` (coordinate distributions) and ``loss_bbox_aux`` (box
            deltas, in the last stage).

    Raises:
        KeyError: An unknown keypoint set or stage.
        TypeError: An unknown option.
        ValueError: An unknown source of coordinates, or an option of a part that follows from one of the head.
    """

    def __init__(  # noqa: PLR0913  (the schema of a config: every field has a default)
        self,
        *,
        keypoints: str | Mapping[str, Any] | KeypointSchema = "coco",
        num_classes: int = 1,
        widen_factor: float = 1.0,
        strides: Sequence[int] = (16, 32),
        head_module: Mapping[str, Any] | None = None,
        dcc: Mapping[str, Any] | None = None,
        box_padding: float | None = None,
        coordinates: str = "dcc",
        assigner: Mapping[str, Any] | None = None,
        stages: Mapping[str, Mapping[str, Any]] | None = None,
        init_cfg: Any = None,
        **losses: Mapping[str, Any],
    ) -> None:
        super().__init__(init_cfg=init_cfg)
        if coordinates not in ("dcc", "proxy"):
            raise ValueError(f"coordinates is 'dcc' or 'proxy', got {coordinates!r}.")
        self.coordinates = coordinates
        self.schema = find_schema(keypoints)
        _check_owned(head_module=head_module, dcc=dcc)
        dcc = dict(dcc or {})
        if box_padding is not None:
            if "box_padding" in dcc:
                raise ValueError("head.box_padding is an earlier name of head.dcc.box_padding: set the latter alone.")
            dcc["box_padding"] = box_padding
        self.num_classes, self.strides = num_classes, tuple(strides)
        self.head_module = RTMOHeadModule(
            num_classes=num_classes,
            num_keypoints=self.schema.num_keypoints,
            num_levels=len(self.strides),
            widen_factor=widen_factor,
            **(head_module or {}),
        )
        self.dcc = DynamicCoordinateClassifier(
            num_keypoints=self.schema.num_keypoints,
            in_channels=self.head_module.pose_channels,
            **dcc,
        )
        self.assigner = TASK_UTILS.build({"type": "rtmo_plugin.SimOTAAssigner", **(assigner or {})})
        self.criterion = RTMOCriterion(losses)
        self.loss_check = LossCheck()  # another one may take its place while a run is trained
        self.stages = build_stages(stages)
        self._priors: PriorCache = {}
        self.enter_stage("warmup")
        self.register_buffer("sigmas", torch.tensor(self.schema.sigmas), persistent=False)
        self._register_load_state_dict_pre_hook(_drop_obsolete_buffers)

    def enter_stage(self, name: str) -> None:
        """Train by another stage's weights and targets from now on.

        Raises:
            KeyError: The stage is unknown.
        """
        if name not in self.stages:
            raise KeyError(f"Unknown training stage {name!r}: name one of {', '.join(self.stages)}.")
        self.stage_name = name

    @property
    def stage(self) -> Stage:
        """The current training stage."""
        return self.stages[self.stage_name]

    def forward(self, feats: Sequence[Tensor]) -> RawMaps:
        """Return the raw maps of (B, C, H, W) features, without the proxy keypoints."""
        maps: RawMaps = self.head_module(feats)
        return maps

    def loss(
        self,
        feats: Sequence[Tensor] | RawMaps,
        batch_data_samples: Sequence[Any],
        train_cfg: Mapping[str, Any] | None = None,
    ) -> dict[str, Tensor]:
        """Compute the six losses of a batch.

        Args:
            feats: (B, C, H, W) a level; or the raw maps with proxy keypoints, where these were computed together with
                the features.
            batch_data_samples: B data samples with ``gt_instance_labels``.
            train_cfg: Not used; part of the interface.

        Raises:
            ValueError: A data sample does not fit the model, see ``collect_people``.
            FloatingPointError: A loss is not finite.
        """
        maps: RawMaps = feats if isinstance(feats, RawMaps) else self.head_module(feats, with_proxy=True)
        predictions = decode_dense(maps, self.strides, self._priors)
        dtype = predictions.boxes.dtype
        people = collect_people(batch_data_samples, self.num_classes, self.schema.num_keypoints, dtype)
        sigmas = self.sigmas.to(dtype)
        assignment = self.assigner.assign(predictions, people, sigmas)
        targets = build_targets(predictions, people, assignment, batch_data_samples)
        size_wh = find_size_wh(maps.class_logits, self.strides)
        distribution = self.classify_coordinates(predictions, targets.image, targets.prior, size_wh)
        losses: dict[str, Tensor] = self.criterion(predictions, targets, distribution, sigmas, self.stage)
        self.loss_check(losses, batch_data_samples)
        return losses

    @torch.no_grad()
    def predict(
        self, feats: Sequence[Tensor], batch_data_samples: Sequence[Any], test_cfg: Mapping[str, Any] | None = None
    ) -> list[InstanceData]:
        """Find the people of each image.

        Args:
            feats: (B, C, H, W) a level.
            batch_data_samples: B data samples with ``input_size``.
            test_cfg: ``score_thr`` (0.1), ``nms_thr`` (0.65; 1 keeps all) and ``nms_pre`` (no limit), as
                MMPose names them; and ``uncertainty`` (False), whether to return the standard deviations
                of the keypoints, which proxy keypoints do not have.

        Returns:
            One InstanceData an image, best person first: ``scores``, ``labels``, ``bboxes``,
            ``bbox_scores``, ``keypoints``, ``keypoint_scores``, ``keypoints_visible``, and
            ``keypoint_deviations`` if asked for; arrays, in pixels of the network's input.

        Raises:
            ValueError: Several feature pyramids: test-time augmentation is not supported here.
        """
        if not all(isinstance(feat, Tensor) for feat in feats):
            raise ValueError("RTMOHead takes one feature pyramid: turn flip_test and multiscale_test off.")
        is_regressed, deviations = self.coordinates == "proxy", None
        predictions = decode_dense(self.head_module(feats, with_proxy=is_regressed), self.strides)
        selected = select_priors(predictions, **{k: v for k, v in (test_cfg or {}).items() if k in _SELECTION})
        if is_regressed:
            assert predictions.proxy_keypoints is not None
            keypoints = predictions.proxy_keypoints[selected.image, selected.prior]
        else:
            size_wh = find_size_wh(feats, self.strides)
            located = self.classify_coordinates(predictions, selected.image, selected.prior, size_wh)
            keypoints = located.keypoints
            if (test_cfg or {}).get("uncertainty"):
                deviations = compute_deviations(located, predictions.boxes[selected.image, selected.prior])
        return collect_instances(predictions, selected, keypoints, batch_data_samples, deviations)

    def classify_coordinates(
        self, predictions: DensePredictions, image: Tensor, prior: Tensor, size_wh: tuple[int, int]
    ) -> CoordinateDistribution:
        """Run the Dynamic Coordinate Classifier on N priors, given by (N,) image and prior indices."""
        distribution: CoordinateDistribution = self.dcc(
            predictions.pose_vectors[image, prior],
            predictions.boxes[image, prior],
            predictions.priors.centers[prior],
            size_wh,
        )
        return distribution


def _check_owned(**parts: Mapping[str, Any] | None) -> None:
    """Raise a ``ValueError`` for an option that a part has from the head."""
    for part, options in parts.items():
        for name in OWNED_OPTIONS[part].keys() & (options or {}).keys():
            raise ValueError(f"head.{part}.{name} follows from head.{OWNED_OPTIONS[part][name]}: set that instead.")


_SELECTION = ("score_thr", "nms_thr", "nms_pre")


def find_size_wh(feats: Sequence[Tensor], strides: Sequence[int]) -> tuple[int, int]:
    """Return the width and height of the input, in pixels, from the first feature map."""
    height, width = feats[0].shape[2:]
    return width * strides[0], height * strides[0]


def _drop_obsolete_buffers(state_dict: dict[str, Tensor], prefix: str, *_: Any) -> None:
    for name in _OBSOLETE_BUFFERS:
        state_dict.pop(prefix + name, None)
