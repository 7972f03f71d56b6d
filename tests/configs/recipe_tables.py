"""How MMPose's names for a recipe's values are ours: the tables of test_recipes.

``RENAMED``: MMPose's key, our key, and how its value is written here.  ``DIFFERENT``: MMPose's key
and why there is none here.  ``ADDED``: our key where MMPose has none, and the value it must have.
"""

from __future__ import annotations

import inspect
import re
from typing import Any

from mmpose.datasets.transforms import BottomupRandomAffine
from mmpose.engine.hooks import ExpMomentumEMA
from mmpose.models.task_modules import assigners as their_assigners

from rtmo_plugin.data import transforms
from rtmo_plugin.models.assigners import SimOTAAssigner
from rtmo_plugin.models.heads import DynamicCoordinateClassifier, RTMOHead, RTMOHeadModule
from rtmo_plugin.models.losses import IoULoss
from rtmo_plugin.models.necks import HybridEncoder

RECIPES = {
    "rtmo-s_coco": "coco/rtmo-s_8xb32-600e_coco-640x640",
    "rtmo-m_coco": "coco/rtmo-m_16xb16-600e_coco-640x640",
    "rtmo-l_coco": "coco/rtmo-l_16xb16-600e_coco-640x640",
    "rtmo-s_crowdpose": "crowdpose/rtmo-s_8xb32-700e_crowdpose-640x640",
    "rtmo-m_crowdpose": "crowdpose/rtmo-m_16xb16-700e_crowdpose-640x640",
    "rtmo-l_crowdpose": "crowdpose/rtmo-l_16xb16-700e_crowdpose-640x640",
    "rtmo-t_body7": "body7/rtmo-t_8xb32-600e_body7-416x416",
    "rtmo-s_body7": "body7/rtmo-s_8xb32-600e_body7-640x640",
    "rtmo-m_body7": "body7/rtmo-m_16xb16-600e_body7-640x640",
    "rtmo-l_body7": "body7/rtmo-l_16xb16-600e_body7-640x640",
    "rtmo-l_body7-crowdpose": "crowdpose/rtmo-l_16xb16-700e_body7-crowdpose-640x640",
}
Values = dict[str, Any]

STAGES = "model.head.stages"
FINISH = "default_hooks.training_stages.schedule.finish"
SWITCH = r"custom_hooks\.1\.epoch_attributes\.(\d+)"
FASTER = transforms.__all__  # by MMPose's names
METAFILE = "configs/_base_/datasets/{}.py"
KEYPOINTS = {17: "coco", 14: "crowdpose", METAFILE.format("coco"): "coco", METAFILE.format("crowdpose"): "crowdpose"}
CENTERS = {True: "keypoints", False: "box"}


def keep(value: Any, official: Values) -> Any:
    return value


def count_from_start(value: int, official: Values) -> int:
    return official["train_cfg.max_epochs"] - value


