"""Two processes on CPUs, or several batches: the gradients of one joint batch, and runs that end."""

import contextlib
import copy
import logging
import multiprocessing
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import cv2
import pytest
import torch
from mmengine.dataset import pseudo_collate
from mmengine.hooks import Hook
from mmengine.registry import init_default_scope
from mmpose.registry import DATASETS, MODELS
from mmpose.utils import register_all_modules
from torch import distributed

from rtmo_plugin.api import train
from rtmo_plugin.engine import training_loop
from rtmo_plugin.engine.distribution import wrap_for_cpus
from rtmo_plugin.engine.hooks.network_graphs import GraphsHook
from rtmo_plugin.errors import ConfigError
from tests.conftest import ROOT
from tests.replays import MemoryRecorder
from tests.tiny import describe_people
from tests.tiny_runs import make_tiny

register_all_modules()  # what each process would import for itself
pytestmark = pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")


def start(target, *arguments):
    """Run a function in two processes, which know each other by torchrun's variables; return their exit codes."""
    cv2.setNumThreads(0)  # threads do not survive a fork, and OpenCV would wait for them
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    context = multiprocessing.get_context("fork")
    processes = [context.Process(target=enter, args=(rank, port, target, *arguments)) for rank in range(2)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(300)
        process.kill()
    return [process.exitcode for process in processes]


def enter(rank, port, target, *arguments):
    for number in (signal.SIGTERM, signal.SIGHUP):  # a launcher's process has no handler that other tests left
        signal.signal(number, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    torch.set_num_threads(1)  # the threads of the parent do not exist here
    place = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    os.environ.update(place, RANK=str(rank), LOCAL_RANK=str(rank), WORLD_SIZE="2")
    target(rank, *arguments)


def make_batches(cfg):
    """Return two images with people, two with others, and the same two without anybody."""
    init_default_scope("mmpose")
    pipeline = cfg.default_hooks.training_stages.schedule.finish.pipeline
    dataset = DATASETS.build(describe_people(cfg, pipeline, num_images=4, num_people=(2, 4)))
    some, others = ([dataset[index] for index in indices] for indices in ((0, 1), (2, 3)))
    nobody = copy.deepcopy(others)
    for sample in nobody:
        sample["data_samples"].gt_instance_labels = sample["data_samples"].gt_instance_labels[:0]
    return some, others, nobody


def compute_gradients(model, samples):
    """Return the gradients of the training loss in double precision."""
    module = getattr(model, "module", model)
    module.head.enter_stage("finish")
    batch = module.data_preprocessor(pseudo_collate(copy.deepcopy(samples)), training=True)
    for sample in batch["data_samples"]:
        sample.gt_instance_labels = sample.gt_instance_labels.to(torch.float64)
    module.zero_grad()
    loss, _ = module.parse_losses(model(batch["inputs"].double(), batch["data_samples"], mode="loss"))
    loss.backward()
    return {name: parameter.grad.clone() for name, parameter in module.named_parameters() if parameter.requires_grad}


def check_rank(rank, model, pairs, expected):
    distributed.init_process_group("gloo")
    model = wrap_for_cpus(model, {"sync_bn": "torch"})
    for pair, gradients in zip(pairs, expected):
        found = compute_gradients(model, pair[rank])
        scale = max(gradient.abs().max() for gradient in gradients.values())
        different = [name for name in found if (found[name] - gradients[name]).abs().max() > 1e-9 * scale]
        assert not different, different[:5]
    statistics = [value for name, value in model.module.state_dict().items() if "running" in name]
    sums = torch.stack([value.sum() for value in statistics])
    distributed.all_reduce(sums)
    assert all(torch.isclose(2 * value.sum(), total) for value, total in zip(statistics, sums))
    distributed.destroy_process_group()


def test_gradients_are_those_of_the_joint_batch():
    cfg = make_tiny("rtmo-s_coco")
    some, others, nobody = make_batches(cfg)
    model = MODELS.build(cfg.model)
    model.init_weights()
    model.double().train()
    pairs = [(some, others), (some, nobody), (nobody, others)]
    expected = [compute_gradients(copy.deepcopy(model), a + b) for a, b in pairs]
    assert start(check_rank, model, pairs, expected) == [0, 0]


def accumulate_gradients(model, batches):
    """Return the gradients of several batches, which are exchanged once, after the last one."""
    module = model.module
    module.zero_grad()
    for number, samples in enumerate(batches):
        batch = module.data_preprocessor(pseudo_collate(copy.deepcopy(samples)), training=True)
        for sample in batch["data_samples"]:
            sample.gt_instance_labels = sample.gt_instance_labels.to(torch.float64)
        with model.no_sync() if number + 1 < len(batches) else contextlib.nullcontext():
            loss, _ = module.parse_losses(model(batch["inputs"].double(), batch["data_samples"], mode="loss"))
            loss.backward()
    return {name: weight.grad.clone() for name, weight in module.named_parameters() if weight.grad is not None}


def replay_rank(rank, model, pairs, options):
    distributed.init_process_group("gloo")
    plain, replayed = (wrap_for_cpus(copy.deepcopy(model), options) for _ in range(2))
    recorder, logger = MemoryRecorder(), logging.getLogger("replays")
    sentences = []
    logger.warning = sentences.append
    GraphsHook(recorder).before_train(SimpleNamespace(model=replayed, logger=logger))
    batches = [pair[rank] for pair in pairs]
    for _ in range(2):
        expected, found = (accumulate_gradients(each, batches) for each in (plain, replayed))
        scale = max(gradient.abs().max() for gradient in expected.values())
        assert found.keys() == expected.keys()
        assert not [name for name in found if (found[name] - expected[name]).abs().max() > 1e-9 * scale]
    for value, other in zip(plain.module.buffers(), replayed.module.buffers()):
        assert torch.allclose(value, other, rtol=1e-9, atol=1e-9)
    if options:
        assert recorder.shapes == []
        assert "SyncBatchNorm, which talks to other processes" in sentences[0]
    else:
        assert (len(recorder.shapes), sentences) == (1, [])
    distributed.destroy_process_group()


@pytest.mark.parametrize("options", [{}, {"sync_bn": "torch"}], ids=["replayed", "SyncBN"])
def test_replays_and_accumulation_where_a_rank_has_no_people(options):
    cfg = make_tiny("rtmo-t_coco")
    some, others, nobody = make_batches(cfg)
    model = MODELS.build(cfg.model)
    model.init_weights()
    model.double().train()
    pairs = [(some, others), (some, nobody), (nobody, others)]
    assert start(replay_rank, model, pairs, options) == [0, 0]


def train_rank(rank, work_dir, data_root):
    sys.stdout = sys.stderr = (work_dir / f"console_{rank}.txt").open("w", buffering=1)
    training_loop.CurvesHook = Hook  # whose pictures take longer than the training
    cfg = make_tiny("rtmo-s_coco")
    cfg.sync_bn = "torch"
    train(cfg, work_dir=work_dir, data_root=data_root, launcher="pytorch", seed=0)


def test_run_of_two_processes_ends(data_root, tmp_path):
    codes = start(train_rank, tmp_path, data_root)
    consoles = [(tmp_path / f"console_{rank}.txt").read_text() for rank in range(2)]
    assert codes == [0, 0], consoles
    assert sorted(path.name for path in tmp_path.glob("*.pth*")) == [
        "best.pth",
        "epoch_1.pth",
        "epoch_2.pth",
        "epoch_3.pth",
    ]
    assert "Epoch(val) [3]" in consoles[0]


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")
def test_other_launchers_need_gpus(config, monkeypatch):
    monkeypatch.setenv("SLURM_PROCID", "0")
    with pytest.raises(ConfigError, match="--launcher slurm needs GPUs, which are missing: on CPUs use torchrun"):
        train(config, launcher="slurm")


@pytest.mark.slow
def test_two_nodes_of_torchrun(config, data_root, tmp_path):
    """Two agents on one machine, as on two: each starts one process."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    launch = [sys.executable, "-m", "torch.distributed.run", "--nnodes=2", "--nproc-per-node=1"]
    place = ["--master-addr=127.0.0.1", f"--master-port={port}"]
    tool = [ROOT / "tools/train.py", config, "--launcher", "pytorch", "--data-root", data_root, "--work-dir", tmp_path]
    environment = {**os.environ, "GLOO_SOCKET_IFNAME": "lo"}
    nodes = [
        subprocess.Popen([*map(str, [*launch, f"--node-rank={node}", *place, *tool])], env=environment, cwd=tmp_path)
        for node in range(2)
    ]
    assert [node.wait(timeout=600) for node in nodes] == [0, 0]
    assert Path(tmp_path / "epoch_3.pth").is_file()


def test_accumulated_gradients_are_those_of_the_large_batch_where_batch_norm_does_not_matter():
    """Of batches with the same people: RTMO's losses are means over the people of a batch."""
    cfg = make_tiny("rtmo-s_coco")
    some, _, _ = make_batches(cfg)
    model = MODELS.build(cfg.model)
    model.init_weights()
    model.double().eval()
    small, large = compute_gradients(model, some), compute_gradients(model, some * 4)
    scale = max(gradient.abs().max() for gradient in large.values())
    assert all((small[name] - large[name]).abs().max() < 1e-9 * scale for name in large)
