"""A folder of results: each image with the people drawn on it, and ``predictions.json``.

The document holds the keypoint names and one line for each image or frame, as ``PoseResult.to_dict`` returns it:

    {"keypoints": ["nose", "left_eye", ...],
    "images": [
    {"image": "photos/a.jpg", "index": 0, "time": null, "people": [{"score": 0.9, "box": [...], "keypoints":
    [[x, y, visibility], ...]}], "error": null},
    ...
    ]}
"""

from __future__ import annotations

import json
import os
from collections.abc import Generator, Iterable, Sequence
from pathlib import Path

from rtmo_plugin.files import check_outputs, replace_file_also_if_stopped
from rtmo_plugin.media.image_files import make_folder
from rtmo_plugin.media.plot_plan import PlotPlan
from rtmo_plugin.pose.results import PoseResult

PREDICTIONS_FILE = "predictions.json"


class ResultFolder:
    """A folder to write the results of some sources to, checked before any work.

    Args:
        folder: Folder to write to; it need not exist yet.
        sources: Images, videos, addresses and camera numbers; folders and patterns already listed as their files.
        inputs: Other files that must stay as they are, such as the model.

    Raises:
        OutputError: A file would replace an input or cannot be written.
    """

    def __init__(
        self, folder: str | Path, sources: Sequence[str | int | Path], *, inputs: Iterable[str | Path] = ()
    ) -> None:
        self._plan = PlotPlan(folder, sources, inputs=inputs)
        self._predictions = Path(folder, PREDICTIONS_FILE)
        files = [str(source) for source in sources if os.path.exists(str(source))]
        check_outputs([self._predictions], [*files, *inputs])

    def write(self, results: Iterable[PoseResult], keypoint_names: Sequence[str]) -> Generator[PoseResult, None, None]:
        """Yield each result when its image is written, without its pixels; ``predictions.json`` follows at the end.

        An image that cannot be used has its reason in ``predictions.json`` and no image.  A caller that stops early
        leaves a ``predictions.json`` of the results so far; an error leaves an older one as it is.

        Raises:
            ConfigError: The folder cannot be made.
            OutputError: A file cannot be written, for example because the disk is full.
        """
        make_folder(self._predictions.parent, "--out")
        with replace_file_also_if_stopped(self._predictions) as draft, draft.open("w", encoding="utf-8") as file:
            file.write(f'{{"keypoints": {json.dumps(list(keypoint_names))},\n"images": [')
            separator = "\n"
            try:
                for result in results:
                    if result.error is None:
                        result.save(self._plan.choose_path(result.frame))
                    file.write(separator + json.dumps(result.to_dict(), allow_nan=False))
                    separator = ",\n"
                    yield result.drop_image()
            finally:
                file.write("\n]}\n")
