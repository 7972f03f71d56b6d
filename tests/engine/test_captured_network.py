"""The network as recordings: the same losses, gradients and buffers, one recording a size, and reasons where it is not.

On the CPU a recording is played by a stand-in that computes into fixed memory as a CUDA graph does, so that everything
around the graphs is tested: when they are recorded and replayed, what becomes of buffers and gradients.
"""

import logging
from types import SimpleNamespace

import pytest
import torch
from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.registry import MODELS, init_default_scope
from torch import nn

from rtmo_plugin.api import train
from rtmo_plugin.checkpoints.reading import read_checkpoint
from rtmo_plugin.config.edits import list_training_edits
from rtmo_plugin.engine import training_loop
from rtmo_plugin.engine.captured_network import CapturedNetwork, Recording, find_obstacle
from rtmo_plugin.engine.hooks import network_graphs
from rtmo_plugin.engine.hooks.network_graphs import GraphsHook
from rtmo_plugin.errors import ConfigError
from rtmo_plugin.models.heads.rtmo_head_module import RawMaps
from tests.oracle import OUR_CONFIGS, make_samples
from tests.tiny import shrink

NUM_WARM_UPS = 3


class MemoryRecorder:
    """Stand-in for CUDA graphs: results are written to the same memory in every replay."""

    def __init__(self):
        self.shapes = []

    def find_obstacle(self, device):
        return None

    def __call__(self, function, inputs):
        self.shapes.append(tuple(inputs[0].shape))
        weights, graph = inputs[1:], []
        for _ in range(NUM_WARM_UPS):
            outputs = function(*inputs)
            gradients = tuple(torch.zeros_like(each) for each in outputs)
            found = torch.autograd.grad(outputs, weights, gradients, allow_unused=True)
        kept = tuple(each.detach().clone() for each in outputs)
        found = tuple(None if each is None else each.clone() for each in found)

        def forward():
            with torch.enable_grad():
                graph[:] = function(*inputs)
            for static, value in zip(kept, graph):
                static.copy_(value.detach())

        def backward():
            for static, value in zip(found, torch.autograd.grad(graph, weights, gradients, allow_unused=True)):
                if static is not None:
                    static.copy_(value)

        return Recording(inputs, kept, gradients, found, forward, backward)


class FailingRecorder(MemoryRecorder):
    def __call__(self, function, inputs):
        super().__call__(function, inputs)  # the warm-up has changed the buffers
        raise RuntimeError("operation not permitted when stream is capturing\nand more lines")


def make_model(recipe="rtmo-t_coco"):
    init_default_scope("mmpose")
    torch.manual_seed(0)
    config = shrink(Config.fromfile(OUR_CONFIGS / f"{recipe}.py").model)
    config.data_preprocessor.batch_augments = None
    return MODELS.build(config).train().double()


def capture(model, recorder=None):
    """Let a model replay its network, and return the recorder and the list of warnings."""
    recorder, warnings = recorder or MemoryRecorder(), []
    model.extract_feat = CapturedNetwork(model, recorder, warnings.append)
    return recorder, warnings


def make_batch(number, size_wh=(64, 64), num_people=(2, 1)):
    torch.manual_seed(number)
    images = torch.rand(len(num_people), 3, *size_wh[::-1]).double() * 255
    return images, make_samples(list(num_people), size_wh=size_wh, seed=number, dtype=torch.float64)


def step(model, batch):
    """Add the gradients of a batch to those of the model, and return its losses."""
    losses = model.loss(*batch)
    sum(losses.values()).backward()
    return {name: float(value.detach()) for name, value in losses.items()}


def read(model):
    """Return everything that a step changes."""
    gradients = {f"{name} (gradient)": each.grad for name, each in model.named_parameters() if each.grad is not None}
    return {**gradients, **dict(model.named_buffers())}


def check_same(found, expected):
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        torch.testing.assert_close(
            found[name], value, rtol=1e-8, atol=1e-8, msg=lambda text, name=name: f"{name}: {text}"
        )


def check_steps(model, other, batches):
    for batch in batches:
        assert step(other, batch) == pytest.approx(step(model, batch), rel=1e-9, abs=1e-9)
    check_same(read(other), read(model))


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


def test_mixed_precision_is_that_of_the_step(models):
    recorder, _ = capture(models[1])
    images = make_batch(1)[0].float().contiguous(memory_format=torch.channels_last)
    maps = []
    for model in models:
        model.float()
        with torch.autocast("cpu", torch.bfloat16):
            feats = model.extract_feat(images)
            maps.append(feats if isinstance(feats, RawMaps) else model.head.head_module(feats, with_proxy=True))
    for expected, found in zip(*maps):
        assert [each.dtype for each in found] == [each.dtype for each in expected]
        for one, other in zip(found, expected):
            torch.testing.assert_close(one, other)
    assert maps[0].pose_vectors[0].dtype == torch.bfloat16
    models[1].extract_feat(images)
    assert len(recorder.shapes) == 2  # float32 is another recording


def test_what_cannot_be_recorded_runs_as_before_with_a_warning(models):
    recorder, warnings = capture(models[1], FailingRecorder())
    check_steps(*models, [make_batch(1), make_batch(2)])
    assert len(recorder.shapes) == 1
    assert warnings == [
        "CUDA graphs are not used any more, because the network cannot be recorded: operation not permitted when "
        "stream is capturing"
    ]


class OtherHead(nn.Module):
    pass


def give_other_head(model):
    model.head = OtherHead()


def give_hook(model):
    model.neck.input_proj[0].register_forward_hook(print)


OBSTACLES = {
    r"the head is OtherHead, which has no head_module": give_other_head,
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


def test_both_ways_to_run_the_network_faster_exclude_each_other():
    options = {"validate": True, "patience": None, "cache_gb": 0, "amp": False, "auto_scale_lr": False}
    with pytest.raises(ConfigError, match="--compile and --graphs are two ways"):
        list_training_edits(compiled=True, graphs=True, **options)


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
