"""Training from a config: what it leaves behind, where it may start from, and half precision."""

import itertools
import json

import pytest
import torch
from mmengine.config import Config
from mmengine.utils import digit_version

from rtmo_plugin.api import train
from rtmo_plugin.config.config_files import load_config
from rtmo_plugin.engine.hooks.compilation import OLDEST
from rtmo_plugin.errors import CheckpointError, ConfigError, MissingFileError

STAGES = ("warmup", "refine", "finish")


@pytest.fixture
def run(config, data_root, tmp_path):
    """Return a function that trains the tiny model for one epoch, in a folder of the test."""

    def train_once(cfg=config, *, work_dir=tmp_path / "run", max_epochs=1, **options):
        epochs = {"train_cfg.max_epochs": max_epochs}
        options["cfg_options"] = {**epochs, **options.get("cfg_options", {})}
        return train(cfg, work_dir=work_dir, data_root=data_root, validate=False, **options)

    return train_once


def read_log(result):
    return next(result.log_dir.glob("*.log")).read_text()


def load(path):
    return torch.load(path, weights_only=True)


def test_run_goes_through_all_stages_and_leaves_what_it_says(trained):
    assert [read_log(trained).count(f"Training stage {stage!r}") for stage in STAGES] == [1, 1, 1]
    assert trained.checkpoint.name == "epoch_3.pth"
    assert 0 <= trained.metrics["coco/AP"] <= 1
    curves = [json.loads(line) for line in (trained.log_dir / "vis_data/scalars.json").read_text().splitlines()]
    assert {"loss", "lr"} <= curves[0].keys()
    assert f"AP:             {trained.metrics['coco/AP']:.3f} (last validation)" in str(trained)
    assert f"checkpoint:     {trained.checkpoint}" in str(trained)


def test_console_shows_progress_and_nothing_else(run, capsys):
    run(max_epochs=3, cfg_options={"default_hooks.checkpoint.interval": 3})
    printed = capsys.readouterr()
    lines = [line for line in printed.out.splitlines() if line]
    stages = [(f"Training stage {stage!r}", f"Epoch(train) [{epoch}][2/2]") for epoch, stage in enumerate(STAGES, 1)]
    data = ["classes:        person", "keypoints:      17 with sigmas: nose 0.026, left_eye 0.025, right_eye 0.025, "]
    data += ["flip pairs:     left_eye-right_eye, left_ear-right_ear, ", "training on 8 people in 3 images; 1 image"]
    kept = [*data, *itertools.chain(*stages), "Saving checkpoint at 3 epochs"]
    assert len(lines) == len(kept)
    assert all(words in line for words, line in zip(kept, lines))
    assert printed.err == ""


def test_config_that_mmengine_wrote_beside_the_checkpoint_trains_as_well(run, trained, tmp_path):
    dumped = trained.checkpoint.parent / "tiny.py"
    assert run(dumped, work_dir=tmp_path / "again").checkpoint.name == "epoch_1.pth"


def test_training_starts_from_given_weights(run, trained):
    result = run(load_from=trained.checkpoint, cfg_options={"optim_wrapper.optimizer.lr": 0.0, "custom_hooks": []})
    before, after = load(trained.checkpoint)["state_dict"], load(result.checkpoint)["state_dict"]
    frozen = [name for name, value in before.items() if value.is_floating_point() and "running" not in name]
    assert all(torch.equal(before[name], after[name]) for name in frozen)
    assert "unexpected key" not in read_log(result)


def test_resumed_run_goes_on_where_it_stopped(run, trained, capsys):
    first = trained.checkpoint.with_name("epoch_2.pth")
    result = run(resume=first, max_epochs=3)
    assert "resumed epoch: 2, iter: 4" in capsys.readouterr().out
    assert f"Training stage {STAGES[2]!r} (since epoch 2) at epoch 2" in read_log(result)
    assert result.checkpoint.name == "epoch_3.pth"


