"""Training on a GPU: few parameter groups, packed batches beside the step, CUDA graphs, and losses read late."""

import copy

import pytest
import torch
from mmengine.hooks import Hook
from mmengine.model import MMDistributedDataParallel
from torch import distributed

from rtmo_plugin.api import train
from rtmo_plugin.checkpoints.reading import read_checkpoint
from rtmo_plugin.config.config_files import load_config
from rtmo_plugin.data import batch_slots
from rtmo_plugin.data.preprocessor import PackedDataPreprocessor
from rtmo_plugin.engine import recording_proof, training_loop
from rtmo_plugin.engine.captured_network import CapturedNetwork
from rtmo_plugin.engine.moving_average import ForeachEMA
from rtmo_plugin.engine.optim_wrapper import AutocastOptimWrapper
from rtmo_plugin.engine.recordings import CUDARecorder
from rtmo_plugin.models.heads.rtmo_head_module import RawMaps
from rtmo_plugin.packed_batch import pack_samples
from tests import replays
from tests.data.test_batch_slots import make_loader
from tests.engine.test_resume import find_different
from tests.oracle import make_samples
from tests.replays import check_steps, make_batch, make_model, read, step

pytestmark = pytest.mark.gpu
DEVICE = "cuda"


def make_pair(recorder=None):
    """Return two equal models in float64, one of which replays CUDA graphs, and the list of warnings."""
    plain = make_model().to(DEVICE)
    replayed, warnings = copy.deepcopy(plain), []
    replayed.extract_feat = CapturedNetwork(replayed, recorder or CUDARecorder(), warnings.append)
    return plain, replayed, warnings


def load(number, **options):
    images, samples = make_batch(number, **options)
    return images.to(DEVICE), [sample.to(DEVICE) for sample in samples]


def count(model):
    return len(model.extract_feat._recordings)


def test_graphs_give_the_same_losses_gradients_and_buffers_in_all_sizes():
    plain, replayed, warnings = make_pair()
    sizes = [(64, 64), (96, 64), (64, 64), (96, 64), (128, 128), (64, 64)]
    for number, size in enumerate(sizes):  # without a step between, so that gradients are accumulated
        check_steps(plain, replayed, [load(number, size_wh=size)])
    assert warnings == []
    assert count(replayed) == 3


def test_graphs_follow_the_optimizer_and_the_moving_average():
    plain, replayed, warnings = make_pair()
    for number in range(4):
        check_steps(plain, replayed, [load(number)])
        for model in (plain, replayed):
            torch.optim.AdamW(model.parameters(), lr=1e-4, fused=True).step()
            model.zero_grad()
        assert all(weight.grad is None for weight in replayed.parameters())
        for model in (plain, replayed):  # as EMAHook does around a validation
            with torch.no_grad():
                torch._foreach_mul_(list(model.parameters()), 0.99)
    assert (warnings, count(replayed)) == ([], 1)


def test_graphs_are_recorded_while_another_thread_pins_memory():
    plain, replayed, warnings = make_pair()
    data = [torch.rand(3, 256, 256) for _ in range(64)]
    batches = iter(torch.utils.data.DataLoader(data, batch_size=4, num_workers=2, pin_memory=True))
    next(batches)
    check_steps(plain, replayed, [load(1), load(2, size_wh=(96, 96))])
    assert len(list(batches)) == 15
    assert (warnings, count(replayed)) == ([], 2)


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_graphs_in_mixed_precision_with_a_scaler(dtype):
    plain, replayed, warnings = make_pair()
    losses = []
    for model in (plain.float(), replayed.float()):
        wrapper = AutocastOptimWrapper(
            optimizer=torch.optim.AdamW(model.parameters(), lr=1e-6), dtype=dtype, clip_grad={"max_norm": 0.1}
        )
        losses.append([])
        for number in range(5):
            images = make_batch(number)[0].float().to(DEVICE)
            samples = [each.to(DEVICE) for each in make_samples([2, 1], size_wh=(64, 64), seed=number)]
            with wrapper.optim_context(model):
                found = model.loss(images, samples)
            wrapper.update_params(sum(found.values()))
            losses[-1].append(float(sum(found.values())))
        assert all(weight.isfinite().all() for weight in model.parameters())
    # Convolutions that sum in another sequence, as for another memory order, make up to 4.8 % in bfloat16.
    assert losses[1] == pytest.approx(losses[0], rel=0.1 if dtype == "bfloat16" else 0.03)
    assert (warnings, count(replayed)) == ([], 1)


