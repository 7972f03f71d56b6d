"""Reading configs, and changing single values of them."""

import copy

import pytest
from mmengine.config import Config

from rtmo_plugin.config.config_files import load_config, set_options
from rtmo_plugin.config.edits import prepare_config
from rtmo_plugin.errors import ConfigError, MissingFileError, UnknownKeyError
from tests.edited import edit_copy
from tests.oracle import OUR_CONFIGS, load_ours


@pytest.fixture(scope="module")
def cfg():
    return load_ours("rtmo-s_coco")


def test_wrong_path_names_the_nearest_config():
    with pytest.raises(MissingFileError) as error:
        load_config(OUR_CONFIGS / "rtmo-s_cocoo.py")
    assert str(error.value).endswith(
        "rtmo-s_cocoo.py does not exist: did you mean " + str(OUR_CONFIGS / "rtmo-s_coco.py") + "?"
    )


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("model = dict(", "was never closed"),
        ("_base_ = ['nowhere.py']", "nowhere.py"),
        ("custom_imports = dict(imports=['no_such_module'])", "no_such_module"),
    ],
)
def test_unreadable_config_says_why(tmp_path, content, reason):
    (tmp_path / "broken.py").write_text(content)
    with pytest.raises(ConfigError, match=rf"broken\.py cannot be read: .*{reason}"):
        load_config(tmp_path / "broken.py")


@pytest.mark.parametrize("name", ["picture.jpg", "notes.txt"])
def test_a_file_that_is_no_config_is_refused(tmp_path, name):
    (tmp_path / name).write_bytes(b"\xff\xd8 not a config")
    with pytest.raises(ConfigError, match="cannot be read"):
        load_config(tmp_path / name)


def test_base_file_without_a_model_is_refused():
    with pytest.raises(ConfigError, match=r"runtime\.py describes no model"):
        load_config(OUR_CONFIGS / "_base_/runtime.py")


@pytest.mark.parametrize(
    ("key", "message"),
    [
        ("train_cfg.max_epoch", "no key 'max_epoch' in train_cfg; the nearest: train_cfg.max_epochs"),
        ("modle.head", "no key 'modle' in the config; the nearest: model"),
        ("model.test_cfg.score_th", "no key 'score_th' in model.test_cfg; the nearest: model.test_cfg.score_thr"),
        ("model.head.box_paddin", "the nearest: model.head.box_padding"),
        ("model.head.stages.refin.weights", "the nearest: model.head.stages.refine"),
        ("optim_wrapper.optimizer.momentumm", "no key 'momentumm' in optim_wrapper.optimizer"),
        ("param_scheduler.9.end", "no key '9' in param_scheduler; there are: param_scheduler.0"),
        ("train_cfg.max_epochs.first", "train_cfg.max_epochs is a single value, so 'first' cannot be set in it"),
        ("test_evaluator.outfile_prefx", "the nearest: test_evaluator.outfile_prefix"),
        ("default_hooks.checkpoint.intervall", "the nearest: default_hooks.checkpoint.interval"),
        ("data_root", "data_root is a variable of the config file"),
    ],
)
def test_unknown_key_is_refused_by_name(cfg, key, message):
    with pytest.raises(UnknownKeyError) as error:
        edit_copy(set_options, cfg, {key: 1})
    assert str(error.value).startswith(f"--cfg-options {key}: ")
    assert message in str(error.value)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("train_cfg.max_epochs", 3),  # in the config
        ("train_cfg.val_begin", 2),  # of the loop that train_cfg builds
        ("param_scheduler.1.end", 9),
        ("optim_wrapper.accumulative_counts", 4),  # of a class that the config leaves to MMEngine
        ("optim_wrapper.optimizer.betas", (0.9, 0.99)),
        ("model.head.box_padding", 1.5),  # a default of our class
        ("model.head.dcc.feat_channels", 64),  # inside such a default
        ("model.neck.num_heads", 4),
        ("train_dataloader.dataset.indices", 8),  # of a base class of the dataset
        ("train_dataloader.timeout", 60),  # of torch's loader
        ("train_dataloader.num_batch_per_epoch", 5),  # MMEngine takes it out of the section itself
        ("default_hooks.checkpoint.save_best", "coco/AP"),
        ("default_hooks.training_stages.schedule.refine.begin", 1),
        ("randomness.seed", 3),  # a section that the config does not have
        ("auto_scale_lr.enable", True),
        ("load_from", "a.pth"),
    ],
)
def test_key_that_something_reads_is_set(cfg, key, value):
    changed = edit_copy(set_options, cfg, {key: value})
    found = changed._cfg_dict
    for part in key.split("."):
        found = found[int(part)] if isinstance(found, list) else found[part]
    assert found == value


def test_sections_that_name_no_class_are_read_by_one():
    """What ``rtmo-t_synthetic`` names of the classifier's options is not all that may be set."""
    cfg = load_config("rtmo-t_synthetic")
    assert edit_copy(set_options, cfg, {"model.head.dcc.num_bins": (48, 64)}).model.head.dcc.num_bins == (48, 64)
    with pytest.raises(UnknownKeyError, match=r"the nearest: model\.head\.dcc\.bin_layout"):
        edit_copy(set_options, cfg, {"model.head.dcc.bin_layuot": "image"})


def test_config_that_is_given_stays_as_it_is(cfg):
    before = copy.deepcopy(cfg._cfg_dict)
    edit_copy(set_options, cfg, {"train_cfg.max_epochs": 1, "param_scheduler.0.end": 1})
    copied = load_config(cfg)
    copied.model.head.type = "Other"
    assert cfg._cfg_dict == before


def test_option_that_does_not_fit_the_section_is_refused(cfg):
    with pytest.raises(ConfigError, match="--cfg-options cannot be applied"):
        edit_copy(
            set_options,
            Config({"model": {}, "train_cfg": {"max_epochs": 3}}),
            {"train_cfg": 1, "train_cfg.max_epochs": 2},
        )


def test_options_edit_one_copy_of_a_config(config):
    cfg = load_config(config)
    before, seen = cfg.to_dict(), []
    found = prepare_config(cfg, [seen.append], seed=3, cfg_options={"train_cfg.max_epochs": 2})
    assert seen == [found]
    assert (found.randomness.seed, found.train_cfg.max_epochs) == (3, 2)
    assert cfg.to_dict() == before
