"""Numeric options: a value out of range is one sentence and exit code 2, in commands, tools and configs."""

import argparse
import importlib.util
import math

import numpy as np
import pytest

from benchmarks.subjects import COMMAND as BENCHMARKS
from rtmo_plugin import Pose
from rtmo_plugin.api import analyze, predict, train
from rtmo_plugin.cli.main import COMMANDS, find_command
from rtmo_plugin.config.config_files import load_config, set_options
from rtmo_plugin.config.edits import prepare_config
from rtmo_plugin.errors import ConfigError
from rtmo_plugin.evaluation import CocoMetric
from rtmo_plugin.export.export_options import ExportOptions, parse_size
from rtmo_plugin.jobs import open_job
from rtmo_plugin.labels import split_file
from rtmo_plugin.number_ranges import NumberRange
from rtmo_plugin.pose.tracking.smoothing import OneEuro
from rtmo_plugin.pose.tracking.tracker import Tracker
from rtmo_plugin.rtmo import RTMOConfig
from studies.ablate import COMMAND as ABLATE
from tests.conftest import ROOT, run_command
from tests.edited import edit_copy

TEXTS = ("nan", "inf", "-inf", "-1", "0", "1e20", "99999999999999999999", "", " ", "1,5", "0x10", "--")
TOOLS = [path.stem for path in (ROOT / "tools").glob("*.py") if "def make_parser" in path.read_text()]
# Options that may be 0, and nothing else of TEXTS.
ZERO_IS_FINE = {
    "--score-thr", "--nms-thr", "--seed", "--port", "--cache-gb", "--examples", "--num-worst", "--local-rank",
    "--num-people", "--occlusion", "--clutter",
}  # fmt: skip


