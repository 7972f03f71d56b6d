"""The network as recordings: the same losses, gradients and buffers, one recording a size, and reasons where it is not.

On the CPU a recording is played by a stand-in that computes into fixed memory as a CUDA graph does, so that everything
around the graphs is tested: when they are recorded and replayed, what becomes of buffers and gradients, and that
recordings which compute something else are found and not used.
"""

import copy
import logging
from types import SimpleNamespace

import pytest
import torch
from mmengine.config import Config
from mmengine.hooks import Hook
from mmpose.models import BottomupPoseEstimator
from torch import nn

from rtmo_plugin.api import train
from rtmo_plugin.checkpoints.reading import read_checkpoint
from rtmo_plugin.config import edits
from rtmo_plugin.config.edits import list_training_edits
from rtmo_plugin.engine import captured_network, training_loop
from rtmo_plugin.engine.captured_network import CapturedNetwork, find_obstacle
from rtmo_plugin.engine.hooks import network_graphs
from rtmo_plugin.engine.hooks.network_graphs import GraphsHook
from rtmo_plugin.errors import ConfigError
from rtmo_plugin.models.heads.rtmo_head import RTMOHead
from rtmo_plugin.models.heads.rtmo_head_module import RawMaps
from tests.replays import (
    AddingRecorder,
    FailingRecorder,
    FullRecorder,
    LosingRecorder,
    MemoryRecorder,
    NoWorkspaceRecorder,
    PoolRecorder,
    StaleImagesRecorder,
    StaleWeightsRecorder,
    TwiceRecorder,
    check_same,
    check_steps,
    make_batch,
    make_model,
    read,
    step,
)


def capture(model, recorder=None):
    """Let a model replay its network, and return the recorder and the list of warnings."""
    recorder, warnings = recorder or MemoryRecorder(), []
    model.extract_feat = CapturedNetwork(model, recorder, warnings.append)
    return recorder, warnings


@pytest.fixture
def models():
    return make_model(), make_model()


def test_a_step_has_the_same_losses_gradients_and_buffers(models):
    recorder, warnings = capture(models[1])
    check_steps(*models, [make_batch(1)])
    assert (recorder.shapes, warnings) == ([(2, 3, 64, 64)], [])
    assert isinstance(models[1].extract_feat(make_batch(1)[0]), RawMaps)


def test_gradients_of_several_batches_and_sizes_are_added_up(models):
    """A parameter must not keep the memory of a recording, which the next replay overwrites."""
    recorder, _ = capture(models[1])
    check_steps(*models, [make_batch(1), make_batch(2), make_batch(3, size_wh=(96, 64)), make_batch(4)])
    assert recorder.shapes == [(2, 3, 64, 64), (2, 3, 64, 96)]


def test_new_weights_are_used_without_a_new_recording(models):
    recorder, _ = capture(models[1])
    for number in range(2):
        check_steps(*models, [make_batch(number)])
        for model in models:
            torch.optim.SGD(model.parameters(), lr=1e-3).step()
            model.zero_grad()
    assert len(recorder.shapes) == 1


def test_weights_and_buffers_of_other_memory_are_found(models):
    recorder, _ = capture(models[1])
    check_steps(*models, [make_batch(1)])
    for model in models:
        model.zero_grad()
        for weight in model.parameters():
            weight.data = weight.data * 0.9
    check_steps(*models, [make_batch(2)])
    assert len(recorder.shapes) == 1  # weights are read anew
    for model in models:
        model.zero_grad()
        norm = next(module for module in model.neck.modules() if isinstance(module, nn.BatchNorm2d))
        norm.running_mean = torch.ones_like(norm.running_mean)
    check_steps(*models, [make_batch(3)])
    assert len(recorder.shapes) == 2  # buffers are written in place


def test_frozen_parts_stay_frozen_when_they_are(models):
    recorder, _ = capture(models[1])
    for is_trained in (False, True):
        for model in models:
            model.zero_grad()
            model.backbone.requires_grad_(is_trained)
        check_steps(*models, [make_batch(1)])
        assert (models[1].backbone.stem.conv.conv.weight.grad is not None) == is_trained
    assert len(recorder.shapes) == 2


def test_last_and_smaller_batch_of_an_epoch_is_not_recorded(models):
    recorder, _ = capture(models[1])
    check_steps(*models, [make_batch(1), make_batch(2, num_people=(1,))])
    assert recorder.shapes == [(2, 3, 64, 64)]


def test_validation_is_not_recorded(models):
    recorder, _ = capture(models[1])
    images, _ = make_batch(1)
    with torch.no_grad():
        models[1].extract_feat(images)
        expected, found = (model.eval().extract_feat(images) for model in models)
    assert recorder.shapes == []
    for one, other in zip(expected, found):
        assert one.shape == other.shape


