"""The registered metrics of COCO's and CrowdPose's keypoints."""

from __future__ import annotations

import contextlib
import copy
import dataclasses
import io
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from faster_coco_eval import COCO
from mmengine.evaluator import BaseMetric
from mmengine.logging import MessageHub
from numpy.typing import NDArray

from rtmo_plugin.errors import DataError
from rtmo_plugin.evaluation.ground_truth import (
    Json,
    collect_annotations,
    keep_needed,
    make_ground_truth,
    read_annotations,
)
from rtmo_plugin.evaluation.oks_matching import (
    Matcher,
    make_empty_curves,
    summarize_coco,
    summarize_crowdpose,
    summarize_parts,
)
from rtmo_plugin.evaluation.predictions import (
    Predictions,
    drop_repeated,
    find_detections,
    parse_sample,
    rank_predictions,
)
from rtmo_plugin.evaluation.records import (
    CROWD,
    Comparison,
    Curves,
    DatasetDetections,
    GroundTruth,
    KeypointMapping,
    MetricOptions,
    SampleResult,
)
from rtmo_plugin.evaluation.results_file import write_results, write_truth
from rtmo_plugin.keypoints.metainfo import read_names
from rtmo_plugin.registry import METRICS

_SAMPLES = "the samples' `raw_ann_info`"
_CROWDINGS = ("AP(E)", "AP(M)", "AP(H)")