def test_a_network_that_waits_for_the_gpu_runs_as_before():
    plain, replayed, warnings = make_pair()

    class Waiting(torch.nn.Module):
        def __init__(self, network):
            super().__init__()
            self.network = network

        def forward(self, maps):
            assert float(maps[0].sum()) < float("inf")
            return self.network(maps)

    for model in (plain, replayed):
        model.neck = Waiting(model.neck)
    replayed.extract_feat = CapturedNetwork(_without_graphs(replayed), CUDARecorder(), warnings.append)
    check_steps(plain, replayed, [load(1), load(2)])
    assert len(warnings) == 1
    assert "CUDA graphs are not used any more: the network cannot be recorded (called a synchronizing" in warnings[0]
    assert torch.rand(8, device=DEVICE).isfinite().all()  # refused after a capture that failed
    before = torch.cuda.memory_stats()["active_bytes.all.current"]
    for _ in range(3):
        torch.empty(64 << 20, dtype=torch.uint8, device=DEVICE).record_stream(torch.cuda.Stream())
        torch.cuda.synchronize()
    torch.empty(1, device=DEVICE)  # looks for memory that is not used any more
    assert torch.cuda.memory_stats()["active_bytes.all.current"] < before + (64 << 20)


def _without_graphs(model):
    vars(model).pop("extract_feat", None)
    return model


