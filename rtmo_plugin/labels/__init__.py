"""Files of labels before training: check, fix and split COCO files, convert other formats to COCO and back.

``files`` (JSON) > ``categories``, ``people``, ``pictures`` (what can be wrong, ``kinds`` in words) >
``checking`` > ``fixing`` > ``report``. ``names``, ``sigmas`` > ``task`` (what a file asks a model to
learn). ``label_set`` (people below their image) > ``yolo``, ``labelme``, ``cvat`` > ``formats`` > ``conversion``.

Neither torch nor OpenMMLab is needed, and nothing here changes what it is given.
"""

from rtmo_plugin.labels.checking import check_coco
from rtmo_plugin.labels.conversion import convert_file
from rtmo_plugin.labels.files import read_coco
from rtmo_plugin.labels.fixing import Fixed, fix_coco
from rtmo_plugin.labels.formats import FORMATS
from rtmo_plugin.labels.kinds import KINDS, Problem
from rtmo_plugin.labels.splitting import split_file
from rtmo_plugin.labels.task import Task, read_task
from rtmo_plugin.labels.workflow import check_file

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
