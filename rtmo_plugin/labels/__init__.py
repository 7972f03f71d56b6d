"""Label files before training: check, fix, merge and split COCO files, convert labels of other tools to COCO and back.

- Data: ``coco_files`` reads and writes COCO, ``label_set`` is what all formats have in common.
- Check: ``problems`` lists what can be wrong; ``normalizing`` (``"1"`` is 1), ``categories``, ``annotations``,
  ``conventions`` and ``image_inspection`` find it, ``checking`` collects it, ``fixing`` corrects it, and ``check_tool``
  is the command.
- Convert: a module for each format, ``yolo``, ``labelme``, ``cvat`` and those of ``tool_files``; ``grouping`` makes
  people of shapes, ``format_detection`` says which tool wrote a file, and ``conversion`` is the command.
- Train: ``dataset_keypoints`` and ``sigmas`` (what a model learns from a file), ``splitting``,
  ``merging``.

Neither torch nor OpenMMLab is needed. Functions return new values and change nothing that they are given.
"""

from rtmo_plugin.labels.check_tool import check_file
from rtmo_plugin.labels.checking import check_coco
from rtmo_plugin.labels.coco_files import read_coco
from rtmo_plugin.labels.conversion import FORMATS, convert_file
from rtmo_plugin.labels.dataset_keypoints import DatasetKeypoints, read_dataset_keypoints
from rtmo_plugin.labels.fixing import Fixed, fix_coco
from rtmo_plugin.labels.merging import merge_files
from rtmo_plugin.labels.problems import KINDS, Problem
from rtmo_plugin.labels.splitting import split_file

__all__ = [
    "FORMATS",
    "KINDS",
    "DatasetKeypoints",
    "Fixed",
    "Problem",
    "check_coco",
    "check_file",
    "convert_file",
    "fix_coco",
    "merge_files",
    "read_coco",
    "read_dataset_keypoints",
    "split_file",
]
