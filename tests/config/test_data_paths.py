"""Data elsewhere, and data that is not there."""

import shutil
from types import SimpleNamespace

import pytest
from mmengine.config import Config

from rtmo_plugin.config.data_paths import check_data, check_images, set_data_root
from rtmo_plugin.config.sections import walk_sections
from rtmo_plugin.errors import ConfigError, DataError, MissingFileError
from tests.edited import edit_copy
from tests.oracle import OUR_CONFIGS

RECIPES = sorted(path.stem for path in OUR_CONFIGS.glob("*.py") if "synthetic" not in path.stem)


@pytest.mark.parametrize("recipe", RECIPES)
def test_every_path_of_every_recipe_moves(recipe):
    cfg = Config.fromfile(OUR_CONFIGS / f"{recipe}.py")
    moved = edit_copy(set_data_root, cfg, "/elsewhere")
    sections = list(walk_sections(moved._cfg_dict))
    roots = [section["data_root"] for section in sections if "data_root" in section]
    assert len(roots) > 2
    assert set(roots) == {"/elsewhere"}
    for section in sections:
        if str(section.get("type")).endswith("Metric") and section.get("ann_file"):
            assert section["ann_file"].startswith("/elsewhere/")
    assert "data/" in repr(cfg._cfg_dict)  # the config that was given still has its own


def test_sub_folders_below_the_common_root_stay():
    cfg = Config(
        {
            "train_dataloader": {
                "dataset": {"datasets": [{"data_root": "old/a", "ann_file": "a.json"}, {"data_root": "old/b/"}]}
            },
            "val_evaluator": [{"ann_file": "old/a/val.json"}],
            "custom_hooks": [{"dataset": {"data_root": "old/c", "ann_file": "/absolute/x.json"}}],
        }
    )
    moved = edit_copy(set_data_root, cfg, "new")
    first, second = moved.train_dataloader.dataset.datasets
    assert (first.data_root, first.ann_file, second.data_root) == ("new/a", "a.json", "new/b")
    assert moved.val_evaluator[0].ann_file == "new/a/val.json"
    hook = moved.custom_hooks[0].dataset
    assert (hook.data_root, hook.ann_file) == ("new/c", "/absolute/x.json")


def test_roots_with_nothing_in_common_cannot_be_replaced_by_one():
    cfg = Config({"datasets": [{"data_root": "here"}, {"data_root": "there"}]})
    with pytest.raises(ConfigError, match=r"cannot replace several roots \(here, there\)"):
        edit_copy(set_data_root, cfg, "new")


def test_config_without_files_has_no_data_root_to_change():
    with pytest.raises(ConfigError, match="no dataset of this config reads files"):
        edit_copy(set_data_root, Config({"train_dataloader": {"dataset": {"type": "SyntheticPeople"}}}), "new")


@pytest.fixture
def writable(tmp_path, data_root):
    return shutil.copytree(data_root, tmp_path / "data")


@pytest.mark.parametrize(
    ("removed", "loader", "kind"),
    [
        ("coco/annotations/person_keypoints_train2017.json", "train", "annotation file"),
        ("coco/train2017", "train", "image folder"),
        ("coco/annotations/person_keypoints_val2017.json", "val", "annotation file"),
        ("coco/val2017", "test", "image folder"),
    ],
)
def test_missing_data_is_named(config, writable, removed, loader, kind):
    cfg = edit_copy(set_data_root, Config.fromfile(config), writable)
    check_data(cfg, ("train", "val", "test"))
    path = writable / removed
    path.rename(path.with_name("away"))
    with pytest.raises(MissingFileError) as error:
        check_data(cfg, (loader,))
    assert f"The {kind} {path} of " in str(error.value)
    assert "pass --data-root" in str(error.value)


@pytest.mark.parametrize("content", ["", '{"images": [{"id": 1}, {"i', "<!DOCTYPE html><html>404</html>"])
def test_annotation_file_that_is_not_whole_is_named(config, writable, content):
    path = writable / "coco/annotations/person_keypoints_train2017.json"
    path.write_text(content)
    with pytest.raises(DataError, match=f"The annotation file {path} is not valid JSON"):
        check_data(edit_copy(set_data_root, Config.fromfile(config), writable), ("train",))


def test_data_of_a_later_training_stage_is_checked_at_the_start(config, writable):
    cfg = edit_copy(set_data_root, Config.fromfile(config), writable)
    finish = cfg.default_hooks.training_stages.schedule.finish
    finish.dataset = {**cfg.train_dataloader.dataset, "ann_file": "coco/annotations/later.json"}
    with pytest.raises(MissingFileError, match=r"later\.json"):
        check_data(cfg, ("train",))
    check_data(cfg, ("val",))


def make_dataset(tmp_path, names):
    records = [{"img_path": str(tmp_path / name)} for name in names]
    ann_file = str(tmp_path / "people.json")

    class Dataset:
        def __len__(self):
            return len(records)

        def get_data_info(self, index):
            return records[index]

    dataset = Dataset()
    dataset.ann_file = ann_file
    return dataset


def test_images_that_an_annotation_file_lists_must_exist(tmp_path):
    (tmp_path / "a.jpg").touch()
    check_images(make_dataset(tmp_path, ["a.jpg"]))
    combined = SimpleNamespace(datasets=[make_dataset(tmp_path, ["a.jpg", "b.jpg"])])
    with pytest.raises(MissingFileError, match=r"The image .*b\.jpg, which .*people\.json lists, does not exist"):
        check_images(combined)


def test_data_set_without_images_is_refused(tmp_path):
    with pytest.raises(DataError, match=r"people\.json holds no usable image"):
        check_images(make_dataset(tmp_path, []))