def test_auto_resume_finds_the_last_checkpoint_or_reports_that_none_exists(run, capsys):
    assert run(resume="auto").checkpoint.name == "epoch_1.pth"
    assert ": starting with step 1" in capsys.readouterr().out
    result = run(resume="auto", max_epochs=2)
    assert result.checkpoint.name == "epoch_2.pth"
    assert f"resuming from {result.checkpoint.with_name('epoch_1.pth')}" in capsys.readouterr().out


def test_load_from_of_the_config_is_checked_too(run, tmp_path):
    with pytest.raises(MissingFileError, match=r"The checkpoint file .*weights\.pth does not exist"):
        run(cfg_options={"load_from": str(tmp_path / "weights.pth")})


def test_two_starting_points_are_refused(run, trained):
    with pytest.raises(ConfigError, match="name two checkpoints"):
        run(resume=str(trained.checkpoint), load_from=trained.checkpoint)


@pytest.mark.parametrize("option", ["load_from", "resume"])
def test_checkpoint_of_other_keypoints_is_refused(run, trained, config, option):
    cfg = load_config(config)
    cfg.model.head.keypoints = "crowdpose"
    with pytest.raises(CheckpointError, match=r"with 17 keypoints, config is .* with 14 keypoints") as error:
        run(cfg, **{option: str(trained.checkpoint)})
    assert str(error.value).endswith("pass --transfer-from in place of --load-from.") == (option == "load_from")


def test_published_checkpoint_cannot_be_resumed(run, trained, tmp_path):
    published = tmp_path / "published.pth"
    torch.save({name: load(trained.checkpoint)[name] for name in ("state_dict", "meta")}, published)
    with pytest.raises(CheckpointError, match="it has no optimizer: to start from its weights, pass --load-from"):
        run(resume=published)
    assert run(load_from=published).checkpoint.is_file()


def test_optimizer_state_of_other_parameters_is_refused(run, trained, tmp_path):
    content = load(trained.checkpoint)
    states = content["optimizer"]["state"]
    states[0] = states[1]  # a convolution's by a bias's
    torch.save(content, tmp_path / "swapped.pth")
    with pytest.raises(CheckpointError, match="The optimizer state 0 has shape"):
        run(resume=tmp_path / "swapped.pth", max_epochs=4)


def test_program_in_the_config_of_a_checkpoint_is_not_run(run, trained, tmp_path):
    # MMEngine's Runner.resume executes meta['config'] as Python.
    content = load(trained.checkpoint.with_name("epoch_1.pth"))
    content["meta"]["config"] = f"import os\nos.mkdir({str(tmp_path / 'attacked')!r})\n"
    torch.save(content, tmp_path / "attack.pth")
    run(resume=tmp_path / "attack.pth", max_epochs=2)
    assert not (tmp_path / "attacked").exists()


def test_half_precision_trains_on_this_device(run, capsys):
    result = run(amp=True, max_epochs=3)
    losses = [json.loads(line) for line in (result.log_dir / "vis_data/scalars.json").read_text().splitlines()]
    assert all(0 < entry["loss"] < 1000 for entry in losses if "loss" in entry)
    assert "loss_scaler" not in load(result.checkpoint)["optimizer"]  # bfloat16 needs none


def test_half_precision_refuses_a_wrapper_that_it_would_replace(run):
    with pytest.raises(ConfigError, match=r"--amp cannot be combined with optim_wrapper\.type='Other'"):
        run(amp=True, cfg_options={"optim_wrapper.type": "Other"})


compiles = pytest.mark.skipif(
    digit_version(torch.__version__) < digit_version(OLDEST), reason=f"torch.compile is refused before PyTorch {OLDEST}"
)


def read_gradients(result):
    """Return loss and gradient norm of a run."""
    entries = map(json.loads, (result.log_dir / "vis_data/scalars.json").read_text().splitlines())
    return [entry[name] for entry in entries if "loss" in entry for name in ("loss", "grad_norm")]


@pytest.fixture
def captured_config(config):
    """Return the tiny config with a network that is captured as for a compiler, and then run as it is."""
    cfg = Config.fromfile(config)
    cfg.custom_hooks = [*cfg.custom_hooks, {"type": "rtmo_plugin.CompileHook", "backend": "eager"}]
    return cfg


