"""Find people in images with a trained model, draw them and write their keypoints down."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from mmengine.config import Config
from mmengine.dataset import Compose, pseudo_collate
from mmengine.registry import init_default_scope
from mmpose.registry import DATASETS, MODELS
from torch import nn

from rtmo_plugin.checkpoints.fit import check_fits, get_state_dict
from rtmo_plugin.checkpoints.name_checks import check_checkpoint_names, check_model_names
from rtmo_plugin.checkpoints.reading import locate_checkpoint, read_checkpoint
from rtmo_plugin.config.config_files import load_config, set_options
from rtmo_plugin.config.custom_data import fill_keypoints_from_data
from rtmo_plugin.engine.console import suppress_library_noise
from rtmo_plugin.engine.hooks.prediction_plots import name_classes, select_predictions
from rtmo_plugin.errors import ConfigError, DataError, MissingFileError, refuse_config_errors
from rtmo_plugin.files import check_outputs, write_file
from rtmo_plugin.keypoints.metainfo import read_links, read_names
from rtmo_plugin.media.drawing import Image, draw_people
from rtmo_plugin.media.frames import Frame
from rtmo_plugin.media.image_files import list_images, make_folder, write_image
from rtmo_plugin.media.images import read_image
from rtmo_plugin.media.plot_plan import PlotPlan
from rtmo_plugin.number_ranges import FRACTION
from rtmo_plugin.progress_bar import show_progress

PREDICTIONS_FILE = "predictions.json"


@dataclass(frozen=True)
class ImagePrediction:
    """The people in one image, coordinates in its pixels.

    Attributes:
        image: Path of the image.
        people: People, each with ``score``, ``box`` (x1, y1, x2, y2) and ``keypoints`` (K times x, y, score), and
            with ``class`` where the model knows several.
        error: Reason why the image could not be used, or None.
    """

    image: str
    people: list[dict[str, Any]]
    error: str | None = None

    def __repr__(self) -> str:
        """Return the image and the number of people in one line."""
        error = "" if self.error is None else f", error={self.error!r}"
        return f"ImagePrediction({self.image!r}, {len(self.people)} people{error})"


class Predictor:
    """A model of a config with the weights of a checkpoint, ready for images.

    Args:
        config: Path of a config file, or a config.
        checkpoint: Path or URL of a checkpoint, or a name such as ``rtmo-s_body7``.
        device: Device in torch's notation. Default: a GPU if there is one.
        cfg_options: Values to change in the config, by dotted key.

    Raises:
        UserError: The config, the checkpoint or the device is wrong.
    """

    def __init__(
        self,
        config: str | Path | Config,
        checkpoint: str | Path,
        *,
        device: str | None = None,
        cfg_options: Mapping[str, Any] | None = None,
    ) -> None:
        cfg = load_config(config)
        set_options(cfg, cfg_options)
        fill_keypoints_from_data(cfg)
        init_default_scope(cfg.get("default_scope", "mmpose"))
        dataset = cfg.test_dataloader.dataset
        with suppress_library_noise(), refuse_config_errors():
            self.metainfo = DATASETS.build({**dataset, "lazy_init": True}).metainfo
            # Whatever loads an image of the test set comes first; here it is in memory already.
            self._pipeline = Compose([dict(type="LoadImage"), *dataset.pipeline[1:]])
            model = MODELS.build(cfg.model)
        check_model_names(model, self.metainfo, "test_dataloader", cfg.get("test_evaluator"))
        path = locate_checkpoint(checkpoint)
        self._model = _load_weights(model, path, self.metainfo).to(_choose_device(device)).eval()

    def predict(self, image: Image, name: str = "The image") -> Any:
        """Return MMPose's data sample with the people in ``image``, (height, width, 3) BGR.

        Raises:
            DataError: The image is too thin to be scaled to the network's input; ``name`` is what
                the message calls it.
        """
        return self.compute(self.prepare(image, name))

    def prepare(self, image: Image, name: str = "The image") -> Any:
        """Return the network's batch for one image, see ``predict``.

        Raises:
            DataError: The image is too thin to be scaled to the network's input.
        """
        info = {"img": image, "img_path": None, "id": 0, "img_id": 0, **self.metainfo}
        try:
            return pseudo_collate([self._pipeline(info)])
        except cv2.error as error:
            size = " x ".join(map(str, image.shape[1::-1]))
            raise DataError(f"{name} has {size} pixels and cannot be scaled to the network's input.") from error

    @torch.no_grad()
    def compute(self, batch: Any) -> Any:
        """Return MMPose's data sample for the one image of a batch of ``prepare``."""
        return self._model.test_step(batch)[0]  # type: ignore[operator]  # torch types it as a tensor


