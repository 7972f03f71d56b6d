"""Plots of a model's predictions during validation and testing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from mmengine.hooks import Hook
from mmengine.runner import Runner
from mmpose.structures import PoseDataSample

from rtmo_plugin.data.stored_images import read_stored_image
from rtmo_plugin.keypoints.metainfo import find_skeletons, read_links
from rtmo_plugin.media.drawing import Image, draw_people
from rtmo_plugin.media.frames import Frame
from rtmo_plugin.media.image_files import write_image
from rtmo_plugin.media.images import read_image
from rtmo_plugin.media.plot_plan import PlotPlan
from rtmo_plugin.registry import HOOKS
from rtmo_plugin.runtime.detections import Detections


@HOOKS.register_module()
class PictureHook(Hook):
    """Plot the predictions of each evaluated image in a file with the name of the image.

    Unlike with MMPose's ``PoseVisualizationHook``, relative folders are not nested one deeper with each image.  Images
    of the same name in several folders get separate plots, and no image of the data set is overwritten.

    Args:
        out_dir: Output folder; validations get a subfolder for each epoch.
        score_thr: Lowest score of a plotted person.
    """

    def __init__(self, out_dir: str | Path, score_thr: float = 0.3) -> None:
        self._out_dir = Path(out_dir)
        self._score_thr = score_thr
        self._plan: PlotPlan | None = None

    def before_val(self, runner: Runner) -> None:
        """Choose the file names of the plots, in ``epoch_N`` after epoch N."""
        self._plan = _plan_plots(self._out_dir / f"epoch_{runner.epoch}", runner.val_loop.dataloader.dataset)

    def before_test(self, runner: Runner) -> None:
        """Choose the file names of the plots, in the output folder itself."""
        self._plan = _plan_plots(self._out_dir, runner.test_loop.dataloader.dataset)

    def after_val_iter(self, runner: Runner, batch_idx: int, data_batch: Any, outputs: Any) -> None:
        """Plot the batch."""
        self._plot_batch(outputs, runner.val_evaluator.dataset_meta)

    def after_test_iter(self, runner: Runner, batch_idx: int, data_batch: Any, outputs: Any) -> None:
        """Plot the batch."""
        self._plot_batch(outputs, runner.test_evaluator.dataset_meta)

    def _plot_batch(self, samples: Sequence[PoseDataSample], meta: Mapping[str, Any]) -> None:
        assert self._plan is not None  # set by ``before_val`` and ``before_test``
        _, flip_pairs = read_links(meta)
        for sample in samples:
            people = read_detections(sample, self._score_thr)
            image = read_stored_image(str(sample.img_path))
            path = self._plan.choose_path(Frame(None, str(sample.img_path)))
            options: dict[str, Any] = {"flip_pairs": flip_pairs, "texts": name_classes(people.labels, meta)}
            skeletons = find_skeletons(meta, people.labels.tolist())
            write_image(path, draw_people(image, people.keypoints, people.keypoint_scores, skeletons, **options))


def _plan_plots(folder: Path, dataset: Any) -> PlotPlan:
    """Return the file names of the plots of a data set.

    Raises:
        OutputError: A plot would overwrite an image of the data set.
    """
    paths = [dataset.get_data_info(index)["img_path"] for index in range(len(dataset))]
    return PlotPlan(folder, paths, suffix=".jpg")


def read_detections(sample: PoseDataSample, score_thr: float) -> Detections:
    """Return the detections in MMPose's data sample whose score is at least ``score_thr``, in pixels of the image."""
    people = sample.pred_instances
    kept = np.asarray(people.bbox_scores) >= score_thr
    labels = people.get("labels", np.zeros(len(kept), int))  # MMPose's heads predict no labels
    values = (people.bboxes, people.bbox_scores, people.keypoints, people.keypoint_scores, labels)
    boxes, scores, keypoints, keypoint_scores, labels = (np.asarray(value)[kept] for value in values)
    deviations = people.get("keypoint_deviations")
    if deviations is not None:  # MMPose's estimator converts boxes and keypoints alone to pixels of the image
        deviations = deviations[kept] / sample.metainfo["input_size"] * sample.metainfo["input_scale"]
    return Detections(boxes, scores, keypoints, keypoint_scores, labels.astype(np.int64), deviations)


def name_classes(labels: Iterable[int], meta: Mapping[str, Any]) -> list[str]:
    """Return the class name of each person; an empty list if the data set has one class."""
    classes = meta.get("classes", ())
    return [classes[label] for label in labels] if len(classes) > 1 else []


def write_contact_sheet(plots: Sequence[Path], path: Path, num_columns: int = 4) -> None:
    """Write plots side by side into one image; an empty list writes no file.

    Raises:
        DataError: A plot cannot be read.
    """
    if plots:
        write_image(path, tile_images([read_image(plot) for plot in plots], num_columns))


def tile_images(images: Sequence[Image], num_columns: int = 4) -> Image:
    """Return (H, W, 3) images side by side, at least one, each resized to the size of the first."""
    height, width = images[0].shape[:2]
    num_rows = -(-len(images) // num_columns)
    sheet = np.full((num_rows * height, min(num_columns, len(images)) * width, 3), 114, np.uint8)
    for index, image in enumerate(images):
        row, column = divmod(index, num_columns)
        cell = sheet[row * height : (row + 1) * height, column * width : (column + 1) * width]
        cell[:] = cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)
    return sheet
