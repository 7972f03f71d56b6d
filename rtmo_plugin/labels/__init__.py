"""Files of labels before training: check, fix and split COCO files, convert other formats to COCO and back.

- Check and fix: ``coco_files`` (JSON), ``normalizing`` (``"1"`` is 1), ``problems`` (what can be wrong),
  ``categories``, ``annotations``, ``conventions``, ``image_inspection``, ``moved_images`` (each finds some of it),
  ``checking``, ``fixing``, ``check_report``, and ``check_tool``, which is the command.
- Convert: ``label_set`` (what all formats have), ``yolo``, ``labelme``, ``cvat``, ``formats``, ``conversion``.
- Train: ``sigmas`` and ``task`` (what a file asks a model to learn), ``splitting``.

Neither torch nor OpenMMLab is needed, and nothing here changes what it is given.
"""

from rtmo_plugin.labels.check_tool import check_file
from rtmo_plugin.labels.checking import check_coco
from rtmo_plugin.labels.coco_files import read_coco
from rtmo_plugin.labels.conversion import convert_file
from rtmo_plugin.labels.fixing import Fixed, fix_coco
from rtmo_plugin.labels.formats import FORMATS
from rtmo_plugin.labels.problems import KINDS, Problem
from rtmo_plugin.labels.splitting import split_file
from rtmo_plugin.labels.task import Task, read_task

__all__ = [
    "FORMATS",
    "KINDS",
    "Fixed",
    "Problem",
    "Task",
    "check_coco",
    "check_file",
    "convert_file",
    "fix_coco",
    "read_coco",
    "read_task",
    "split_file",
]