def compute_maps(model, images):
    feats = model.extract_feat(images)
    maps = feats if isinstance(feats, RawMaps) else model.head.head_module(feats, with_proxy=True)
    return [each.detach().clone() for level in maps for each in level]


def test_mixed_precision_is_that_of_the_step(models):
    recorder, warnings = capture(models[1])
    images = make_batch(1)[0].float().contiguous(memory_format=torch.channels_last)
    maps = []
    for model in models:
        model.float()
        with torch.autocast("cpu", torch.bfloat16):
            maps.append(compute_maps(model, images))
    assert [each.dtype for each in maps[1]] == [each.dtype for each in maps[0]]
    assert {each.dtype for each in maps[0]} == {torch.bfloat16, torch.float32}
    for found, expected in zip(maps[1], maps[0]):
        torch.testing.assert_close(found, expected)
    compute_maps(models[1], images)
    assert (len(recorder.shapes), warnings) == (2, [])  # float32 is another recording


def test_what_cannot_be_recorded_runs_as_before_with_a_warning(models):
    recorder, warnings = capture(models[1], FailingRecorder())
    check_steps(*models, [make_batch(1), make_batch(2)])
    assert (len(recorder.shapes), recorder.num_releases) == (1, 1)
    assert warnings == [
        "CUDA graphs are not used any more: the network cannot be recorded (operation not permitted when stream is "
        "capturing)."
    ]


WRONG_RECORDERS = {
    "outputs of a replay differ from those of the network itself by ": [StaleWeightsRecorder, StaleImagesRecorder],
    "gradients of a replay differ from those of the network itself by inf of their size": [LosingRecorder],
    "gradients of a replay differ from those of the network itself by ": [AddingRecorder],
    "a replay counts other batches in its buffers than the network itself": [TwiceRecorder],
    "the GPU has too little memory to record the network, and a smaller batch would leave some": [
        FullRecorder,
        NoWorkspaceRecorder,
    ],
}


