"""Write a trained model as a folder that can be uploaded to the Hugging Face Hub."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from rtmo_plugin.checkpoints.safetensors_files import read_safetensors
from rtmo_plugin.config.embedded import format_config
from rtmo_plugin.engine.console import suppress_library_noise
from rtmo_plugin.engine.loaded_model import LoadedModel
from rtmo_plugin.errors import ConfigError
from rtmo_plugin.export.exporting import read_export_options
from rtmo_plugin.hub.model_description import ModelDescription
from rtmo_plugin.hub.model_folder import WEIGHTS_FILE
from rtmo_plugin.hub.writing import fill_model_folder
from rtmo_plugin.models.heads.dense import decode_dense
from rtmo_plugin.models.heads.rtmo_head import find_size_wh
from rtmo_plugin.rtmo import RTMO, make_rtmo_config
from rtmo_plugin.wording import show_path

_SIZES = {24: "tiny", 32: "small", 48: "medium", 64: "large"}  # by channels of the stem


@dataclass(frozen=True)
class PublishedModel:
    """A written folder.

    Attributes:
        folder: The folder.
        files: Paths of the written files inside it.
        description: Content of its ``config.json``.
    """

    folder: Path
    files: tuple[str, ...]
    description: ModelDescription

    def describe(self) -> str:
        """Return the summary that the command prints."""
        sizes = {file: (self.folder / file).stat().st_size for file in self.files}
        shown = show_path(self.folder)
        ways = "Pose.from_pretrained" + (" and RTMO.from_pretrained open" if self.description.size else " opens")
        return "\n".join(
            [
                f"{shown}: {ways} it",
                *(f"  {file:<26} {size / 1e6:9.3f} MB" for file, size in sizes.items()),
                f"to upload it: hf upload OWNER/{self.folder.resolve().name} {shown}",
            ]
        )


def fill_published_folder(draft: Path, loaded: LoadedModel, *, name: str, license: str | None) -> ModelDescription:  # noqa: A002
    """Write weights, config and model card of a model, and read the weights back.

    Args:
        draft: Folder to write to.
        loaded: Model, which ``check_is_rtmo`` has checked.
        name: Name of the published folder.
        license: License of the weights for the model card. Default: not stated.

    Returns:
        The content of ``config.json``.

    Raises:
        UserError: A file cannot be written, or does not hold what was written.
    """
    with suppress_library_noise():
        description, text = _describe_loaded(loaded), format_config(loaded.cfg)
    state = {key: value for key, value in loaded.model.state_dict().items() if not key.startswith("data_prepro")}
    fill_model_folder(draft, state, description, text, name=name, license=license, ap=loaded.training_ap)
    written = read_safetensors(draft / WEIGHTS_FILE)["state_dict"]
    if any(not torch.equal(written[key], value) for key, value in state.items()):
        raise ConfigError(f"{WEIGHTS_FILE} of {name} does not hold the weights of the model: its disk may be failing.")
    return description


def _describe_loaded(loaded: LoadedModel) -> ModelDescription:
    """Return the description of a model; its size only if ``RTMO`` of that size computes the same, bit by bit."""
    options, model = read_export_options(loaded.cfg, {}), loaded.model
    description = ModelDescription(
        schema=model.head.schema,
        classes=loaded.classes,
        size=_SIZES.get(model.backbone.stem.conv.out_channels),
        size_wh=options.size_wh,
        score_thr=options.score_thr,
        nms_thr=options.nms_thr,
    )
    return description if description.size and _is_shipped(model, description) else replace(description, size=None)


def _is_shipped(model: Any, description: ModelDescription) -> bool:
    shipped = RTMO(make_rtmo_config(description)).eval()
    given, own = model.state_dict(), shipped.state_dict()
    if any(name not in given or given[name].shape != value.shape for name, value in own.items()):
        return False
    shipped.load_state_dict({name: given[name] for name in own})
    return all(map(torch.equal, _compute_some(model), _compute_some(shipped)))


@torch.no_grad()
def _compute_some(model: Any) -> list[Tensor]:
    """Return everything that a network computes of one image at its first priors."""
    image = torch.rand(1, 3, 64, 96, generator=torch.Generator().manual_seed(0)) * 255
    feats = model.neck(model.backbone(image))
    dense = decode_dense(model.head(feats), model.head.strides)
    priors = torch.arange(4)
    found = model.head.classify_coordinates(
        dense, torch.zeros_like(priors), priors, find_size_wh(feats, model.head.strides)
    )
    return [dense.class_logits, dense.boxes, dense.visibility_logits, dense.pose_vectors, found.keypoints, found.sigmas]
