"""The registered dataset of synthetic people: COCO's records without a file on disk."""

from collections.abc import Iterator
from dataclasses import fields
from typing import Any

from mmengine.logging import MessageHub
from mmpose.datasets.datasets.base import BaseCocoStyleDataset
from numpy.typing import NDArray

from rtmo_plugin.data.synthetic.annotation import annotate_people, sample_visible_scene
from rtmo_plugin.data.synthetic.rendering import draw_image
from rtmo_plugin.data.synthetic.settings import SceneSettings, format_address
from rtmo_plugin.errors import ConfigError
from rtmo_plugin.keypoints.metainfo import make_coco_metainfo
from rtmo_plugin.keypoints.sets import COCO
from rtmo_plugin.registry import DATASETS

_CATEGORY = {
    "id": 1,
    "name": "person",
    "supercategory": "person",
    "keypoints": list(COCO.names),
    "skeleton": [[start + 1, end + 1] for start, end in COCO.skeleton],  # COCO counts from 1
}


@DATASETS.register_module()
class SyntheticPeople(BaseCocoStyleDataset):
    """Articulated people drawn with OpenCV, annotated as COCO is: the same records, no files.

    Image ``index`` of series ``seed`` is always the same, in any process and any order; a series
    with more images begins with the same ones.  Pipelines load images with
    ``dict(type='rtmo_plugin.DrawSyntheticImage')`` in place of ``LoadImage``, in the
    ``pre_transform`` of Mosaic and YOLOXMixUp too.  As with COCO, training leaves out the images
    without people and testing keeps them.

    To evaluate with MMPose's CocoMetric and no ``ann_file``, the annotations must travel with the
    samples: pack with ``meta_keys=('id', 'img_id', 'img_path', 'ori_shape', 'img_shape',
    'input_size', 'input_center', 'input_scale', 'raw_ann_info')``.

    Args:
        num_images: Number of images, at least 1.
        seed: Number of the series, at least 0; train and test on different ones.
        cache: Whether to keep the images in memory instead of drawing them each time; they are
            drawn before the data loader starts its workers, which share them where processes fork.
            Costs ``num_images`` x width x height x 3 bytes.
        data_mode: MMPose's ``'bottomup'`` (records of images) or ``'topdown'`` (records of people).
        **options: Fields of ``SceneSettings`` (``size_wh``, ``num_people``, ``height_range``,
            ``occlusion``, ``truncation``, ``clutter``, ``turned``, ``motion``); everything else goes to MMPose's
            ``BaseCocoStyleDataset`` (``pipeline``, ``test_mode``, ...).

    Raises:
        ConfigError: A value is outside its range, or no training image has people (a ``ValueError``).
    """

    METAINFO = make_coco_metainfo("synthetic_people")

    def __init__(
        self, num_images: int = 1000, seed: int = 0, cache: bool = False, data_mode: str = "bottomup", **options: Any
    ) -> None:
        for name, value, least in (("num_images", num_images, 1), ("seed", seed, 0)):
            if not isinstance(value, int) or value < least:
                raise ConfigError(f"{name} of SyntheticPeople must be a whole number of at least {least}, got {value}.")
        names = {field.name for field in fields(SceneSettings)}
        self.settings = SceneSettings(**{name: value for name, value in options.items() if name in names})
        self.num_images, self.seed = num_images, seed
        self._is_caching = cache
        self._images: dict[int, NDArray[Any]] = {}
        super().__init__(data_mode=data_mode, **{k: value for k, value in options.items() if k not in names})
        if self.test_mode:
            # The base class has told CocoMetric to read the annotation file '', which does not exist.
            MessageHub.get_current_instance().update_info(f"{self.metainfo['dataset_name']}_ann_file", None)

    def get_data_info(self, idx: int) -> dict[str, Any]:
        """Return a record as the base class does, with ``img`` (H, W, 3) uint8 BGR if it is cached."""
        record: dict[str, Any] = super().get_data_info(idx)
        if record["img_id"] in self._images:
            record["img"] = self.draw(record["img_id"])
        return record

    def draw(self, index: int) -> NDArray[Any]:
        """Return image number ``index`` of the series, (H, W, 3) uint8 BGR; its ``img_id`` is this number."""
        if index in self._images:
            return self._images[index].copy()  # some transforms work in place
        return draw_image(*sample_visible_scene(self.settings, self.seed, index))

    def to_coco(self) -> dict[str, Any]:
        """Return the whole series as the dict that a COCO annotation file holds.

        All images are in it, those without people too; ``file_name`` is ``'000012.png'`` for number 12.
        """
        images, annotations = [], []
        for image, people in self._annotate_images():
            images.append({key: image[key] for key in ("id", "width", "height", "file_name")})
            annotations.extend(people)
        info = {"description": f"rtmo_plugin.SyntheticPeople, seed {self.seed}, {self.settings}"}
        return {
            "info": info,
            "licenses": [],
            "images": images,
            "annotations": annotations,
            "categories": [_CATEGORY],
        }

    def _load_annotations(self) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
        """Return records of people and of images, as the base class reads them from a file."""
        self._metainfo["CLASSES"] = [_CATEGORY]
        images, people = [], []
        for image, annotations in self._annotate_images():
            images.append(image)
            people += [self.parse_data_info({"raw_ann_info": one, "raw_img_info": image}) for one in annotations]
        if not people and not self.test_mode:
            raise ConfigError(f"No training image of SyntheticPeople ({self.num_images}) has people: raise num_people.")
        return people, images

    def _annotate_images(self) -> Iterator[tuple[dict[str, Any], list[dict[str, Any]]]]:
        """Yield each image's description and annotations; draw it too where it is to be cached."""
        width, height = self.settings.size_wh
        for index in range(0, self.num_images, self.sample_interval):
            scene, labels = sample_visible_scene(self.settings, self.seed, index)
            if self._is_caching and index not in self._images:
                self._images[index] = draw_image(scene, labels)
            address = format_address(self.settings, self.seed, index)
            image = {
                "id": index, "img_id": index, "width": width, "height": height,
                "file_name": address.rpartition("/")[2], "img_path": address,
            }  # fmt: skip
            yield image, annotate_people(scene, labels, index)
