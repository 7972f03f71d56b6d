"""A checkpoint as a function from images to detections, with the interface of ``ExportedModel``; needs torch.

On NVIDIA GPUs it is replayed as a CUDA graph (``ReplayedModel``); elsewhere, and for what cannot be recorded, it is
computed by MMPose's test pipeline.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from threading import Lock
from time import perf_counter
from typing import Any

import cv2
import torch
from mmengine.config import Config
from mmengine.dataset import Compose, pseudo_collate

from rtmo_plugin.config.edits import require_sections
from rtmo_plugin.engine.console import suppress_library_noise
from rtmo_plugin.engine.hooks.prediction_plots import read_detections
from rtmo_plugin.engine.loaded_model import load_model
from rtmo_plugin.engine.recordings import CUDARecorder
from rtmo_plugin.errors import ConfigError, DataError, refuse_config_errors
from rtmo_plugin.keypoints.metainfo import read_class_skeletons, read_keypoint_set
from rtmo_plugin.media.drawing import Image
from rtmo_plugin.number_ranges import FRACTION, STREAMS
from rtmo_plugin.pose.graph_building import build_people_graph, find_graph_obstacle
from rtmo_plugin.pose.replayed_model import ReplayedModel
from rtmo_plugin.runtime.detections import Detections
from rtmo_plugin.runtime.letterbox import check_has_pixels
from rtmo_plugin.runtime.model_info import ModelInfo

# By the name of the option. float16 is as fast as bfloat16 and has three bits more; it overflows where a network
# computes numbers above 65,504, which is found and computed in float32.
_DTYPES = {"auto": torch.float16, "float16": torch.float16, "bfloat16": torch.bfloat16, "float32": torch.float32}
_NUM_STREAMS = 2  # images of one batch are copied while another is computed


class CheckpointModel:
    """A model of a config with the weights of a checkpoint, which computes in MMPose's test pipeline.

    Args:
        config: Path of a config file, name of a shipped config, checkpoint that carries its config, or a config.
        checkpoint: Path or URL of a checkpoint, or a name such as ``rtmo-s_body7``.
        score_thr: Lowest score of a detection; the config's ``model.test_cfg.score_thr`` applies before it.
        device: Device in torch's notation. Default: a GPU if there is one.
        cfg_options: Values to change in the config, by dotted key.
        uncertainty: Whether detections have the standard deviations of their keypoints.
        graphs: Whether to use CUDA graphs, in half precision, on an NVIDIA GPU. Otherwise the model is computed in
            float32, one image at a time.
        precision: Precision of convolutions and attention in CUDA graphs: ``"auto"`` (float16), ``"float16"``,
            ``"bfloat16"`` or ``"float32"``; boxes and keypoints are decoded in float32. Without graphs: ``"auto"`` or
            ``"float32"``.
        streams: Number of batches that are computed side by side in CUDA graphs, each with its own memory. Default: 2
            with graphs, else 1.

    Attributes:
        info: Keypoint set and classes of the model.
        streams: Number of batches that it computes side by side.

    Raises:
        UserError: The config, the checkpoint, the device or an option is wrong.
    """

    def __init__(  # noqa: PLR0913  (every option has a default)
        self,
        config: str | Path | Config,
        checkpoint: str | Path,
        *,
        score_thr: float = 0.3,
        device: str | None = None,
        cfg_options: Mapping[str, Any] | None = None,
        uncertainty: bool = False,
        graphs: bool = True,
        precision: str = "auto",
        streams: int | None = None,
    ) -> None:
        FRACTION.check("score_thr", score_thr)
        if streams is not None:
            STREAMS.check("streams", streams)
        if precision not in _DTYPES:
            raise ConfigError(f"The precision {precision} is unknown: choose {', '.join(_DTYPES)}.")
        loaded = load_model(config, checkpoint, device=device, cfg_options=cfg_options)
        require_sections(loaded.cfg, ("test_dataloader",))
        self._model, self._metainfo, self._score_thr = loaded.model, loaded.metainfo, score_thr
        if uncertainty:
            self._model.test_cfg = {**(self._model.test_cfg or {}), "uncertainty": True}
            if getattr(self._model.head, "coordinates", "proxy") == "proxy":
                raise ConfigError(f"{checkpoint} has no distributions of keypoints, and so no uncertainty.")
        with suppress_library_noise(), refuse_config_errors():
            # The first step of a test pipeline reads the image file; here the image is in memory already.
            steps = loaded.cfg.test_dataloader.dataset.pipeline[1:]
            self._pipeline = Compose([dict(type="LoadImage"), *steps])
        self.info = ModelInfo(
            read_keypoint_set(loaded.metainfo),
            loaded.classes,
            class_skeletons=read_class_skeletons(loaded.metainfo, len(loaded.classes)),
        )
        self._eager = Lock()  # MMPose's pipeline is for one thread
        self._replayed: ReplayedModel | None = None
        recorders = [CUDARecorder() for _ in range(streams or _NUM_STREAMS)]
        obstacle = find_graph_obstacle(loaded, recorders[0]) if graphs else "they are turned off"
        if obstacle is None:
            self._replayed = ReplayedModel(build_people_graph(loaded, _DTYPES[precision]), recorders)
            self._replayed.warm_up()
        else:
            _refuse_options_of_graphs(obstacle, precision, streams)
        self.streams = 1 if self._replayed is None else len(recorders)

    def predict_batch(self, images: Sequence[Image], names: Sequence[str] | None = None) -> list[Detections]:
        """Return the detections in each image, in pixels of that image; without graphs one image at a time.

        Args:
            images: Images, (height, width, 3) BGR.
            names: Names of the images in messages. Default: their numbers.

        Raises:
            DataError: An image is too thin to be scaled to the network's input.
            NonFiniteError: The model computes NaN or infinity.
        """
        names = names or [f"Image {index}" for index in range(len(images))]
        for image, name in zip(images, names):
            check_has_pixels(image, name)
        found = [None] * len(images) if self._replayed is None else self._replayed.predict(images)
        return [
            self._predict_eagerly(image, name) if people is None else people.select(people.scores >= self._score_thr)
            for people, image, name in zip(found, images, names)
        ]

    def _predict_eagerly(self, image: Image, name: str) -> Detections:
        with self._eager:
            return self._finish(self._compute(self._prepare(image, name)))

    def time_parts(self, image: Image) -> dict[str, float]:
        """Return the seconds of the parts of ``predict_batch``, as in ``ExportedModel``; NMS counts as network.

        With CUDA graphs, everything counts as network.
        """
        start = perf_counter()
        if self._replayed is not None:
            self.predict_batch([image])
            return {"before": 0.0, "network": perf_counter() - start, "after": 0.0}
        batch = self._prepare(image, "The image")
        prepared = perf_counter()
        sample = self._compute(batch)
        computed = perf_counter()
        self._finish(sample)
        return {"before": prepared - start, "network": computed - prepared, "after": perf_counter() - computed}

    def _prepare(self, image: Image, name: str) -> Any:
        """Return the batch of one image, as the config's test pipeline and MMEngine's loader make it."""
        info = {"img": image, "img_path": None, "id": 0, "img_id": 0, **self._metainfo}
        try:
            return pseudo_collate([self._pipeline(info)])
        except cv2.error as error:
            size = " x ".join(map(str, image.shape[1::-1]))
            raise DataError(f"{name} has {size} pixels and cannot be scaled to the network's input.") from error

    @torch.no_grad()
    def _compute(self, batch: Any) -> Any:
        return self._model.test_step(batch)[0]

    def _finish(self, sample: Any) -> Detections:
        """Return the detections of MMPose's data sample."""
        detections = read_detections(sample, self._score_thr)
        detections.check_finite()
        return detections


def _refuse_options_of_graphs(obstacle: str, precision: str, streams: int | None) -> None:
    """Check that no option needs CUDA graphs, which are not used.

    Raises:
        ConfigError: One does.
    """
    given = f"precision {precision}" if _DTYPES[precision] is not torch.float32 and precision != "auto" else ""
    given = given or (f"{streams} streams" if streams not in (None, 1) else "")
    if given:
        raise ConfigError(f"A checkpoint has {given} with CUDA graphs alone, and {obstacle}.")
