"""Training from a wheel: without xtcocotools, and with what Python 3.14 removed, gone."""

import importlib.metadata
import os
import re
import subprocess
import sys
import textwrap
from importlib.machinery import PathFinder

import pytest
from mmengine.config import Config

from rtmo_plugin import errors
from tests.conftest import ROOT
from tests.tiny import shrink

_LINE = "pip install --no-deps mmpose==1.3.2 mmdet==3.3.0 mmcv-lite==2.1.0"
_READ = """
    import contextlib, io, json, sys
    from rtmo_plugin import workarounds
    workarounds.apply()
    import mmpose.datasets, mmpose.evaluation, mmpose.models
    from mmpose.datasets.transforms import bottomup_transforms
    from mmpose.evaluation.metrics import coco_metric

    with contextlib.redirect_stdout(io.StringIO()):
        coco = coco_metric.COCO("labels.json")
    print([coco.anns[each]["iscrowd"] for each in coco.getAnnIds(imgIds=[7])])
    mask = bottomup_transforms.cocomask
    square = mask.frPyObjects([[0, 0, 4, 0, 4, 3, 0, 3]], 10, 10)
    print(int(mask.decode(mask.merge(square)).sum()))
    try:
        print(coco_metric.COCOeval(coco, coco, "keypoints", [0.1]).params.iouType)
    except ImportError as error:
        print(error)
    print(coco_metric.COCO.__module__)
"""
# Each folder in a process of its own, which begins with PyTorch: the import of that takes longest.
_IN_EACH_FOLDER = f"""
import os, sys
import torch
for folder in sys.argv[1:]:
    if not os.fork():
        os.chdir(folder)
        for name, number in (("stdout", 1), ("stderr", 2)):
            os.dup2(os.open(name, os.O_WRONLY | os.O_CREAT), number)
        sys.path.insert(0, folder)
        exec({textwrap.dedent(_READ)!r})
        sys.exit()
    assert os.wait()[1] == 0, folder
"""
_MODULES = {
    "other numpy": (
        'raise ValueError("numpy.dtype size changed, may ...")',
        "does not import (numpy.dtype size changed)",
    ),
    "numpy 1": (
        'raise ImportError("numpy.core.multiarray failed to import")',
        "does not import (numpy.core.multiarray",
    ),
    "none": ('raise ModuleNotFoundError("No module named xtcocotools", name="xtcocotools")', "is not installed"),
}