@pytest.mark.parametrize(
    ("words", "recorder"),
    [(words, each) for words, recorders in WRONG_RECORDERS.items() for each in recorders],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_a_recording_that_computes_something_else_is_not_used(models, words, recorder):
    recorder, warnings = capture(models[1], recorder())
    check_steps(*models, [make_batch(1), make_batch(2)])
    assert len(warnings) == 1
    assert warnings[0].startswith(f"CUDA graphs are not used any more: {words}")
    assert (len(recorder.shapes) <= 1, recorder.num_releases) == (True, 1)


def test_recording_draws_no_random_numbers_and_leaves_weights_to_the_last_bit(models):
    capture(models[1])
    batch = make_batch(1)
    before, weights = torch.get_rng_state(), [each.clone() for each in models[1].parameters()]
    models[1].extract_feat(batch[0])
    assert torch.equal(torch.get_rng_state(), before)
    assert all(torch.equal(each, weight) for each, weight in zip(models[1].parameters(), weights))


def test_a_network_with_dropout_draws_the_same_numbers_as_before(models):
    recorder, warnings = capture(models[1])
    for model in models:
        model.neck.input_proj[0] = nn.Sequential(model.neck.input_proj[0], nn.Dropout(0.5))
    batches = make_batch(1), make_batch(2)
    losses = []
    for model in models:
        torch.manual_seed(3)
        losses.append([list(step(model, batch).values()) for batch in batches])
    for found, expected in zip(*losses):
        assert found == pytest.approx(expected, rel=1e-9)  # other numbers would be percents apart
    assert (recorder.shapes, len(warnings)) == ([], 1)
    assert "the network draws random numbers, as dropout does" in warnings[0]


def test_a_second_batch_before_the_backward_pass_of_the_first_is_not_replayed(models):
    recorder, warnings = capture(models[1])
    for model in models:
        losses = [sum(model.loss(*make_batch(number)).values()) for number in (1, 2)]
        for loss in losses:
            loss.backward()
    check_same(read(models[1]), read(models[0]))
    check_steps(*models, [make_batch(3)])
    assert (len(recorder.shapes), warnings) == (1, [])


def test_a_loss_that_is_dropped_keeps_nothing_waiting(models):
    capture(models[1])
    for model in models:
        model.loss(*make_batch(1))
    assert isinstance(models[1].extract_feat(make_batch(2)[0]), RawMaps)


def test_a_second_backward_pass_is_refused(models):
    capture(models[1])
    loss = sum(models[1].loss(*make_batch(1)).values())
    loss.backward(retain_graph=True)
    with pytest.raises(RuntimeError, match=r"second backward pass .* train without CUDA graphs \(--no-graphs\)"):
        loss.backward()


def test_a_part_in_evaluation_mode_is_recorded_as_such(models):
    recorder, warnings = capture(models[1])
    for mode in (True, False, True):
        for model in models:
            model.zero_grad()
            model.backbone.train(mode)
        check_steps(*models, [make_batch(1)])
    assert (len(recorder.shapes), recorder.num_releases, warnings) == (3, 2, [])


def test_a_part_that_was_replaced_is_used(models):
    recorder, _ = capture(models[1])
    check_steps(*models, [make_batch(1)])
    torch.manual_seed(1)
    other = make_model().neck
    for model in models:
        model.zero_grad()
        model.neck = copy.deepcopy(other)
    check_steps(*models, [make_batch(2)])
    for model in models:
        model.zero_grad()
        model.neck.input_proj[0] = copy.deepcopy(other.input_proj[0])
    check_steps(*models, [make_batch(3)])
    assert len(recorder.shapes) == 3


def test_recordings_give_way_to_a_smaller_batch_where_memory_is_short(models, monkeypatch):
    monkeypatch.setattr(captured_network, "_MOST_RESTARTS", 1)
    recorder, warnings = capture(models[1], MemoryRecorder(has_room=False))
    small = [make_batch(number, num_people=(1,)) for number in range(3)]
    check_steps(*models, [make_batch(1), small[0], small[1], make_batch(2)])
    assert (len(recorder.shapes), recorder.num_releases, warnings) == (2, 1, [])
    check_steps(*models, [small[2], make_batch(3)])
    assert len(recorder.shapes) == 2
    assert len(warnings) == 1
    assert "they would have to be recorded more than 1 times, because other weights" in warnings[0]


def test_a_larger_size_is_recorded_before_smaller_ones_where_memory_is_short(models):
    recorder, warnings = capture(models[1], PoolRecorder(2 * 96 * 64))
    sizes = [(64, 64), (96, 64), (64, 64), (96, 64)]
    check_steps(*models, [make_batch(number, size_wh=size) for number, size in enumerate(sizes)])
    assert recorder.shapes == [(2, 3, 64, 64), (2, 3, 64, 96), (2, 3, 64, 64)]
    assert (recorder.num_releases, warnings) == (1, [])


def test_a_size_for_which_there_is_no_memory_at_all_ends_the_recording(models):
    recorder, warnings = capture(models[1], PoolRecorder(2 * 64 * 64))
    check_steps(*models, [make_batch(1), make_batch(2, size_wh=(96, 64)), make_batch(3)])
    assert (recorder.shapes, recorder.num_releases) == ([(2, 3, 64, 64)], 2)
    assert models[1].extract_feat.lacks_memory
    assert len(warnings) == 1


def test_batches_of_too_many_sizes_are_not_recorded(models, monkeypatch):
    monkeypatch.setattr(captured_network, "_MOST_SIZES", 1)
    recorder, warnings = capture(models[1])
    check_steps(*models, [make_batch(1), make_batch(2, size_wh=(96, 64)), make_batch(3)])
    assert recorder.shapes == [(2, 3, 64, 64)]
    assert warnings == ["CUDA graphs are not used any more: batches have more than 1 sizes."]


class OtherHead(RTMOHead):
    """Head with a loss of its own, which looks at the features."""

    def loss(self, feats, batch_data_samples, train_cfg=None):
        assert isinstance(feats, (list, tuple))
        losses = super().loss(feats, batch_data_samples, train_cfg)
        return {**losses, "loss_feats": sum(feat.square().mean() for feat in feats)}


def test_of_a_custom_head_backbone_and_neck_are_recorded(models):
    for model in models:
        model.head.__class__ = OtherHead
    recorder, warnings = capture(models[1])
    check_steps(*models, [make_batch(1), make_batch(2)])
    assert (recorder.shapes, warnings) == ([(2, 3, 64, 64)], [])
    assert not isinstance(models[1].extract_feat(make_batch(3)[0]), RawMaps)


class OtherEstimator(BottomupPoseEstimator):
    def extract_feat(self, inputs):
        return self.backbone(inputs)


def give_hook(model):
    model.neck.input_proj[0].register_forward_hook(print)


OBSTACLES = {
    r"OtherEstimator has an extract_feat of its own": lambda model: setattr(model, "__class__", OtherEstimator),
    r"backbone.stem.conv.bn is a SyncBatchNorm, which": lambda model: setattr(
        model.backbone.stem.conv, "bn", nn.SyncBatchNorm(8)
    ),
    r"neck computes its maps again in the backward pass": lambda model: setattr(model.neck, "with_cp", True),
    r"neck.input_proj.0 has hooks, which would not": give_hook,
    r"backbone is compiled": lambda model: model.backbone.compile(backend="eager"),
}


@pytest.mark.parametrize("words", OBSTACLES)
def test_obstacles_are_named(words):
    model = make_model()
    assert find_obstacle(model) is None
    OBSTACLES[words](model)
    assert find_obstacle(model).startswith(words)


def start(hook, model, caplog):
    runner = SimpleNamespace(model=SimpleNamespace(module=model), logger=logging.getLogger("tests"))
    with caplog.at_level("INFO", logger="tests"):
        hook.before_train(runner)
    return runner


def test_the_hook_puts_it_into_a_wrapped_model_and_takes_it_back(caplog):
    model, hook = make_model(), GraphsHook(MemoryRecorder())
    runner = start(hook, model, caplog)
    assert isinstance(model.extract_feat, CapturedNetwork)
    assert "first step with each image size records the network" in caplog.text
    names = list(model.state_dict())
    hook.after_train(runner)
    assert "extract_feat" not in vars(model)
    assert list(model.state_dict()) == names == list(make_model().state_dict())


def test_without_cuda_one_sentence_says_so(caplog):
    model = make_model()
    start(GraphsHook(), model, caplog)
    assert "CUDA graphs are not used: they need an NVIDIA GPU, and this run uses the device cpu." in caplog.text
    assert "extract_feat" not in vars(model)


EDITS = {"validate": True, "patience": None, "cache_gb": 0, "amp": False, "auto_scale_lr": False}


def test_both_ways_to_run_the_network_faster_exclude_each_other():
    with pytest.raises(ConfigError, match="--compile and --graphs are two ways"):
        list_training_edits(compiled=True, graphs=True, **EDITS)


@pytest.mark.parametrize(
    ("device", "graphs", "compiled", "expected"),
    [
        ("cuda", None, False, ["GraphsHook", "NoWaitHook"]),
        ("cuda", None, True, ["CompileHook", "NoWaitHook"]),
        ("cuda", False, False, []),
        ("cpu", None, False, []),
        ("cpu", True, False, ["GraphsHook", "NoWaitHook"]),  # a warning will say that there is no GPU
    ],
)
def test_graphs_are_the_default_on_gpus(config, monkeypatch, device, graphs, compiled, expected):
    monkeypatch.setattr(edits, "get_device", lambda: device)
    cfg = Config.fromfile(config)
    before = len(cfg.custom_hooks)
    for edit in list_training_edits(compiled=compiled, graphs=graphs, **EDITS):
        edit(cfg)
    assert [hook["type"] for hook in cfg.custom_hooks[before:]] == [f"rtmo_plugin.{name}" for name in expected]


@pytest.mark.parametrize(("graphs", "kept"), [(None, 1), (True, 2), (False, 0)])
def test_hooks_that_a_config_names_are_not_added_twice(config, graphs, kept):
    cfg = Config.fromfile(config)
    before = len(cfg.custom_hooks)
    cfg.custom_hooks = [*cfg.custom_hooks, {"type": "rtmo_plugin.NoWaitHook", "device_types": ("cpu",)}]
    edits.choose_graphs(cfg, graphs, compiled=False)
    assert len(cfg.custom_hooks) == before + kept
    if kept:
        assert cfg.custom_hooks[before]["device_types"] == ("cpu",)


@pytest.mark.parametrize("options", [{"total_batch": 4}, {"amp": True}], ids=["two batches a step", "bfloat16"])
def test_a_run_learns_the_same(config, data_root, tmp_path, monkeypatch, options):
    """Through three stages, with a moving average and validation."""
    recorder = MemoryRecorder()
    monkeypatch.setattr(network_graphs, "CUDARecorder", lambda: recorder)
    monkeypatch.setattr(training_loop, "CurvesHook", Hook)  # whose plots take longer than the training
    states = []
    for graphs in (False, True):
        result = train(config, work_dir=tmp_path / str(graphs), data_root=data_root, seed=0, graphs=graphs, **options)
        states.append(read_checkpoint(result.checkpoint))
    assert recorder.shapes == [(2, 3, 64, 64)]
    for part in ("state_dict", "ema_state_dict"):
        expected, found = (state[part] for state in states)
        assert list(found) == list(expected)
        # Where a gradient is rounding noise, AdamW steps by its sign: most weights are close, and some are not.
        errors = sorted(float((found[name] - value).float().abs().max()) for name, value in expected.items())
        assert errors[len(errors) // 2] < (1e-2 if "amp" in options else 1e-4)
    assert int(states[1]["ema_state_dict"]["module.backbone.stem.conv.bn.num_batches_tracked"]) == 6
