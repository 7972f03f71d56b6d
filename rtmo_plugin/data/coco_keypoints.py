"""The registered dataset for COCO files: any keypoints, any number of classes, any ids."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from mmpose.datasets.datasets.base import BaseCocoStyleDataset

from rtmo_plugin.errors import ConfigError, DataError
from rtmo_plugin.keypoints.metainfo import make_metainfo
from rtmo_plugin.keypoints.order import find_category_orders, list_category_names, reorder_keypoints
from rtmo_plugin.keypoints.person_boxes import complete_person
from rtmo_plugin.keypoints.sets import find_schema
from rtmo_plugin.keypoints.whole_body import NUM_BY_PART, NUM_WHOLE_BODY, join_parts
from rtmo_plugin.registry import DATASETS
from rtmo_plugin.structures import KeypointSchema

_MAX_CLASSES = 127  # MMPose's target codec holds labels in eight bits


@DATASETS.register_module()
class CocoKeypoints(BaseCocoStyleDataset):
    """Images and people of a COCO file whose categories have the keypoints of a keypoint set.

    Categories are found by name, so files may number them differently.  Records carry the class as
    MMPose's codecs expect it, numbered from 1 in the order of ``classes``.  The metainfo has ``classes``
    and, for evaluation, the file's own ``category_ids`` in the same order.  Keypoints are found by name as
    well: a file may list them in another order, and records have the order of the keypoint set.
    A box without area is replaced by one around the labeled keypoints with a margin (``person_boxes``).
    With 133 keypoints, COCO-WholeBody's fields of feet, face and hands are read too (``keypoints.whole_body``).

    Args:
        keypoints: Name of a keypoint set, or a dict of its fields.
        classes: Names of the C categories.
        class_skeletons: Pairs of keypoint indices to draw as limbs for each class. Default: those of the keypoint set.
        use_area: Whether to use the ``area`` of the annotations; otherwise the area is 0.53 of the box.
        keep_background: Whether to train on images without annotations of ``classes``, as background. Their records
            have ``is_background`` and one person without labels, whom ``FilterAnnotations`` removes: MMPose's
            transforms do not take empty arrays.
        data_mode: MMPose's ``'bottomup'`` (records of images) or ``'topdown'`` (records of people).
        **options: Arguments of MMPose's ``BaseCocoStyleDataset`` (``ann_file``, ``data_root``, ``pipeline``, ...).

    Raises:
        KeyError: The keypoint set is unknown.
        ConfigError: There are more classes than MMPose's codecs can hold.
        DataError: On reading, if the file lacks a category or has other keypoints.
    """

    def __init__(
        self,
        *,
        keypoints: str | Mapping[str, Any] | KeypointSchema,
        classes: Sequence[str],
        class_skeletons: Sequence[Sequence[Sequence[int]]] = (),
        use_area: bool = True,
        keep_background: bool = False,
        data_mode: str = "bottomup",
        **options: Any,
    ) -> None:
        if len(classes) > _MAX_CLASSES:
            raise ConfigError(f"MMPose's targets hold at most {_MAX_CLASSES} classes, got {len(classes)}.")
        self.classes = tuple(classes)
        self._use_area = use_area
        self.keeps_background = keep_background
        self._annotated_images: set[Any] = set()
        self._numbers: dict[Any, int] = {}
        self._orders: dict[Any, tuple[int, ...]] = {}
        self._schema = find_schema(keypoints)
        super().__init__(metainfo=make_metainfo("custom", self._schema), data_mode=data_mode, **options)
        self._metainfo["classes"] = self.classes
        if class_skeletons:
            self._metainfo["class_skeletons"] = [[list(bone) for bone in bones] for bones in class_skeletons]

    @property
    def is_reordered(self) -> bool:
        """Whether the file lists the keypoints in another order than the keypoint set; known after reading."""
        return bool(self._orders)

    def parse_data_info(self, raw_data_info: dict[str, Any]) -> dict[str, Any] | None:
        """Return the record of a person; None if the category is not one of ``classes``."""
        if not self._numbers:  # the base class has just read the categories
            self._numbers = self._number_categories()
            self._orders = self._order_keypoints()
        person, image = raw_data_info["raw_ann_info"], raw_data_info["raw_img_info"]
        number = self._numbers.get(person.get("category_id"))
        if number is None:
            return None
        if self._schema.num_keypoints == NUM_WHOLE_BODY:
            person = join_parts(person)
        self._annotated_images.add(image["img_id"])
        if "keypoints" not in person:
            return None
        if len(person["keypoints"]) != 3 * self._schema.num_keypoints:
            raise DataError(
                f"Annotation {person.get('id')} of {self.ann_file} has {len(person['keypoints'])} numbers in "
                f"`keypoints`; {self._schema.num_keypoints} keypoints need {3 * self._schema.num_keypoints}."
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
        outline = record["segmentation"] or None  # labeling programs write [], which is not a valid mask
        return {**record, "category_id": np.array(number), "segmentation": outline}

    def _get_bottomup_data_infos(
        self, instance_list: list[dict[str, Any]], image_list: list[dict[str, Any]]
    ) -> list[dict[str, Any]]:
        """Return the records of images as the base class does, and after them those of background images."""
        wrapped = [{**person, "segmentation": {"outline": person["segmentation"]}} for person in instance_list]
        records: list[dict[str, Any]] = super()._get_bottomup_data_infos(wrapped, image_list)
        for record in records:  # unwrapped: the base class joins the polygons of people, and fails where some have none
            for key in {"segmentation", "invalid_segs"} & record.keys():
                record[key] = [each["outline"] for each in record[key]]
        if self.test_mode or not self.keeps_background or not records:
            return records
        arrays = {key: np.zeros_like(value[:1]) for key, value in records[0].items() if isinstance(value, np.ndarray)}
        arrays["category_id"] += 1  # classes count from 1
        lists = {"id": [], "raw_ann_info": [], "segmentation": [None], "invalid_segs": []}
        unlabelled = {**records[0], **arrays, **lists, "is_background": True}
        background = [image for image in image_list if image["img_id"] not in self._annotated_images]
        return records + [{**unlabelled, "img_id": each["img_id"], "img_path": each["img_path"]} for each in background]

    def _order_keypoints(self) -> dict[Any, tuple[int, ...]]:
        """Return the indices of the set's keypoints by category id, for categories with another order.

        The metainfo's ``CLASSES`` get the order of the keypoint set, like all records.
        """
        categories = [each for each in self._metainfo["CLASSES"] if each["name"] in self.classes]
        if self._schema.num_keypoints == NUM_WHOLE_BODY:  # COCO-WholeBody names the body's keypoints alone
            body = NUM_BY_PART["body"]
            categories = [each for each in categories if len(list_category_names(each) or ()) != body]
        orders = find_category_orders(categories, self._schema.names, self.ann_file)
        if orders:
            self._metainfo["CLASSES"] = [
                {**each, "keypoints": [*self._schema.names]} if each["id"] in orders else each
                for each in self._metainfo["CLASSES"]
            ]
        return orders

    def _number_categories(self) -> dict[Any, int]:
        """Return the class, from 1, by category id, and store the ids in the metainfo for evaluation."""
        ids = {category["name"]: category["id"] for category in self._metainfo.get("CLASSES", [])}
        missing = [name for name in self.classes if name not in ids]
        if missing:
            raise DataError(f"{self.ann_file} has no category {missing[0]!r}: its categories are {list(ids)}.")
        self._metainfo["category_ids"] = tuple(ids[name] for name in self.classes)
        return {ids[name]: number for number, name in enumerate(self.classes, start=1)}