# MMPose's key; our key; the value as we write it.
RENAMED: list[tuple[str, str, Any]] = [
    # the same pixels, with WebP images upright too
    (
        r"custom_hooks\.0\.new_train_pipeline\.0\.type",
        FINISH + r".pipeline.0.type",
        lambda v, _: {"LoadImage": "rtmo_plugin.LoadImage"}.get(v),
    ),
    (
        r"(val|test)_dataloader\.dataset\.pipeline\.0\.type",
        r"\1_dataloader.dataset.pipeline.0.type",
        lambda v, _: {"LoadImage": "rtmo_plugin.LoadImage"}.get(v),
    ),
    # Two hooks that fire at one epoch each became one that follows the epoch.
    (r"custom_hooks\.0\.new_train_pipeline\.(.+)", FINISH + r".pipeline.\1", keep),
    (r"custom_hooks\.0\.new_train_dataset\.(?!pipeline)(.+)", FINISH + r".dataset.\1", keep),
    (r"custom_hooks\.0\.num_last_epochs", FINISH + ".begin", count_from_start),
    (r"custom_hooks\.[01]\.priority", "default_hooks.training_stages.priority", keep),
    (SWITCH + r"\.proxy_target_cc", STAGES + ".refine.proxy_target", lambda v, _: {True: "dcc"}.get(v)),
    (SWITCH + r"\.overlaps_power", STAGES + ".refine.class_target_power", keep),
    (SWITCH + r"\.loss_(\w+)\.loss_weight", STAGES + r".refine.weights.\2", keep),
    (r"custom_hooks\.2\.priority", "custom_hooks.0.priority", keep),
    # the same average to the last bit (tests/engine/test_moving_average.py), in three operators
    (
        r"custom_hooks\.3\.ema_type",
        "custom_hooks.1.ema_type",
        lambda v, _: {"ExpMomentumEMA": "rtmo_plugin.ForeachEMA"}.get(v),
    ),
    (r"custom_hooks\.3\.(.+)", r"custom_hooks.1.\1", keep),
    # the same rate and decay of each parameter (tests/engine/test_parameter_groups.py), in four groups
    (
        r"optim_wrapper\.constructor",
        "optim_wrapper.constructor",
        lambda v, _: {"ForceDefaultOptimWrapperConstructor": "rtmo_plugin.MergingOptimWrapperConstructor"}.get(v),
    ),
    # the same steps (tests/engine/test_no_wait.py)
    (r"optim_wrapper\.type", "optim_wrapper.type", lambda v, _: f"rtmo_plugin.{v}"),
    # the same numbers to 1e-9 (tests/evaluation/test_equality.py), ten times faster and without xtcocotools
    (r"(val|test)_evaluator\.type", r"\1_evaluator.type", lambda v, _: f"rtmo_plugin.{v}"),
    # the same function; SiLU is one operation of torch
    (r"model\.backbone\.act_cfg\.type", "model.backbone.act_cfg.type", lambda v, _: {"Swish": "SiLU"}.get(v)),
    # the same numbers, for a batch as a whole (tests/data/test_batch_collation.py)
    (
        r"model\.data_preprocessor\.type",
        "model.data_preprocessor.type",
        lambda v, _: {"PoseDataPreprocessor": "rtmo_plugin.PackedDataPreprocessor"}.get(v),
    ),
    # the same sizes with the same probabilities, as a function of seed and step
    (
        r"model\.data_preprocessor\.batch_augments\.0\.type",
        "model.data_preprocessor.batch_augments.0.type",
        lambda v, _: {"BatchSyncRandomResize": "rtmo_plugin.BatchRandomResize"}.get(v),
    ),
    # the same transforms, faster
    (
        r"train_dataloader\.dataset\.pipeline\.(\d(?:\.pre_transform\.0)?)\.type",
        r"train_dataloader.dataset.pipeline.\1.type",
        lambda v, _: f"rtmo_plugin.{v}" if v in FASTER else v,
    ),
    # neck
    (r"model\.(neck|head|head\.assigner)\.type", r"model.\1.type", lambda v, _: f"rtmo_plugin.{v}"),
    (r"model\.neck\.hidden_dim", "model.neck.hidden_channels", keep),
    (r"model\.neck\.encoder_cfg\.\w+\.embed_dims", "model.neck.hidden_channels", keep),
    (r"model\.neck\.encoder_cfg\.self_attn_cfg\.num_heads", "model.neck.num_heads", keep),
    (r"model\.neck\.encoder_cfg\.ffn_cfg\.feedforward_channels", "model.neck.ffn_channels", keep),
    (r"model\.neck\.encoder_cfg\.(self_attn_cfg\.dropout|ffn_cfg\.ffn_drop)", "model.neck.dropout", keep),
    (r"model\.neck\.output_indices", "model.neck.out_levels", lambda v, _: [index + 3 for index in v]),
    # head
    (r"model\.head\.(num_keypoints|.+\.metainfo)", "model.head.keypoints", lambda v, _: KEYPOINTS.get(v)),
    (r"model\.head\.(featmap_strides|prior_generator\.strides)", "model.head.strides", keep),
    (r"model\.head\.head_module_cfg\.(num_classes|widen_factor)", r"model.head.\1", keep),
    (r"model\.head\.head_module_cfg\.cls_feat_channels", "model.head.head_module.feat_channels", keep),
    (r"model\.head\.head_module_cfg\.(channels_per_group|stacked_convs)", r"model.head.head_module.\1", keep),
    (r"model\.head\.dcc_cfg\.(feat_channels|num_bins)", r"model.head.dcc.\1", keep),
    (r"model\.head\.dcc_cfg\.spe_channels", "model.head.dcc.encoding_channels", keep),
    (r"model\.head\.dcc_cfg\.gau_cfg\.s", "model.head.dcc.attention_channels", keep),
    (r"model\.head\.dcc_cfg\.gau_cfg\.expansion_factor", "model.head.dcc.expansion", keep),
    (r"model\.head\.assigner\.dynamic_k_indicator", "model.head.assigner.dynamic_k", keep),
    (r"model\.head\.assigner\.use_keypoints_for_center", "model.head.assigner.center", lambda v, _: CENTERS[v]),
    # Loss weights belong to the stages.
    (r"model\.head\.overlaps_power", STAGES + ".warmup.class_target_power", keep),
    (r"model\.head\.loss_bbox_aux\.loss_weight", STAGES + ".finish.weights.bbox_aux", keep),
    (r"model\.head\.loss_(\w+)\.loss_weight", STAGES + r".warmup.weights.\1", keep),
    (r"model\.head\.loss_bbox\.mode", "model.head.loss_bbox.mode", keep),
]