def _choose_device(device: str | None) -> torch.device:
    try:
        chosen = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
        torch.empty(0, device=chosen)
    except (RuntimeError, AssertionError) as error:  # torch built without CUDA asserts
        raise ConfigError(f"--device {device} cannot be used here: {str(error).splitlines()[0]}") from error
    return chosen


def _load_weights(model: nn.Module, path: Path, metainfo: Mapping[str, Any]) -> nn.Module:
    content = read_checkpoint(path)
    check_fits(model, content, path)
    check_checkpoint_names(content, path, metainfo)
    model.load_state_dict(get_state_dict(content), strict=False)  # what may be missing or left over was checked
    return model


def predict(
    config: str | Path | Config,
    checkpoint: str | Path,
    images: str | Path,
    out: str | Path,
    *,
    score_thr: float = 0.3,
    device: str | None = None,
    cfg_options: Mapping[str, Any] | None = None,
) -> list[ImagePrediction]:
    """Draw the people in an image or in all images of a folder, and write ``predictions.json``.

    An image that cannot be used is noted in the result, and the others go on.

    Args:
        config: Path of a config file, or a config.
        checkpoint: Path or URL of a checkpoint, or a name such as ``rtmo-s_body7``.
        images: An image or a folder.
        out: Folder for the drawn images, which keep their names, and for ``predictions.json``.
        score_thr: Lowest score of a person.
        device: Device in torch's notation. Default: a GPU if there is one.
        cfg_options: Values to change in the config, by dotted key.

    Raises:
        UserError: The config, the checkpoint or the path is wrong, a drawn image would replace an image, or no image
            could be used.
    """
    FRACTION.check("score_thr", score_thr)
    paths = list_images(images)
    plan = PlotPlan(out, paths, inputs=[checkpoint])
    check_outputs([Path(out) / PREDICTIONS_FILE], [*paths, checkpoint])
    folder = make_folder(out, "--out")
    predictor = Predictor(config, checkpoint, device=device, cfg_options=cfg_options)
    with suppress_library_noise():
        bar = show_progress(paths, unit="image")
        results = [_predict_file(predictor, path, plan, score_thr) for path in bar]
    write_predictions(folder / PREDICTIONS_FILE, results, predictor.metainfo)
    failed = [result for result in results if result.error]
    if len(failed) == len(results):
        raise DataError(f"No image of {images} could be used: {failed[0].error}")
    return results


def _predict_file(predictor: Predictor, path: Path, plan: PlotPlan, score_thr: float) -> ImagePrediction:
    """Predict one image, write it with its people drawn, and return them or the error."""
    try:
        image = read_image(path)
        sample = predictor.predict(image, str(path))
    except (DataError, MissingFileError) as error:
        return ImagePrediction(path.name, [], str(error))
    keypoints, keypoint_scores, scores, boxes, labels = select_predictions(sample, score_thr)
    names = name_classes(labels, predictor.metainfo)
    skeleton, flip_pairs = read_links(predictor.metainfo)
    drawn = draw_people(image, keypoints, keypoint_scores, skeleton, flip_pairs=flip_pairs, texts=names)
    write_image(plan.choose_path(Frame(None, str(path), path)), drawn)
    poses = np.concatenate([keypoints, keypoint_scores[..., None]], axis=-1)
    people = [
        {"score": float(score), "box": box.round(2).tolist(), "keypoints": pose.round(3).tolist()}
        for score, box, pose in zip(scores, boxes, poses)
    ]
    named = [{"class": name, **person} for name, person in zip(names, people)]
    return ImagePrediction(path.name, named or people)


def write_predictions(path: Path, results: Sequence[ImagePrediction], metainfo: Mapping[str, Any]) -> None:
    """Write ``results`` as JSON, one image a line, with the names of the keypoints."""
    names = list(read_names(metainfo) or ())
    images = ",\n".join(json.dumps(asdict(result)) for result in results)
    write_file(path, f'{{"keypoints": {json.dumps(names)},\n"images": [\n{images}\n]}}\n')
