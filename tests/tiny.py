"""Configs made small enough for a test: narrow models, and synthetic people in place of files."""

from __future__ import annotations

import copy
from typing import Any

from mmengine.config import Config

from rtmo_plugin.keypoints.sets import find_schema

METAFILE = "configs/_base_/datasets/{}.py"
# Pairs of (COCO's keypoint, CrowdPose's); CrowdPose's head and neck stay without a label.
TO_CROWDPOSE = [(index + 5, index) for index in range(12)]
TO_COCO = [(index, index) for index in range(17)]


def shrink(model: dict[str, Any]) -> dict[str, Any]:
    """Return the config of the same model with a fraction of the channels, without pretrained weights."""
    small = copy.deepcopy(model)
    small["backbone"].update(widen_factor=0.125, deepen_factor=0.33, init_cfg=None)
    neck = {"hidden_channels": 32, "num_heads": 4, "ffn_channels": 32}
    small["neck"].update(widen_factor=0.125, deepen_factor=0.33, **neck)
    dcc = {"feat_channels": 16, "num_bins": (24, 32), "encoding_channels": 16, "attention_channels": 16}
    small["head"].update(widen_factor=0.125, dcc=dcc)
    return small


def draw_images(pipeline: Any) -> Any:
    """Return the pipeline with synthetic images wherever it loads a file."""
    if isinstance(pipeline, (list, tuple)):
        return [draw_images(step) for step in pipeline]
    if not isinstance(pipeline, dict):
        return pipeline
    if pipeline.get("type") in ("LoadImage", "rtmo_plugin.LoadImage"):
        return {"type": "rtmo_plugin.DrawSyntheticImage"}
    return {key: draw_images(value) if key == "pre_transform" else value for key, value in pipeline.items()}


def describe_people(cfg: Config, pipeline: Any, num_images: int = 4, seed: int = 0, **options: Any) -> dict[str, Any]:
    """Return the config of a dataset of synthetic people with the keypoints of ``cfg``'s model."""
    keypoints = cfg.model.head.keypoints
    mapping = TO_CROWDPOSE if keypoints == "crowdpose" else TO_COCO  # the large sets begin with COCO's keypoints
    number = find_schema(keypoints).num_keypoints
    convert = {"type": "KeypointConverter", "num_keypoints": number, "mapping": mapping}
    people = {
        "type": "rtmo_plugin.SyntheticPeople",
        "num_images": num_images,
        "seed": seed,
        "size_wh": (96, 96),
        "num_people": (1, 3),
        "data_mode": "bottomup",
        "pipeline": [convert],
        "serialize_data": False,  # which takes longer than these few images
        **options,
    }
    return {
        "type": "CombinedDataset",
        "metainfo": {"from_file": METAFILE.format(keypoints)},
        "datasets": [people],
        "pipeline": draw_images(pipeline),
    }