DERIVED = "follows from widen_factor or keypoints; test_parameters_are_the_same compares all shapes"
FIXED = "not an option here; the module's own tests compare its numbers with MMPose's"
# MMPose's key; why there is none here.
DIFFERENT: list[tuple[str, str]] = [
    (r"custom_hooks\.[01]\.type", "one hook for all stages; MMPose's two count epochs differently, by one"),
    (r"custom_hooks\.0\.new_train_dataset\.pipeline\..+", "MMPose's hook replaces it before any use"),
    (r"custom_hooks\.2\.type", "SyncNormHook fails and hides it; MMEngine's SyncBuffersHook does what it should"),
    (r".+\.backend_args", "None is the default of LoadImage"),
    (r"train_dataloader\.dataset\.pipeline\.2\.(distribution|transform_mode|bbox_keep_corner|clip_border)", FIXED),
    (r"model\.neck\.(in_channels|projector\.(in|out)_channels)", DERIVED),
    (r"model\.head\.(head_module_cfg\.(in|pose_vec)_channels|dcc_cfg\.in_channels)", DERIVED),
    (r"model\.neck\.projector\.(type|kernel_size|act_cfg|norm_cfg\.type|num_outs)", FIXED),
    (r"model\.neck\.encoder_cfg\.ffn_cfg\.act_cfg\.type", FIXED),
    (r"model\.head\.head_module_cfg\.(norm|act)_cfg\..+", FIXED),
    (r"model\.head\.dcc_cfg\.gau_cfg\.(dropout_rate|drop_path|act_fn|pos_enc)", FIXED),
    (r"model\.head\.prior_generator\.(type|centralize_points)", FIXED),
    (r"model\.head\.assigner\.oks_calculator\.type", FIXED),
    (r"model\.head\.loss_\w+\.(type|reduction|use_target_weight|eps)", FIXED),
    (r"model\.test_cfg\.input_size", "nothing reads it: each image's metainfo maps its predictions back"),
]


def read_switch_epoch(official: Values) -> int:
    (epoch,) = {int(match[1]) for match in map(re.compile(SWITCH).match, official) if match}
    return epoch


def default_of(reader: Any, parameter: str) -> Any:
    return inspect.signature(reader).parameters[parameter].default


def default_probability(official: Values) -> float:
    (value,) = {default_of(BottomupRandomAffine, f"{what}_prob") for what in ("shift", "rotate", "scale")}
    return value


# Our key where MMPose's config has none; the value it must have, or a function that finds it.
ADDED: list[tuple[str, Any]] = [
    (r"custom_imports\.imports", ["rtmo_plugin"]),
    (r"train_dataloader\.collate_fn\.type", "rtmo_plugin.pack_batch"),  # the same values in few tensors
    (r"custom_imports\.allow_failed_imports", False),
    (r"default_hooks\.training_stages\.type", "rtmo_plugin.TrainingStageHook"),
    (r"default_hooks\.training_stages\.schedule\.warmup\.begin", 0),
    (r"default_hooks\.training_stages\.schedule\.refine\.begin", read_switch_epoch),
    (r"custom_hooks\.0\.type", "SyncBuffersHook"),
    (r"model\.backbone\.act_cfg\.inplace", False),  # in place, autograd copies each map
    (r"custom_hooks\.2\.type", "rtmo_plugin.ChannelsLastHook"),  # faster, and the same up to rounding
    # What makes a run exact, and lets it survive broken samples and interruptions; the recipe is as it was.
    (r"custom_hooks\.3\.type", "rtmo_plugin.RandomnessHook"),
    (r"custom_hooks\.4\.type", "rtmo_plugin.BrokenSampleHook"),
    (r"custom_hooks\.4\.max_broken", 100),
    (r"custom_hooks\.5\.type", "rtmo_plugin.ResumePointHook"),
    (r"custom_hooks\.5\.minutes", 10),
    (r"custom_hooks\.6\.type", "rtmo_plugin.DiagnosticsHook"),  # writes a line an epoch, changes nothing
    # Written out, though it is the default of MMPose's class.
    (r"custom_hooks\.1\.gamma", lambda _: default_of(ExpMomentumEMA, "gamma")),
    (re.escape(FINISH) + r"\.pipeline\.1\.(shift|rotate|scale)_prob", default_probability),
    (
        r"model\.head\.assigner\.center",
        lambda _: CENTERS[default_of(their_assigners.SimOTAAssigner, "use_keypoints_for_center")],
    ),
    # Attributes of MMPose's head that only its hooks change.
    (r"model\.head\.stages\.warmup\.proxy_target", "truth"),
    (r"model\.head\.stages\.warmup\.weights\.bbox_aux", 0.0),
]

# Who reads a section: the source of the values that it leaves out.
READERS = {
    "model.neck": HybridEncoder,
    "model.head": RTMOHead,
    "model.head.head_module": RTMOHeadModule,
    "model.head.dcc": DynamicCoordinateClassifier,
    "model.head.assigner": SimOTAAssigner,
    "model.head.loss_bbox": IoULoss,
    FINISH + ".pipeline.1": BottomupRandomAffine,
}