@METRICS.register_module()
class CocoMetric(BaseMetric):
    """AP and AR of keypoints by OKS, with the options and to the digit the numbers of MMPose 1.3's ``CocoMetric``.

    Nothing goes through files.  Without any detection AP is 0; without people of a size to find, its
    numbers are -1, as in the COCO tools.  Different from MMPose on purpose: the ground
    truth of samples is that of each evaluation instead of the first one, a sample that comes twice
    counts once whatever the sampler, keypoints of the annotation file are found by their names, and what
    cannot be evaluated is an error.

    Args:
        ann_file: COCO annotation file.  Without one the metric takes the file of the data set, as
            MMPose's do; and without such a file, the samples' own ``raw_ann_info``.
        collect_device: Device on which the results of several processes are gathered: ``cpu`` or ``gpu``.
        prefix: Prefix of the names of the metrics. Default: ``coco``.
        **options: Fields of ``MetricOptions``.

    Every option is an attribute as well, which the next evaluation reads.

    Attributes:
        comparison: People and detections of the last evaluation, for a closer look
            (``analysis.measures``); None before, and in processes that did not compute the metrics.

    Raises:
        ValueError: An option has a value that is not allowed.
        TypeError: An option is unknown.
        DataError: The annotation file is damaged; later, data or predictions are not usable.
        MissingFileError: The annotation file does not exist.
    """

    default_prefix = "coco"
    OPTIONS = MetricOptions

    def __init__(
        self, ann_file: str | None = None, collect_device: str = "cpu", prefix: str | None = None, **options: Any
    ) -> None:
        super().__init__(collect_device=collect_device, prefix=prefix)
        self.comparison: Comparison | None = None
        self._collected: Json | None = None
        checked = MetricOptions(**options)
        for field in dataclasses.fields(checked):  # under MMPose's names
            setattr(self, f"_{field.name}" if field.name == "sigmas" else field.name, getattr(checked, field.name))
        self.ann_file = ann_file
        self._prediction_mapping = KeypointMapping.from_config(self._options.pred_converter)
        self._truth_mapping = KeypointMapping.from_config(self._options.gt_converter)
        self._where = f"the annotation file {ann_file}" if ann_file else _SAMPLES
        self._content: Json | None = read_annotations(ann_file) if ann_file else None
        if ann_file and not self._options.format_only and "annotations" not in (self._content or {}):
            raise DataError(f"The annotation file {ann_file} has no list `annotations`, which evaluation needs.")

    @property
    def _options(self) -> MetricOptions:
        names = [field.name for field in dataclasses.fields(MetricOptions)]
        return MetricOptions(**{name: getattr(self, "_sigmas" if name == "sigmas" else name) for name in names})

    @property
    def coco(self) -> COCO | None:
        """Ground truth with the methods of the COCO tools, under MMPose's name for it.

        None without an annotation file, until something is evaluated.  With a ``gt_converter`` the
        annotations have the converted keypoints.
        """
        known = self._collected if self._content is None else self._content
        if known is None:
            return None
        content, mapping = copy.deepcopy(known), self._truth_mapping
        for person in (content.get("annotations") or ()) if mapping else ():
            assert mapping is not None
            keypoints = np.reshape(person["keypoints"], (1, -1, 3))
            person["keypoints"] = mapping.apply(keypoints).ravel().tolist()
            person["num_keypoints"] = mapping.num_keypoints
        with contextlib.redirect_stdout(io.StringIO()):  # pycocotools prints timings
            return COCO(content)

    @BaseMetric.dataset_meta.setter  # type: ignore[untyped-decorator]
    def dataset_meta(self, dataset_meta: Mapping[str, Any]) -> None:
        """Take the metainfo of the data set, and its annotation file where the metric was given none.

        With a ``gt_converter`` the metric's ``dataset_meta`` has the converted ``sigmas`` and ``num_keypoints``.
        """
        if self._truth_mapping and dataset_meta is not None:
            sigmas = self._truth_mapping.apply(np.asarray(dataset_meta["sigmas"])[None], fill=1)[0]
            dataset_meta = {**dataset_meta, "sigmas": sigmas, "num_keypoints": len(sigmas)}
        self._dataset_meta = dataset_meta
        if self._content is None:
            name = f"{dataset_meta.get('dataset_name')}_ann_file"
            path = MessageHub.get_current_instance().get_info(name, None)
            if path is not None:
                self._content, self._where = read_annotations(path), f"the annotation file {path}"

    @property
    def sigmas(self) -> NDArray[Any]:
        """The keypoints' sigmas (K,), of the options or of the data set."""
        if self._sigmas is None:
            return np.asarray(self.dataset_meta["sigmas"])
        sigmas = np.asarray(self._sigmas)
        return self._truth_mapping.apply(sigmas[None], fill=1)[0] if self._truth_mapping else sigmas

    def process(self, data_batch: Any, data_samples: Sequence[Mapping[str, Any]]) -> None:
        """Keep what evaluation needs of a batch.

        Args:
            data_batch: Unused input of the model.
            data_samples: Samples as ``predictions.parse_sample`` takes them; without an annotation file also with
                ``raw_ann_info``, and for CrowdPose ``crowd_index``.

        Raises:
            DataError: Predictions or ground truth are not usable.
        """
        for sample in data_samples:
            category_ids = (self.dataset_meta or {}).get("category_ids")
            result = parse_sample(sample, len(self.sigmas), self._prediction_mapping, category_ids)
            if self._content is None:
                result = self._add_truth(result, sample)
            self.results.append(result)

    def _add_truth(self, result: SampleResult, sample: Mapping[str, Any]) -> SampleResult:
        if "raw_ann_info" not in sample:
            raise DataError(
                "The metric has no annotations: give it an `ann_file`, or put 'raw_ann_info' into the meta_keys of "
                "PackPoseInputs."
            )
        given = sample["raw_ann_info"]
        image = {"id": result.image_id, **({"crowdIndex": sample["crowd_index"]} if "crowd_index" in sample else {})}
        if "ori_shape" in sample:
            image["height"], image["width"] = map(int, sample["ori_shape"][:2])
        return dataclasses.replace(
            result, image=image, annotations=keep_needed(given if isinstance(given, (list, tuple)) else [given])
        )

    def list_names(self) -> list[str]:
        """Return the names of the metrics that there may be, with their prefix, but for those of classes."""
        nothing = make_empty_curves()
        names = [*summarize_coco(nothing)]
        if self._options.iou_type == CROWD:
            names += [*summarize_crowdpose(nothing, dict.fromkeys(_CROWDINGS, nothing))]
        return [f"{self.prefix}/{name}" for name in dict.fromkeys(names)]

    def evaluate(self, size: int) -> dict[str, float]:
        """Gather the results of all processes once, and return the metrics.

        Args:
            size: Not used: MMEngine cuts the results at the size of the data set and relies on the
                sampler's order; here a sample that comes twice is known by its ids.
        """
        metrics: dict[str, float] = super().evaluate(sys.maxsize)
        return metrics

    def compute_metrics(self, results: Sequence[SampleResult]) -> dict[str, float]:
        """Return the metrics by name; none for ``format_only``.

        Args:
            results: Results of all samples of the data set.

        Raises:
            DataError: Predictions and ground truth do not belong together.
        """
        results = drop_repeated(results)
        found = rank_predictions(results, self._options, len(self.sigmas), self.sigmas)
        if self._options.outfile_prefix is not None:
            self._write_results(found, Path(f"{self._options.outfile_prefix}.keypoints.json"))
        if self._options.format_only:
            return {}
        truth = self._make_truth(results)
        self.comparison = Comparison(truth, self._find_detections(found, truth), self.sigmas)
        return self._summarize(Matcher(self.comparison), truth)

    def _find_detections(self, found: Predictions, truth: GroundTruth) -> DatasetDetections:
        return find_detections(found, truth, self._where)

    def _write_results(self, found: Predictions, path: Path) -> None:
        write_results(found, path)

    def _make_truth(self, results: Sequence[SampleResult]) -> GroundTruth:
        content = self._content
        if content is None:
            content = self._collected = collect_annotations(results, self.dataset_meta.get("CLASSES"))
            if self.outfile_prefix is not None:
                write_truth(content, Path(f"{self.outfile_prefix}.gt.json"))
        names = None if self._truth_mapping else read_names(self.dataset_meta)
        return make_ground_truth(content, self._where, self._options, len(self.sigmas), self._truth_mapping, names)

    def _summarize(self, matcher: Matcher, truth: GroundTruth) -> dict[str, float]:
        curves = matcher.match()
        if self._options.iou_type != CROWD or truth.crowd_index is None:
            return {**summarize_coco(curves), **self._summarize_classes(curves, truth)}
        crowding = np.digitize(truth.crowd_index, self._options.crowd_index_splits)
        by_crowding = {name: matcher.match(np.flatnonzero(crowding == level)) for level, name in enumerate(_CROWDINGS)}
        return {**summarize_crowdpose(curves, by_crowding), **self._summarize_classes(curves, truth)}

    def _summarize_classes(self, curves: Curves, truth: GroundTruth) -> dict[str, float]:
        """Return AP and AR of each category, named like it, if they were asked for and there are several."""
        if not self._options.class_wise or len(truth.category_ids) < 2:
            return {}
        known = self._collected if self._content is None else self._content
        names = {each["id"]: str(each.get("name", each["id"])) for each in (known or {}).get("categories") or ()}
        return summarize_parts(
            {names.get(each, str(each)): curves.select_category(index) for index, each in enumerate(truth.category_ids)}
        )


@METRICS.register_module()
class CrowdPoseMetric(CocoMetric):
    """AP and AR of keypoints on CrowdPose, with the AP of easy, medium and hard images.

    The same as ``CocoMetric(iou_type='keypoints_crowd', use_area=False, prefix='crowdpose')``: areas are
    0.53 x width x height of the box, and people whose ``num_keypoints`` (the visible ones) is 0 are
    ignored.

    Easy is a ``crowdIndex`` below 0.2, hard one of 0.8 and above.  The paper says 0.1 and 0.8; but the
    official evaluation program, and xtcocotools with MMPose 1.3 after it, split at 0.2 and 0.8, and so
    do all published numbers that come from them.  ``crowd_index_splits=(0.1, 0.8)`` gives the paper's.

    Args:
        ann_file: COCO annotation file, see ``CocoMetric``.
        **options: Arguments of ``CocoMetric`` and fields of ``MetricOptions``.

    Raises:
        DataError: Besides ``CocoMetric``'s reasons, ``crowdIndex`` or ``num_keypoints`` is missing.
    """

    default_prefix = "crowdpose"

    def __init__(self, ann_file: str | None = None, **options: Any) -> None:
        super().__init__(ann_file, **{"iou_type": CROWD, "use_area": False, **options})