@pytest.mark.parametrize("recorder", [replays.StaleWeightsRecorder, replays.StaleImagesRecorder, replays.TwiceRecorder])
def test_graphs_that_compute_something_else_are_not_used(recorder):
    plain, replayed, warnings = make_pair(recorder(CUDARecorder()))
    check_steps(plain, replayed, [load(1), load(2)])
    assert len(warnings) == 1
    assert "from those of the network itself" in warnings[0] or "than the network itself" in warnings[0]


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_graphs_equal_the_network_in_mixed_precision_with_recipes_sizes(dtype):
    """Differences stay far below the limit of 0.6: the kernels are the same."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(recording_proof, "_LIMITS", {dtype: 0.05})
        model = make_model().float().to(DEVICE).to(memory_format=torch.channels_last)
        warnings = []
        model.extract_feat = CapturedNetwork(model, CUDARecorder(), warnings.append)
        for side in (480, 640, 800):
            with torch.autocast(DEVICE, dtype):
                maps = model.extract_feat(torch.rand(8, 3, side, side, device=DEVICE) * 255)
            del maps
    assert (warnings, count(model)) == ([], 3)


def test_a_network_with_dropout_draws_the_same_numbers():
    plain, replayed, warnings = make_pair()
    for model in (plain, replayed):
        model.neck.input_proj[0] = torch.nn.Sequential(model.neck.input_proj[0], torch.nn.Dropout(0.5))
    losses = []
    for model in (plain, replayed):
        torch.manual_seed(3)
        losses.append([list(step(model, load(number)).values()) for number in (1, 2)])
    assert losses[1][0] == pytest.approx(losses[0][0], rel=1e-9)
    assert "the network draws random numbers" in warnings[0]


def test_frozen_parts_and_batch_norm_in_evaluation_mode_are_followed():
    plain, replayed, warnings = make_pair()
    for is_trained in (True, False, True):
        for model in (plain, replayed):
            model.zero_grad()
            model.backbone.requires_grad_(is_trained).train(is_trained)
        check_steps(plain, replayed, [load(1), load(2, size_wh=(96, 64))])
    assert (warnings, count(replayed)) == ([], 2)


def test_smaller_batches_and_validation_come_between_replays():
    plain, replayed, warnings = make_pair()
    check_steps(plain, replayed, [load(1), load(2, num_people=(1,)), load(3)])
    with torch.no_grad():
        for model in (plain, replayed):
            model.eval().extract_feat(load(4)[0])
            model.train()
    check_steps(plain, replayed, [load(5)])
    assert (warnings, count(replayed)) == ([], 1)


def test_a_second_batch_before_the_backward_pass_of_the_first_is_not_replayed():
    plain, replayed, warnings = make_pair()
    for model in (plain, replayed):
        for loss in [sum(model.loss(*load(number)).values()) for number in (1, 2)]:
            loss.backward()
    replays.check_same(read(replayed), read(plain))
    assert warnings == []


def test_memory_of_graphs_is_given_back_and_had_again():
    model, recorder = make_model().float().to(DEVICE), CUDARecorder()
    reserved = []
    for _ in range(2):
        captured = CapturedNetwork(model, recorder, pytest.fail)
        captured(torch.rand(8, 3, 640, 640, device=DEVICE))
        (recording,) = captured._recordings.values()
        num_bytes = recording.num_bytes
        assert num_bytes > 1 << 20
        reserved.append(torch.cuda.memory_reserved())
        del captured, recording
        recorder.release()
        reserved.append(torch.cuda.memory_reserved())
        assert reserved[-1] <= reserved[-2] - num_bytes
    assert reserved[3] <= reserved[1] + (2 << 20)  # workspaces of libraries stay, and are not made again
    assert recorder.has_room_for(1)
    assert not recorder.has_room_for(1 << 50)


def test_too_little_memory_is_a_warning_and_leaves_what_there_was():
    plain, replayed, warnings = make_pair()
    captured = replayed.extract_feat
    images = torch.rand(16, 3, 640, 640, device=DEVICE, dtype=torch.float64)
    total = torch.cuda.get_device_properties(DEVICE).total_memory
    torch.cuda.empty_cache()
    # Less than a copy of the images (150 MB): PyTorch's allocator refuses it, and not a library in other words.
    torch.cuda.set_per_process_memory_fraction((torch.cuda.memory_reserved() + (64 << 20)) / total)
    try:
        with pytest.raises(torch.cuda.OutOfMemoryError):  # of the network itself, too
            captured(images)
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
    assert "the GPU has too little memory to record the network" in warnings[0]
    del images
    check_steps(plain, replayed, [load(1)])


def test_the_moving_average_is_that_of_the_cpu():
    models = [make_model().to(device) for device in ("cpu", DEVICE)]
    averages = [ForeachEMA(model, momentum=0.01, gamma=10, update_buffers=True) for model in models]
    for number in range(20):
        for model, average in zip(models, averages):
            generator = torch.Generator().manual_seed(number)
            with torch.no_grad():
                for weight in model.parameters():
                    weight.add_(torch.randn(weight.shape, generator=generator, dtype=weight.dtype).to(weight.device))
            average.update_parameters(model)
    for expected, found in zip(averages[0].state_dict().values(), averages[1].state_dict().values()):
        torch.testing.assert_close(found.cpu(), expected, rtol=1e-6, atol=1e-6)


@pytest.fixture
def one_process(tmp_path):
    """Make this process the only one of a distributed run."""
    backend = "nccl" if DEVICE == "cuda" else "gloo"
    distributed.init_process_group(backend, init_method=f"file://{tmp_path / 'store'}", rank=0, world_size=1)
    yield
    distributed.destroy_process_group()


def test_graphs_within_a_wrapper_of_distributed_training(one_process):
    plain, replayed, warnings = make_pair()
    wrapped = MMDistributedDataParallel(replayed, broadcast_buffers=False)
    for number in range(2):
        batch = load(number)
        expected = step(plain, batch)
        losses = wrapped(*batch, mode="loss")
        sum(losses.values()).backward()
        assert {name: float(value.detach()) for name, value in losses.items()} == pytest.approx(expected, rel=1e-9)
        for name, value in read(plain).items():
            torch.testing.assert_close(read(replayed)[name], value, rtol=1e-8, atol=1e-8)
        for model in (plain, replayed):
            model.zero_grad()
    assert (warnings, count(replayed)) == ([], 1)


def test_packed_batches_copied_aside_are_the_same():
    preprocessors = [PackedDataPreprocessor().to(DEVICE) for _ in range(2)]
    preprocessors[1].copies_aside = True
    for number in range(3):
        torch.manual_seed(number)
        images = torch.randint(0, 256, (4, 3, 256, 256), dtype=torch.uint8).pin_memory()
        people = pack_samples(make_samples([2, 0, 1, 3], seed=number, with_mask=True)).pin_memory()
        expected, found = (each({"inputs": images, "data_samples": people}, True) for each in preprocessors)
        assert torch.equal(found["inputs"], expected["inputs"])
        for name in ("boxes", "keypoints", "areas", "labels", "is_person"):
            one, other = (getattr(each["data_samples"].people, name) for each in (found, expected))
            assert torch.equal(one, other)
        torch.ones(1 << 24, device=DEVICE).cumsum(0)  # work on which a wrong order of streams would show


def test_packed_batches_are_read_from_the_memory_of_the_workers(monkeypatch):
    monkeypatch.setattr(batch_slots, "_preparations", [])
    batch_slots.pin_slots()
    preprocessor = PackedDataPreprocessor().to(DEVICE)
    preprocessor.copies_aside = True
    found, places = [], set()
    for batch in make_loader(range(20, 148), num_workers=2, size_wh=(512, 512), pin_memory=True):
        assert batch["inputs"].is_pinned()
        places.add(batch["inputs"].data_ptr())
        torch.ones(1 << 24, device=DEVICE).cumsum(0)  # so that the host is ahead of the copies
        found.append(preprocessor(batch, True)["inputs"][:, :, -1, -1])
    assert torch.cat(found)[:, 0].tolist() == list(range(20, 148))
    assert len(places) < 64  # slots were written again


@pytest.fixture
def run(config, data_root, tmp_path, monkeypatch, algorithms_kept):
    """Return a function that trains the tiny model on a worker of its own, with pinned batches."""
    monkeypatch.setattr(training_loop, "CurvesHook", Hook)  # whose plots take longer than the training

    def train_with(name, **options):
        cfg = load_config(config)
        cfg.train_dataloader.update(num_workers=1, persistent_workers=True, pin_memory=True)
        return train(cfg, work_dir=tmp_path / name, data_root=data_root, seed=0, **options)

    return train_with


def test_graphs_are_the_default(run):
    result = run("default", amp=True, validate=False)
    log = next(result.log_dir.glob("*.log")).read_text()
    assert "CUDA graphs are used (--no-graphs: train without)" in log
    assert "CUDA graphs are not used" not in log


@pytest.mark.parametrize("options", [{}, {"amp": True}, {"amp": True, "total_batch": 4}])
def test_a_run_with_graphs_learns_the_same(run, options):
    """Both choose the same kernels: AdamW divides by the gradient's size, and makes a step of any rounding."""
    options = {"deterministic": True, **options}
    states = [read_checkpoint(run(str(graphs), graphs=graphs, **options).checkpoint) for graphs in (False, True)]
    for part in ("state_dict", "ema_state_dict"):
        expected, found = (state[part] for state in states)
        assert list(found) == list(expected)
        errors = sorted(float((found[name] - value).float().abs().max()) for name, value in expected.items())
        assert errors[len(errors) // 2] < 1e-2


def test_optimizer_has_few_groups_and_fused_kernels(run):
    seen = []

    class LookHook(Hook):
        def before_train(self, runner):
            seen.append(runner.optim_wrapper.optimizer)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(training_loop, "CurvesHook", LookHook)
        run("groups", amp=True)
    (optimizer,) = seen
    assert len(optimizer.param_groups) <= 8
    assert all(group["fused"] for group in optimizer.param_groups)


@pytest.mark.parametrize("graphs", [False, True])
def test_a_resumed_run_ends_with_the_weights_of_an_unbroken_one(run, graphs):
    options = {"graphs": graphs, "amp": True, "deterministic": True, "validate": False}
    straight = run("straight", **options)
    run("resumed", cfg_options={"train_cfg.max_epochs": 1}, **options)
    resumed = run("resumed", resume=True, **options)
    expected, found = (read_checkpoint(each.checkpoint) for each in (straight, resumed))
    for part in ("state_dict", "ema_state_dict", "optimizer"):
        assert find_different(found[part], expected[part], part) == []


def test_the_maps_of_a_replay_are_those_of_the_head():
    plain, replayed, _ = make_pair()
    images, _ = load(1)
    maps = replayed.extract_feat(images)
    assert isinstance(maps, RawMaps)
    for found, expected in zip(maps, plain.head.head_module(plain.extract_feat(images), with_proxy=True)):
        for one, other in zip(found, expected, strict=True):
            torch.testing.assert_close(one, other, rtol=1e-8, atol=1e-8)
