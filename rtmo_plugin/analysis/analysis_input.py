"""Input of an analysis: from a config and its model, or from a result file and annotations."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmengine.config import Config

from rtmo_plugin.config.embedded import find_checkpoint
from rtmo_plugin.engine.evaluating import run_evaluation
from rtmo_plugin.errors import ConfigError, DataError, MissingFileError
from rtmo_plugin.evaluation.file_metric import build_file_metric
from rtmo_plugin.evaluation.ground_truth import read_annotations
from rtmo_plugin.evaluation.records import Comparison
from rtmo_plugin.evaluation.results_file import read_results
from rtmo_plugin.files import read_json
from rtmo_plugin.keypoints.installed_sets import list_installed_sets
from rtmo_plugin.keypoints.metainfo import Links, read_class_skeletons, read_keypoint_set
from rtmo_plugin.keypoints.order import list_category_names, match_order, reorder_schema
from rtmo_plugin.keypoints.sets import KEYPOINT_SCHEMAS, find_schema
from rtmo_plugin.keypoints.whole_body import WHOLE_BODY, has_parts
from rtmo_plugin.labels.categories import list_bones
from rtmo_plugin.labels.dataset_keypoints import read_dataset_keypoints
from rtmo_plugin.ops.arrays import Ints
from rtmo_plugin.structures import KeypointSchema

_RESULTS_SUFFIX = ".json"
# Options that belong to a result file without a config.
_RESULTS_OPTIONS = ("annotations", "images", "keypoints")


@dataclass(frozen=True)
class AnalysisInput:
    """Detections of a model on a data set, with what is needed to show them.

    Attributes:
        model: Name of the model or of its result file.
        data: Name of the config or of the annotation file.
        metrics: Metrics of the evaluation by name.
        comparison: People of the data set and detections.
        schema: Keypoint set of both.
        image_paths: Image files by image id; empty if they are not known.
        skeletons: Pairs of keypoints to draw as limbs by category id, for categories that do not have those of the
            schema.
    """

    model: str
    data: str
    metrics: Mapping[str, float]
    comparison: Comparison
    schema: KeypointSchema
    image_paths: Mapping[Hashable, str]
    skeletons: Mapping[Any, Links]

    def find_skeletons(self, categories: Ints) -> list[Links]:
        """Return the pairs of keypoints to draw as limbs for each index of a category in the ground truth."""
        ids = self.comparison.truth.category_ids
        return [self.skeletons.get(ids[index], self.schema.skeleton) for index in categories]


def evaluate_source(source: str | Path | Config, model: str | Path | None, **options: Any) -> AnalysisInput:
    """Evaluate a model by a config, or a result file by its annotations.

    Args:
        source: Config; or result file in COCO's format (.json), with the option ``annotations``.
        model: Model or result file of the config. Default: the checkpoint that ``source`` names.
        **options: Options of ``evaluate_with_config`` or of ``evaluate_results_file``; those that are None are left
            out.

    Raises:
        UserError: An option belongs to the other of the two, or see there.
    """
    given = {name: value for name, value in options.items() if value is not None}
    is_config = isinstance(source, Config) or Path(source).suffix != _RESULTS_SUFFIX
    wrong = [name for name in given if (name in _RESULTS_OPTIONS) == is_config]
    if wrong:
        place = "a result file without a config" if is_config else "a config, and none is given"
        name = {"uncertainty": "uncertainty-calibration"}.get(wrong[0], wrong[0].replace("_", "-"))
        raise ConfigError(f"--{name} goes with {place}.")
    if is_config:
        return evaluate_with_config(source, find_checkpoint(source, model), **given)
    assert not isinstance(source, Config)
    if model is not None or "annotations" not in given:
        raise ConfigError(
            "A result file needs its annotations (--annotations FILE), or a config before it: "
            "rtmo analyze CONFIG RESULTS."
        )
    return evaluate_results_file(source, **given)


def evaluate_with_config(config: str | Path | Config, model: str | Path, **options: Any) -> AnalysisInput:
    """Evaluate a checkpoint, an exported file or a result file on the test data of a config.

    Args:
        config: Path of a config file, or a config.
        model: Model or result file.
        **options: Options of ``run_evaluation``.

    Raises:
        UserError: See ``run_evaluation``.
    """
    found = run_evaluation(config, model, keep_people=True, **options)
    people = found.people
    assert people is not None  # they were asked for
    name = Path(config.filename or "config" if isinstance(config, Config) else config).stem
    schema = read_keypoint_set({**people.metainfo, "sigmas": people.comparison.sigmas})
    own = read_class_skeletons(people.metainfo, len(people.metainfo.get("category_ids") or ()))
    skeletons = dict(zip(people.metainfo["category_ids"], own)) if own and schema.skeleton else {}
    return AnalysisInput(
        Path(model).name, name, found.metrics, people.comparison, schema, people.image_paths, skeletons
    )


def evaluate_results_file(
    results: str | Path, annotations: str | Path, images: str | Path | None = None, keypoints: str | None = None
) -> AnalysisInput:
    """Evaluate a result file in COCO's format, without a config.

    Args:
        results: Result file.
        annotations: Annotation file of the same images; CrowdPose's if the images have a ``crowdIndex``.
        images: Folder of the images. Default: people are drawn on a gray background.
        keypoints: Keypoints of the result file: the name of a known set, such as ``coco`` or ``halpe26``, or a JSON
            file with the fields of ``KeypointSchema``.  Default: those that the annotation file names, in its order.

    Raises:
        UserError: A file is missing or not usable, or the two do not belong together.
    """
    content = read_annotations(annotations)
    schema = _find_keypoints(keypoints, content, annotations)
    metric = build_file_metric(annotations, content, schema)
    metric.process(None, read_results(results))
    metrics = metric.evaluate(len(content["images"]))
    assert metric.comparison is not None
    paths = {image["id"]: str(Path(images or "", str(image.get("file_name", "")))) for image in content["images"]}
    skeletons = _list_skeletons(content.get("categories") or (), schema) if keypoints is None else {}
    names = Path(results).name, Path(annotations).name
    return AnalysisInput(*names, metrics, metric.comparison, schema, paths if images else {}, skeletons)


def _find_keypoints(keypoints: str | None, content: Mapping[str, Any], annotations: str | Path) -> KeypointSchema:
    """Return the requested keypoints, else those that the annotations name, else a known set of the same size."""
    if keypoints is not None:
        is_known = keypoints in KEYPOINT_SCHEMAS or keypoints in list_installed_sets()
        return find_schema(keypoints) if is_known else _read_keypoints(Path(keypoints))
    if any(map(has_parts, content.get("annotations", ()))):
        return find_schema(WHOLE_BODY)
    lengths = {len(each["keypoints"]) // 3 for each in content.get("annotations", ()) if each.get("keypoints")}
    for names in map(list_category_names, content.get("categories") or ()):
        if names is None or lengths - {len(names)}:
            continue
        orders = ((schema, match_order(schema.names, names)) for schema in KEYPOINT_SCHEMAS.values())
        known = [reorder_schema(schema, order) for schema, order in orders if order is not None]
        return known[0] if known else read_dataset_keypoints(annotations).schema
    found = [schema for schema in KEYPOINT_SCHEMAS.values() if lengths == {schema.num_keypoints}]
    if not found:
        raise ConfigError(
            f"The annotation file {annotations} does not name its keypoints, and has neither COCO's nor CrowdPose's "
            "number of them: give a JSON file with `names`, `sigmas`, `flip_pairs` and `skeleton` by --keypoints, or "
            "analyze a config and a model."
        )
    return found[0]


def _list_skeletons(categories: Sequence[Any], schema: KeypointSchema) -> dict[Any, Links]:
    """Return the bones of categories with the keypoints of a set by category id; empty if they do not differ."""
    found: dict[Any, Links] = {}
    for category in categories:
        names = list_category_names(category) or ()
        order = match_order(names, schema.names)
        bones = list_bones(category.get("skeleton"), len(names)) if order is not None else []
        if order is not None and bones:
            places = {old + 1: new for new, old in enumerate(order)}  # COCO counts from 1
            found[category["id"]] = tuple((places[a], places[b]) for a, b in bones)
    return found if len({frozenset(links) for links in found.values()}) > 1 else {}


def _read_keypoints(path: Path) -> KeypointSchema:
    try:
        return KeypointSchema.from_dict(read_json(path))
    except FileNotFoundError:
        known = ", ".join(KEYPOINT_SCHEMAS)
        raise MissingFileError(f"--keypoints {path}: file not found, and the known sets are {known}.") from None
    except (ValueError, TypeError, AttributeError) as error:
        raise DataError(f"--keypoints {path} does not describe keypoints: {error}") from error