def load_tool(name):
    spec = importlib.util.spec_from_file_location(f"tool_{name}", ROOT / "tools" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.make_parser()


def list_parsers():
    """Yield the name and the parser of every command, tool and command within a command."""
    parsers = {name: find_command(name).make_parser(f"rtmo {name}") for name in COMMANDS}
    parsers |= {"benchmarks": BENCHMARKS.make_parser("benchmarks")}
    parsers |= {"ablate": ABLATE.make_parser("ablate"), **{name: load_tool(name) for name in TOOLS}}
    for name, parser in parsers.items():
        found = [each for each in parser._actions if isinstance(each, argparse._SubParsersAction)]
        yield name, parser
        for action in found:
            yield from ((f"{name} {inner}", child) for inner, child in action.choices.items())


CASES = [(name, parser, action) for name, parser in list_parsers() for action in parser._actions]
NUMERIC = [case for case in CASES if isinstance(case[2].type, NumberRange)]
EACH_NUMBER = pytest.mark.parametrize(
    ("name", "parser", "action"), NUMERIC, ids=[f"{name} {action.option_strings[0]}" for name, _, action in NUMERIC]
)


def test_every_number_has_a_range():
    assert {action.type for _, _, action in CASES} <= {None, *(action.type for *_, action in NUMERIC)}
    assert len(NUMERIC) > 30
    assert len(TOOLS) >= 3
    untyped = {action.option_strings[0] for *_, action in CASES if action.option_strings and action.type is None}
    for word in ("num", "size", "batch", "rounds", "seed", "thr", "max", "threads", "streams", "count", "port"):
        assert not {name for name in untyped if word in name} - {"--size", "--no-memory"}, word


@EACH_NUMBER
def test_numbers_that_cannot_be_are_refused(name, parser, action, capsys):
    required = build_rest(parser, action)
    for text in TEXTS:
        values = [text] * (action.nargs or 1)
        if text == "0" and action.option_strings[0] in ZERO_IS_FINE:
            found = getattr(parser.parse_args([*required, action.option_strings[0], *values]), action.dest)
            assert found in (0, [0] * len(values))
            continue
        with pytest.raises(SystemExit) as stopped:
            parser.parse_args([*required, action.option_strings[0], *values])
        assert stopped.value.code == 2, text
        line = capsys.readouterr().err.splitlines()[-1]
        assert f"argument {'/'.join(action.option_strings)}: " in line
        assert "Traceback" not in line


def build_rest(parser, skipped):
    """Return arguments for what a parser requires beside one option."""
    words = []
    for action in parser._actions:
        if action is skipped or not (action.required or not action.option_strings):
            continue
        value = next(iter(action.choices)) if action.choices else "x"
        words += [*action.option_strings[:1], value]
    return [word for word in words if word != "==SUPPRESS=="]


@EACH_NUMBER
def test_defaults_and_bounds_are_accepted(name, parser, action):
    defaults = action.default if isinstance(action.default, (tuple, list)) else [action.default]
    assert all(value is None or value in action.type for value in defaults)
    for text in map(repr, (action.type.least, action.type.most)):
        if action.type.is_open:
            with pytest.raises(argparse.ArgumentTypeError):
                action.type(text)
        else:
            assert action.type(text) == float(text)
    with pytest.raises(argparse.ArgumentTypeError):
        action.type(repr(action.type.most + 1))


@pytest.mark.parametrize("text", [*TEXTS, "0x0", "-32x32", "nanxnan", "64x64x64"])
def test_sizes_are_read_or_refused(text):
    from rtmo_plugin.export.export_options import check_size

    with pytest.raises(ConfigError):
        check_size(parse_size(text))


@pytest.mark.parametrize("value", [math.nan, math.inf, -1, 1e20, None, "1", True, 10**400])
def test_a_range_holds_for_python_as_well(value):
    assert value not in NumberRange(0, 1, is_whole=False)
    with pytest.raises(ConfigError, match=r"^x must be a whole number from 1 to 5, got .*\.$"):
        NumberRange(1, 5).check("x", value)


BAD = (math.nan, math.inf, -math.inf, -1, 1e20, "", True)
CALLS = {
    "Pose.score_thr": lambda value: Pose("none.onnx", score_thr=value),
    "Pose.tile": lambda value: Pose("none.onnx", tile=value),
    "predict.score_thr": lambda value: predict("none.onnx", np.zeros((8, 8, 3), np.uint8), score_thr=value),
    "train.seed": lambda value: train("rtmo-t_coco", seed=value),
    "train.cache_gb": lambda value: train("rtmo-t_coco", cache_gb=value),
    "train.total_batch": lambda value: prepare_config("rtmo-t_coco", total_batch=value),
    "analyze.num_worst": lambda value: analyze("x.json", out="x.html", num_worst=value),
    "RTMOConfig.score_thr": lambda value: RTMOConfig(score_thr=value),
    "RTMOConfig.nms_thr": lambda value: RTMOConfig(nms_thr=value),
    "RTMOConfig.num_classes": lambda value: RTMOConfig(num_classes=value),
    "ExportOptions.score_thr": lambda value: ExportOptions(score_thr=value),
    "ExportOptions.max_people": lambda value: ExportOptions(max_people=value),
    "ExportOptions.top_k": lambda value: ExportOptions(top_k=value),
    "Tracker.start_score": lambda value: Tracker([0.1], start_score=value),
    "Tracker.min_seen": lambda value: Tracker([0.1], min_seen=value),
    "Tracker.max_lost": lambda value: Tracker([0.1], max_lost=value),
    "OneEuro.min_cutoff": lambda value: OneEuro(min_cutoff=value),
    "OneEuro.beta": lambda value: OneEuro(beta=value),
    "open_job.shard_size": lambda value: open_job("x.onnx", ["a.jpg"], "out", shard_size=value),
    "open_job.batch_size": lambda value: open_job("x.onnx", ["a.jpg"], "out", batch_size=value),
    "split_file.val": lambda value: split_file("x.json", "out", value),
    "split_file.seed": lambda value: split_file("x.json", "out", 0.2, value),
}


@pytest.mark.parametrize("value", BAD, ids=repr)
@pytest.mark.parametrize("name", CALLS)
def test_python_calls_refuse_numbers_that_cannot_be(name, value, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match=rf"^{name.partition('.')[2]} must be a (whole )?number .*, got .*\.$"):
        CALLS[name](value)
    assert not [*tmp_path.iterdir()]


@pytest.mark.parametrize("value", [math.nan, math.inf, "x"])
def test_metrics_refuse_numbers_that_cannot_be(value):
    with pytest.raises(ConfigError, match="nms_thr must be a number"):
        CocoMetric(nms_thr=value)


@pytest.mark.parametrize(
    "option",
    [
        "model.test_cfg.score_thr=2",
        "model.test_cfg.score_thr=nan",
        "model.test_cfg.nms_thr=-1",
        "model.test_cfg.nms_thr=inf",
        "train_cfg.max_epochs=0",
        "train_cfg.max_epochs=1e20",
        "train_cfg.val_interval=-1",
        "train_dataloader.batch_size=0",
        "val_dataloader.batch_size=1.5",
        "train_dataloader.num_workers=-1",
        "optim_wrapper.optimizer.lr=nan",
        "optim_wrapper.optimizer.lr=-0.1",
        "optim_wrapper.optimizer.weight_decay=inf",
        "optim_wrapper.clip_grad.max_norm=0",
        "default_hooks.checkpoint.interval=0.5",
        "default_hooks.checkpoint.max_keep_ckpts=-2",
        "model.backbone.widen_factor=0",
        "model.head.box_padding=nan",
        "auto_scale_lr.base_batch_size=-4",
    ],
)
@pytest.mark.parametrize("command", ["train", "eval"])
def test_numbers_of_configs_are_one_sentence(command, option, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    checkpoint = ["none.pth"] if command == "eval" else []
    (tmp_path / "none.pth").touch()
    code, _, err = run_command(capsys, command, "rtmo-s_coco", *checkpoint, "--cfg-options", option)
    key = option.partition("=")[0]
    assert code == 2
    assert len(err.splitlines()) == 1
    assert err.startswith(f"error: {key} of the config ")
    assert "must be a" in err or "is not a number (nan)." in err


@pytest.mark.parametrize("path", sorted((ROOT / "configs").glob("*.py")))
def test_shipped_configs_have_possible_numbers(path):
    edit_copy(set_options, load_config(path), None)