@pytest.mark.slow
@compiles
def test_a_captured_network_has_the_same_gradients_and_checkpoints(run, captured_config, tmp_path):
    still = {"optim_wrapper.optimizer.lr": 0.0}  # AdamW's first steps make much of rounding
    plain = run(seed=0, cfg_options=still)
    captured = run(captured_config, seed=0, cfg_options=still, work_dir=tmp_path / "captured")
    assert read_gradients(captured) == pytest.approx(read_gradients(plain), rel=1e-4)
    assert "torch.compile: the first steps" in read_log(captured)
    result = run(resume=captured.checkpoint, max_epochs=2, work_dir=tmp_path / "resumed")
    assert "unexpected key" not in read_log(result)


@compiles
@pytest.mark.slow
def test_a_compiled_network_has_the_same_gradients(run, tmp_path):
    still = {"optim_wrapper.optimizer.lr": 0.0}
    plain = run(seed=0, cfg_options=still)
    compiled = run(seed=0, cfg_options=still, compiled=True, work_dir=tmp_path / "compiled")
    assert read_gradients(compiled) == pytest.approx(read_gradients(plain), rel=1e-3)  # float32, other kernels: 6e-4


def test_learning_rate_is_scaled_to_the_batch(run):
    result = run(auto_scale_lr=True, cfg_options={"auto_scale_lr.base_batch_size": 8})  # the batch is 2
    entry = json.loads((result.log_dir / "vis_data/scalars.json").read_text().splitlines()[0])
    assert entry["lr"] == pytest.approx(4e-3 * 2 / 8)


def test_learning_rate_without_a_base_cannot_be_scaled(run, config):
    cfg = load_config(config)
    cfg.pop("auto_scale_lr")
    with pytest.raises(ConfigError, match=r"needs auto_scale_lr\.base_batch_size"):
        run(cfg, auto_scale_lr=True)


def test_same_seed_gives_the_same_weights(run, trained, tmp_path):
    first = load(trained.checkpoint.with_name("epoch_1.pth"))["state_dict"]  # of seed 0
    second, other = (load(run(work_dir=tmp_path / str(seed), seed=seed).checkpoint)["state_dict"] for seed in (0, 1))
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert any(not torch.equal(first[name], other[name]) for name in first)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"model.neck.type": "rtmo_plugin.HybridEncodr"}, "rtmo_plugin.HybridEncodr is not in the"),
        ({"model.head.keypoints": "dogs"}, "Unknown keypoint set 'dogs'"),
        ({"train_dataloader.dataset.type": "CocoDatset"}, "CocoDatset is not in the"),
        ({"train_cfg.max_epochs": "many"}, "invalid literal for int"),
        ({"default_hooks.checkpoint.type": "CheckpontHook"}, "CheckpontHook is not in the"),
        ({"optim_wrapper.optimizer.eps": -1.0}, "Invalid epsilon value"),
    ],
)
def test_value_that_cannot_be_built_is_refused(run, options, message):
    with pytest.raises(ConfigError, match=f"The config cannot be built: .*{message}"):
        run(cfg_options=options)


def test_misspelt_optimizer_is_refused(run):
    with pytest.raises(ConfigError, match=r"optimizer\.type='AdmW': the optimizer is unknown; the nearest: AdamW"):
        run(cfg_options={"optim_wrapper.optimizer.type": "AdmW"})


def test_config_without_training_cannot_be_trained(config, tmp_path):
    cfg = load_config(config)
    cfg.pop("train_dataloader")
    with pytest.raises(ConfigError, match="has no train_dataloader"):
        train(cfg, work_dir=tmp_path)


def test_folder_that_cannot_be_made_is_refused(run, config):
    with pytest.raises(ConfigError, match=r"The work folder .*run cannot be written: Not a directory"):
        run(work_dir=config / "run")


def test_launcher_needs_its_processes(run, monkeypatch):
    monkeypatch.delenv("RANK", raising=False)
    with pytest.raises(ConfigError, match="--launcher pytorch is for processes that torchrun starts, and RANK is not"):
        run(launcher="pytorch")