def run(code, folder, *arguments):
    command = [sys.executable, "-W", "ignore", "-c", textwrap.dedent(code), *map(str, arguments)]
    environment = {"PYTHONPATH": f"{folder}:{os.environ['PYTHONPATH']}", "PATH": "/usr/bin:/bin", "HOME": str(folder)}
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=folder, env=environment)


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Return folders with what is printed beside each module that takes the place of xtcocotools, or beside none.

    Each has a COCO file of one image, whose annotation does not say ``iscrowd``.
    """
    root = tmp_path_factory.mktemp("install")
    person = '{"id": 1, "image_id": 7, "category_id": 1, "area": 12, "bbox": [0, 0, 4, 3], "keypoints": [1, 1, 2]}'
    for name in (*_MODULES, "working"):
        (root / name).mkdir()
        (root / name / "labels.json").write_text(
            f'{{"images": [{{"id": 7}}], "categories": [{{"id": 1}}], "annotations": [{person}]}}'
        )
    for name, (module, _) in _MODULES.items():
        package = root / name / "xtcocotools"
        package.mkdir()
        (package / "__init__.py").touch()
        (package / "mask.py").write_text(f"import sys\nprint('NumPy explains', file=sys.stderr)\n{module}\n")
    done = run(_IN_EACH_FOLDER, root, *(root / name for name in (*_MODULES, "working")))
    assert (done.returncode, done.stdout) == (0, ""), done.stderr
    return root


@pytest.mark.parametrize("name", _MODULES)
def test_mmpose_works_without_xtcocotools_but_for_its_evaluation(folders, name):
    """Its wheels are for NumPy 1 and Python 3.10 and 3.11 only."""
    assert (folders / name / "stderr").read_text() == ""
    crowd, area, answer, _ = (folders / name / "stdout").read_text().splitlines()
    assert (crowd, area) == ("[False]", "12")
    assert answer.startswith("COCOeval needs a working xtcocotools, but ")
    assert _MODULES[name][1] in answer
    assert "type='rtmo_plugin.CocoMetric'" in answer


@pytest.mark.skipif(PathFinder.find_spec("xtcocotools") is None, reason="xtcocotools is not installed")
def test_working_xtcocotools_is_used(folders):
    printed = (folders / "working" / "stdout").read_text().split()
    assert printed == ["[False]", "12", "keypoints", "xtcocotools.coco"]


_AS_IN_PYTHON_3_14 = """
    import ast, multiprocessing.context, pkgutil, sys, urllib.request

    removed = {
        ast: ("Num", "Str", "Bytes", "NameConstant", "Ellipsis", "__getattr__"),  # which has them on 3.12 and 3.13
        pkgutil: ("find_loader", "get_loader"),
        urllib.request: ("URLopener", "FancyURLopener"),
    }
    for owner, names in removed.items():
        for name in names:
            vars(owner).pop(name, None)
    contexts = multiprocessing.context
    contexts._default_context._default_context = contexts._concrete_contexts["forkserver"]
    sys.modules["pkg_resources"] = None  # setuptools 82 and newer

    from rtmo_plugin.cli.main import main
    main(["train", "tiny.py", "--amp", "--from-scratch", "--work-dir", "run"])
"""


@pytest.mark.slow
def test_training_works_without_what_python_3_14_removed(tmp_path):
    """What it removed is taken away, and processes start as they do there unless the config says how."""
    cfg = Config.fromfile(ROOT / "configs/rtmo-t_synthetic.py")
    cfg.model = shrink(cfg.model)
    cfg.train_dataloader.update(batch_size=2, num_workers=1, persistent_workers=True)
    cfg.train_dataloader.dataset.num_images = 4
    cfg.val_dataloader.dataset.num_images = cfg.test_dataloader.dataset.num_images = 2
    cfg.train_cfg.update(max_epochs=1)
    cfg.dump(tmp_path / "tiny.py")
    done = run(_AS_IN_PYTHON_3_14, tmp_path)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "run/epoch_1.pth").is_file()
    assert "Warning" not in done.stderr


def test_versions_are_the_same_wherever_they_stand():
    texts = [(ROOT / name).read_text() for name in ("README.md", "pyproject.toml", "rtmo_plugin/errors.py")]
    assert all(_LINE in text for text in texts)
    pins = (ROOT / "requirements/openmmlab.txt").read_text().split()
    assert set(_LINE.split()[3:]) <= set(pins)


def test_metadata_ask_for_nothing_that_cannot_be_had():
    text = (ROOT / "pyproject.toml").read_text()
    train = text.partition("\ntrain = [")[2].partition("\n]")[0]
    names = set(re.findall(r'"([\w-]+)', train))
    assert {"torch", "mmengine", "pycocotools", "faster-coco-eval"} <= names
    assert not {"xtcocotools", "chumpy", "torchvision", "mmpose", "mmcv", "mmcv-lite"} & names
    assert '"setuptools"' in train  # without an upper bound: nothing imports pkg_resources any more
    assert 'requires-python = ">=3.10"' in text


def test_advice_names_the_installed_package_or_the_source_tree(monkeypatch):
    assert errors.write_install_line("serve") == 'pip install "rtmo-plugin[serve]"'
    assert errors.write_install_line("train") == f'pip install "rtmo-plugin[train]" && {_LINE}'

    def find_nothing(name):
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "distribution", find_nothing)
    assert errors.write_install_line("export") == f'pip install "{ROOT}[export]"'
