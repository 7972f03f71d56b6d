"""RTMO without a config file: a torch module of a size, from images to people.

::

    from rtmo_plugin import CSPConfig, RTMO, RTMOConfig

    model = RTMO(RTMOConfig(backbone_config=CSPConfig(size="small"), num_classes=1, num_keypoints=17)).eval()
    people = model(torch.randn(1, 3, 640, 640))

It is composed of the registered modules with the values of the shipped configs, so that training
with a config and this are one model, and MMPose's official weights load into both.
``save_pretrained`` writes it in the layout of the Hugging Face Hub; ``from_pretrained`` opens what that or
``rtmo publish`` wrote.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmpose.registry import MODELS
from torch import Tensor, nn

from rtmo_plugin.checkpoints.fit import load_weights
from rtmo_plugin.checkpoints.reading import locate_checkpoint, read_checkpoint
from rtmo_plugin.config.embedded import format_config
from rtmo_plugin.config.pretrained import drop_pretrained, fetch_pretrained
from rtmo_plugin.config.sections import walk_sections
from rtmo_plugin.engine.console import suppress_initialization_log
from rtmo_plugin.engine.loaded_model import list_class_names
from rtmo_plugin.errors import ConfigError, DataError
from rtmo_plugin.files import create_folder
from rtmo_plugin.hub.mixin import HubMixin
from rtmo_plugin.hub.model_card import LIBRARY, PIPELINE, TAGS
from rtmo_plugin.hub.model_description import ModelDescription
from rtmo_plugin.hub.model_folder import (
    CONFIG_FILE,
    DOWNLOAD_OPTIONS,
    WEIGHTS_FILE,
    explain_hub_errors,
    locate_model_folder,
)  # fmt: skip
from rtmo_plugin.hub.writing import fill_model_folder
from rtmo_plugin.keypoints.sets import KEYPOINT_SCHEMAS, find_schema
from rtmo_plugin.models.heads.dense import decode_dense
from rtmo_plugin.models.heads.rtmo_head import find_size_wh
from rtmo_plugin.models.heads.selection import select_priors
from rtmo_plugin.models.heads.uncertainty import compute_deviations
from rtmo_plugin.number_ranges import COUNT, FRACTION
from rtmo_plugin.option_names import check_option_names
from rtmo_plugin.shipped_configs import FOLDER
from rtmo_plugin.structures import CoordinateDistribution, KeypointSchema

_SIZES = {"tiny": "t", "small": "s", "medium": "m", "large": "l"}
_SIZE_DIVISOR = 32


@dataclass(frozen=True)
class CSPConfig:
    """The backbone, CSPDarknet, whose size gives the model its name.

    Attributes:
        size: ``"tiny"``, ``"small"``, ``"medium"`` or ``"large"``.
        use_pretrained: Start the backbone from YOLOX's published weights, which are downloaded once.

    Raises:
        ConfigError: The size is unknown.
    """

    size: str = "small"
    use_pretrained: bool = False

    def __post_init__(self) -> None:
        if self.size not in _SIZES:
            raise ConfigError(f"The size {self.size!r} of RTMO is unknown: choose {', '.join(_SIZES)}.")


@dataclass(frozen=True)
class RTMOConfig:
    """A whole model.

    Attributes:
        backbone_config: Config of the backbone.
        num_classes: Number of classes C.
        num_keypoints: Number of keypoints K.
        keypoints: Keypoint set: ``"coco"``, ``"crowdpose"``, a ``KeypointSchema`` or a dict of its fields. Default:
            COCO's 17 or CrowdPose's 14, by ``num_keypoints``.
        score_thr: Score that people must exceed.
        nms_thr: IoU above which two boxes are one person; 1 keeps all.

    Raises:
        ConfigError: The number of keypoints is not that of ``keypoints``, or does not tell which they are.
    """

    backbone_config: CSPConfig = field(default_factory=CSPConfig)
    num_classes: int = 1
    num_keypoints: int = 17
    keypoints: str | Mapping[str, Any] | KeypointSchema | None = None
    score_thr: float = 0.1
    nms_thr: float = 0.65

    def __post_init__(self) -> None:
        for name, allowed in (("num_classes", COUNT), ("score_thr", FRACTION), ("nms_thr", FRACTION)):
            allowed.check(name, getattr(self, name))
        if self.schema.num_keypoints != self.num_keypoints:
            raise ConfigError(f"num_keypoints={self.num_keypoints}, and keypoints has {self.schema.num_keypoints}.")

    @property
    def schema(self) -> KeypointSchema:
        """Keypoint set."""
        if self.keypoints is not None:
            return find_schema(self.keypoints)
        known = {schema.num_keypoints: schema for schema in KEYPOINT_SCHEMAS.values()}
        if self.num_keypoints not in known:
            raise ConfigError(f"num_keypoints={self.num_keypoints} needs keypoints=dict(names=[...], sigmas=[...]).")
        return known[self.num_keypoints]


@dataclass(frozen=True)
class RTMOOutput:
    """The N people of all B images, image by image and best first, in pixels of the input."""

    image: Tensor  # (N,) long, index into B
    boxes: Tensor  # (N, 4) x1, y1, x2, y2
    scores: Tensor  # (N,) 0..1
    labels: Tensor  # (N,) long, class
    keypoints: Tensor  # (N, K, 2)
    keypoint_scores: Tensor  # (N, K) 0..1
    uncertainty: Tensor  # (N, K, 2) standard deviation of x and y, see ``rtmo_plugin.models.heads.uncertainty``
    distribution: CoordinateDistribution  # of each keypoint over bins along x and y

    def __repr__(self) -> str:
        """Return the numbers of people and keypoints in one line."""
        return f"RTMOOutput({len(self)} people of {self.keypoint_scores.shape[-1]} keypoints)"

    def __len__(self) -> int:
        return len(self.scores)

    def select(self, image: int) -> RTMOOutput:
        """Return the people of one image."""
        mine = self.image == image
        return RTMOOutput(**{name: value[mine] for name, value in vars(self).items()})


class RTMO(nn.Module, HubMixin, library_name=LIBRARY, pipeline_tag=PIPELINE, tags=list(TAGS)):  # type: ignore[call-arg]
    """RTMO (arXiv 2312.07526) with random weights, or a pretrained backbone.

    Its state dict has MMPose's names, so official checkpoints load strictly, or by name:

        model.load_weights("rtmo-s_coco")

    Where ``huggingface_hub`` is installed, it is one of its ``PyTorchModelHubMixin``.

    Args:
        config: Config of the model. Default: RTMO-s with COCO's keypoints.

    Raises:
        UserError: Pretrained weights cannot be downloaded or read.
    """

    def __init__(self, config: RTMOConfig | None = None) -> None:
        super().__init__()
        self.config = config or RTMOConfig()
        init_default_scope("mmpose")
        estimator = MODELS.build(_make_model_config(self.config))
        with suppress_initialization_log():
            estimator.init_weights()
        self.backbone, self.neck, self.head = estimator.backbone, estimator.neck, estimator.head

    def forward(self, images: Tensor) -> RTMOOutput:
        """Find the people; call ``eval()`` before, as with every model with BatchNorm.

        Args:
            images: (B, 3, H, W) BGR, 0..255; height and width multiples of 32.

        Raises:
            DataError: Another shape.
        """
        feats = self._extract(images)
        predictions = decode_dense(self.head(feats), self.head.strides)
        picked = select_priors(predictions, score_thr=self.config.score_thr, nms_thr=self.config.nms_thr)
        size_wh = find_size_wh(feats, self.head.strides)
        located = self.head.classify_coordinates(predictions, picked.image, picked.prior, size_wh)
        boxes = predictions.boxes[picked.image, picked.prior]
        return RTMOOutput(
            image=picked.image,
            boxes=boxes,
            scores=picked.scores,
            labels=picked.labels,
            keypoints=located.keypoints,
            keypoint_scores=predictions.visibility_logits[picked.image, picked.prior].sigmoid(),
            uncertainty=compute_deviations(located, boxes),
            distribution=located,
        )

    def loss(self, images: Tensor, data_samples: Sequence[Any]) -> dict[str, Tensor]:
        """Compute the losses of a batch by name, see ``RTMOHead.loss``; ``head.enter_stage`` chooses their weights.

        Args:
            images: (B, 3, H, W) BGR, 0..255; height and width multiples of 32.
            data_samples: B data samples of MMPose with ``gt_instance_labels``.
        """
        losses: dict[str, Tensor] = self.head.loss(self._extract(images), data_samples)
        return losses

    def load_weights(self, checkpoint: str | Path) -> None:
        """Load the weights of a checkpoint, every one and no other.

        Args:
            checkpoint: Path or URL, or a published name such as ``rtmo-s_coco``.

        Raises:
            UserError: It cannot be downloaded or read, or belongs to another model.
        """
        path = locate_checkpoint(checkpoint)
        load_weights(self, read_checkpoint(path), path)

    @classmethod
    def from_pretrained(cls, model: str | Path, **download: Any) -> RTMO:
        """Open a model of the Hugging Face Hub, or of a folder in its layout; nothing in it is executed.

        Args:
            model: Name of a repository, such as ``org/name``, or a folder, which comes first.
            **download: ``revision``, ``token``, ``cache_dir``, ``force_download``, ``local_files_only``, as
                ``huggingface_hub`` takes them.

        Returns:
            The model in evaluation mode, on the CPU.

        Raises:
            UserError: The files cannot be had or read, or describe another network than those of ``CSPConfig``.
        """
        check_option_names("RTMO.from_pretrained", download, DOWNLOAD_OPTIONS)
        folder = locate_model_folder(model, (CONFIG_FILE, WEIGHTS_FILE), **download)
        opened = cls(make_rtmo_config(ModelDescription.read(folder)))
        opened.load_weights(folder / WEIGHTS_FILE)
        return opened.eval()

    def save_pretrained(
        self,
        save_directory: str | Path,
        *,
        overwrite: bool = False,
        push_to_hub: bool = False,
        repo_id: str | None = None,
        **options: Any,
    ) -> str | None:
        """Write weights, config and model card in the layout of the Hugging Face Hub, whole or not at all.

        Args:
            save_directory: Folder, which need not exist.
            overwrite: Whether files of the same names in an existing folder are replaced; others stay.
            push_to_hub: Whether to upload the folder as well.
            repo_id: Name of the repository to upload to. Default: the name of the folder.
            **options: Options of ``push_to_hub``.

        Returns:
            Address of the commit if the model was uploaded.

        Raises:
            UserError: The folder is not empty or cannot be written, or a package is missing.
        """
        folder, classes = Path(save_directory), list_class_names({}, self.config.num_classes)
        cfg = _make_test_config(self.config, classes)
        (size,) = {tuple(step["input_size"]) for step in walk_sections(cfg._cfg_dict) if "input_size" in step}
        description = ModelDescription(
            schema=self.config.schema,
            classes=classes,
            size=self.config.backbone_config.size,
            size_wh=(size[0], size[1]),
            score_thr=self.config.score_thr,
            nms_thr=self.config.nms_thr,
        )
        with create_folder(folder, overwrite=overwrite) as draft:
            fill_model_folder(draft, self.state_dict(), description, format_config(cfg), name=folder.resolve().name)
        return self.push_to_hub(repo_id or folder.resolve().name, **options) if push_to_hub else None

    def push_to_hub(self, repo_id: str, **options: Any) -> str:
        """Upload what ``save_pretrained`` writes to a repository of the Hub, which is created if it does not exist.

        Args:
            repo_id: Name of the repository, such as ``org/name``.
            **options: Options of ``push_to_hub`` in ``huggingface_hub.PyTorchModelHubMixin``, such as ``private``.

        Returns:
            Address of the commit.

        Raises:
            UserError: The package is missing, or the Hub cannot be reached or refuses.
        """
        with explain_hub_errors(f"{repo_id} cannot be written on the Hub"):
            address: str = super().push_to_hub(repo_id, **options)
            return address

    def _extract(self, images: Tensor) -> Sequence[Tensor]:
        """Return the features of images, once their shape is right."""
        if images.ndim != 4 or images.shape[1] != 3 or any(n % _SIZE_DIVISOR or not n for n in images.shape[2:]):
            raise DataError(
                f"RTMO takes (B, 3, H, W) images with H and W multiples of {_SIZE_DIVISOR}, got {tuple(images.shape)}."
            )
        feats: Sequence[Tensor] = self.neck(self.backbone(images))
        return feats


def make_rtmo_config(description: ModelDescription) -> RTMOConfig:
    """Return the config of a described model.

    Raises:
        ConfigError: It is not one of the shipped sizes.
    """
    if description.size is None:
        raise ConfigError("The model is not one of the shipped sizes, so RTMO cannot build it: open it with Pose.")
    return RTMOConfig(
        CSPConfig(description.size),
        num_classes=len(description.classes),
        num_keypoints=description.schema.num_keypoints,
        keypoints=description.schema,
        score_thr=description.score_thr,
        nms_thr=description.nms_thr,
    )


def _make_test_config(config: RTMOConfig, classes: Sequence[str]) -> Config:
    """Return the config with which MMPose's model of the same weights is built and tested."""
    leaf = Config.fromfile(str(FOLDER / f"rtmo-{_SIZES[config.backbone_config.size]}_body7.py"))
    model, keypoints = _make_model_config(config), asdict(config.schema)
    thresholds = {"score_thr": config.score_thr, "nms_thr": config.nms_thr}
    dataset = {
        "type": "rtmo_plugin.CocoKeypoints",
        "keypoints": keypoints,
        "classes": list(classes),
        "test_mode": True,
        "pipeline": leaf.test_dataloader.dataset.pipeline,
    }
    return Config(
        {
            "default_scope": "mmpose",
            "model": {**model, "head": {**model["head"], "keypoints": keypoints}, "test_cfg": thresholds},
            "test_dataloader": {"dataset": dataset},
        }
    )


def _make_model_config(config: RTMOConfig) -> Any:
    """Return the model of the shipped config of a size, with another head."""
    backbone = config.backbone_config
    cfg = Config.fromfile(str(FOLDER / f"_base_/sizes/{_SIZES[backbone.size]}.py"))
    (fetch_pretrained if backbone.use_pretrained else drop_pretrained)(cfg)
    return {**cfg.model, "head": {**cfg.model.head, "num_classes": config.num_classes, "keypoints": config.schema}}
