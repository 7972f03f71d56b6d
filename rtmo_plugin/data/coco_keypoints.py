"""The registered dataset of COCO files with any keypoints, any number of classes and ids of any value."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from mmpose.datasets.datasets.base import BaseCocoStyleDataset

from rtmo_plugin.data.metainfo import describe_schema
from rtmo_plugin.errors import ConfigError, DataError
from rtmo_plugin.keypoints.order import find_category_orders, reorder_keypoints
from rtmo_plugin.keypoints.person_boxes import complete_person
from rtmo_plugin.keypoints.sets import find_schema
from rtmo_plugin.registry import DATASETS
from rtmo_plugin.structures import KeypointSchema

_MAX_CLASSES = 127  # MMPose's target codec holds labels in eight bits


@DATASETS.register_module()
class CocoKeypoints(BaseCocoStyleDataset):
    """Images and people of a COCO file whose categories have the keypoints of a schema.

    Categories are found by their names, so that files may number them differently.  Records carry
    the class as MMPose's codecs want it, numbered from 1 in the order of ``classes``, and the metainfo
    has ``classes`` and, for evaluation, the file's own ``category_ids`` in the same order.  Keypoints are
    found by their names as well: a file may list them in another order, and records have that of the schema.
    A box without area becomes one around the labelled keypoints with a margin (``keypoint_boxes``).

    Args:
        keypoints: Name of a keypoint set, or a dict of its fields.
        classes: Names of the C categories.
        use_area: Whether to take people's own ``area``; else it is 0.53 of the box.
        data_mode: MMPose's ``'bottomup'`` (records of images) or ``'topdown'`` (records of people).
        **options: For MMPose's ``BaseCocoStyleDataset`` (``ann_file``, ``data_root``, ``pipeline``, ...).

    Raises:
        KeyError: An unknown keypoint set.
        ConfigError: More classes than MMPose's codecs can hold.
        DataError: Later, on reading: the file has no category of one of the names, or other keypoints.
    """

    def __init__(
        self,
        *,
        keypoints: str | Mapping[str, Any] | KeypointSchema,
        classes: Sequence[str],
        use_area: bool = True,
        data_mode: str = "bottomup",
        **options: Any,
    ) -> None:
        if len(classes) > _MAX_CLASSES:
            raise ConfigError(f"MMPose's targets hold {_MAX_CLASSES} classes, and there are {len(classes)}.")
        self.classes = tuple(classes)
        self._use_area = use_area
        self._numbers: dict[Any, int] = {}
        self._orders: dict[Any, tuple[int, ...]] = {}
        self._schema = find_schema(keypoints)
        super().__init__(metainfo=describe_schema("custom", self._schema), data_mode=data_mode, **options)
        self._metainfo["classes"] = self.classes

    @property
    def is_reordered(self) -> bool:
        """Whether the file, once read, turned out to list the keypoints in another order than the schema."""
        return bool(self._orders)

    def parse_data_info(self, raw_data_info: dict[str, Any]) -> dict[str, Any] | None:
        """Return the record of a person, or None for categories that are not asked for."""
        if not self._numbers:  # the base class has just read the categories
            self._numbers = self._number_categories()
            self._orders = self._order_keypoints()
        person, image = raw_data_info["raw_ann_info"], raw_data_info["raw_img_info"]
        number = self._numbers.get(person.get("category_id"))
        if number is None or "keypoints" not in person:
            return None
        if len(person["keypoints"]) != 3 * self._schema.num_keypoints:
            raise DataError(
                f"Annotation {person.get('id')} of {self.ann_file} has {len(person['keypoints'])} numbers in "
                f"`keypoints`, and {self._schema.num_keypoints} keypoints have {3 * self._schema.num_keypoints}."
            )
        order = self._orders.get(person["category_id"])
        if order:
            person = {**person, "keypoints": reorder_keypoints(person["keypoints"], order)}
        if not self._use_area:
            person = {**person, "area": None}
        person = complete_person(person, (image["width"], image["height"]))
        record = super().parse_data_info({"raw_ann_info": person, "raw_img_info": image})
        if record is None:
            return None
        outline = record["segmentation"] or None  # labelling programs write [], which no mask can be made of
        return {**record, "category_id": np.array(number), "segmentation": outline}

    def _order_keypoints(self) -> dict[Any, tuple[int, ...]]:
        """Return the places of the schema's keypoints by category id, where a category has another order.

        The metainfo's ``CLASSES`` get the order of the schema, which is that of all records.
        """
        categories = [each for each in self._metainfo["CLASSES"] if each["name"] in self.classes]
        orders = find_category_orders(categories, self._schema.names, self.ann_file)
        if orders:
            self._metainfo["CLASSES"] = [
                {**each, "keypoints": [*self._schema.names]} if each["id"] in orders else each
                for each in self._metainfo["CLASSES"]
            ]
        return orders

    def _number_categories(self) -> dict[Any, int]:
        """Return the class by category id, from 1, and note the ids for evaluation."""
        ids = {category["name"]: category["id"] for category in self._metainfo.get("CLASSES", [])}
        missing = [name for name in self.classes if name not in ids]
        if missing:
            raise DataError(f"{self.ann_file} has no category {missing[0]!r}: its categories are {list(ids)}.")
        self._metainfo["category_ids"] = tuple(ids[name] for name in self.classes)
        return {ids[name]: number for number, name in enumerate(self.classes, start=1)}
