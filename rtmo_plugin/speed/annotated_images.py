"""A data set of an annotation file and a folder of images, in place of the test data of a config."""

from __future__ import annotations

from pathlib import Path

from mmengine.config import Config

from rtmo_plugin.checkpoints.model_names import is_exported
from rtmo_plugin.config.config_files import load_config
from rtmo_plugin.config.edits import require_sections

_ANY_KEYPOINTS = "rtmo-s_custom"  # reads keypoints and classes from the annotation file


def make_config(model: str | Path, config: str | Path | None, annotations: str | Path, images: str | Path) -> Config:
    """Return a config whose test data are an annotation file and its images.

    Args:
        model: Exported file, or checkpoint.
        config: Config of the checkpoint. Default: the one that it carries or is published with.
        annotations: Annotation file in COCO's format.
        images: Folder of its images.

    Raises:
        UserError: The config cannot be read, or has no test data.
    """
    is_file = is_exported(model)
    cfg = load_config(_ANY_KEYPOINTS if is_file else config or model)
    require_sections(cfg, ("test_dataloader", "test_evaluator"))
    file = str(Path(annotations).absolute())
    # ``rtmo-s_custom`` takes its keypoints from its training data.
    for name in ("train_dataloader", "test_dataloader") if is_file else ("test_dataloader",):
        cfg[name].dataset.update(data_root="", ann_file=file, data_prefix={"img": str(Path(images).absolute())})
    evaluators = cfg.test_evaluator
    for evaluator in evaluators if isinstance(evaluators, (list, tuple)) else [evaluators]:
        if "ann_file" in evaluator:
            evaluator["ann_file"] = file
    return cfg
