"""Pictures of a model's predictions during validation and testing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from mmengine.hooks import Hook
from mmengine.runner import Runner
from mmpose.structures import PoseDataSample
from torch import Tensor

from rtmo_plugin.inference.drawing import draw_people
from rtmo_plugin.inference.files import read_image, write_image


class PictureHook(Hook):  # type: ignore[misc]  # MMEngine has no types
    """Write one picture for each evaluated image.

    The image comes from its file; one that was never in a file, such as a synthetic one, is drawn as
    the network saw it.

    Args:
        out_dir: Folder for the pictures; validations get a sub-folder for each epoch.
        score_thr: People with a lower score are left out.
    """

    def __init__(self, out_dir: str | Path, score_thr: float = 0.3) -> None:
        self._out_dir = Path(out_dir)
        self._score_thr = score_thr

    def after_val_iter(self, runner: Runner, batch_idx: int, data_batch: Any, outputs: Any) -> None:
        """Draw the batch into ``epoch_N``."""
        folder = self._out_dir / f"epoch_{runner.epoch}"
        self._draw_batch(folder, data_batch["inputs"], outputs, runner.val_evaluator.dataset_meta)

    def after_test_iter(self, runner: Runner, batch_idx: int, data_batch: Any, outputs: Any) -> None:
        """Draw the batch into the folder itself."""
        self._draw_batch(self._out_dir, data_batch["inputs"], outputs, runner.test_evaluator.dataset_meta)

    def _draw_batch(
        self, folder: Path, inputs: Sequence[Tensor], samples: Sequence[PoseDataSample], meta: Mapping[str, Any]
    ) -> None:
        for tensor, sample in zip(inputs, samples):
            keypoints, scores, *_ = select_people(sample, self._score_thr)
            path = Path(sample.get("img_path") or "")
            if path.is_file():
                image = read_image(path)
            else:
                image = np.ascontiguousarray(tensor.cpu().numpy().transpose(1, 2, 0).astype(np.uint8))
                keypoints = _to_input(keypoints, sample)
            name = path.stem or str(sample.get("img_id"))
            write_image(folder / f"{name}.jpg", draw_people(image, keypoints, scores, **read_skeleton(meta)))


def select_people(sample: PoseDataSample, score_thr: float) -> tuple[Any, Any, Any, Any]:
    """Return the people whose score is at least ``score_thr``.

    Returns:
        Keypoints (N, K, 2) in pixels of the image, their scores (N, K), the people's scores (N,)
        and their boxes (N, 4) as x1, y1, x2, y2.
    """
    people = sample.pred_instances
    kept = np.asarray(people.bbox_scores) >= score_thr
    values = (people.keypoints, people.keypoint_scores, people.bbox_scores, people.bboxes)
    keypoints, keypoint_scores, scores, boxes = (np.asarray(value)[kept] for value in values)
    return keypoints, keypoint_scores, scores, boxes


def read_skeleton(meta: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments of ``draw_people`` that a data set's metainfo decides."""
    names = meta["keypoint_id2name"]
    pairs = [sorted(pair, key=lambda k: "left" not in names[k]) for pair in meta.get("flip_pairs", [])]
    return {"skeleton": meta.get("skeleton_links", []), "flip_pairs": pairs}


def _to_input(keypoints: Any, sample: PoseDataSample) -> Any:
    """Map keypoints from the image to the network's input, which MMPose letterboxes about the centre."""
    meta = {name: np.asarray(sample.metainfo[f"input_{name}"], dtype=float) for name in ("center", "scale", "size")}
    return (keypoints - meta["center"] + meta["scale"] / 2) / meta["scale"] * meta["size"]
