"""A training step makes every tensor on the device of the model, tried where there is no GPU.

The device "meta" has shapes and no values, and refuses most operators with tensors of the CPU and of it.
"""

from collections import Counter
from contextlib import nullcontext

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from rtmo_plugin.packed_batch import pack_samples
from tests.oracle import STAGES, build_model, load_ours, make_samples

META = torch.device("meta")
NUM_ASSIGNED = 37


class AnswerReads(TorchDispatchMode):
    """Answers what a device without values cannot, and refuses copies from and to the CPU.

    Attributes:
        reads: Number of answers, by operator.
    """

    def __init__(self):
        super().__init__()
        self.reads = Counter()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        name, given = func.overloadpacket.__name__, args[0] if args else None
        if name == "nonzero":
            self.reads[name] += 1
            return torch.zeros(NUM_ASSIGNED, given.dim(), dtype=torch.int64, device=META)
        if name == "_to_copy" and torch.device((kwargs or {}).get("device") or given.device) != given.device:
            assert given.device == META, "a copy to the device, which waits unless its memory is pinned"
            self.reads["to the host"] += 1
            return torch.zeros(given.shape, dtype=given.dtype)
        return func(*args, **(kwargs or {}))


@pytest.fixture(scope="module")
def model():
    return build_model(load_ours("rtmo-t_body7")).train().to(META)


@pytest.mark.parametrize("stage", STAGES)
def test_losses_and_gradients_are_on_the_device_of_the_model(monkeypatch, model, stage):
    monkeypatch.setattr(torch, "autocast", lambda *_, **__: nullcontext())  # which "meta" does not have
    model.zero_grad()
    model.head.enter_stage(stage)
    batch = pack_samples(make_samples([3, 1, 0, 5], with_mask=stage != "warmup")).to(META)
    images = torch.empty(4, 3, 192, 256, dtype=torch.uint8, device=META)
    with AnswerReads() as mode:
        data = model.data_preprocessor({"inputs": images, "data_samples": batch}, training=True)
        total, losses = model.parse_losses(model(**data, mode="loss"))
        total.backward()
    assert {each.device for each in losses.values()} == {META}
    assert {each.grad.device for each in model.parameters() if each.requires_grad} == {META}
    # How many priors are assigned; and whether the losses are finite, which a run on a GPU reads a step later.
    assert mode.reads == Counter({"nonzero": 1, "to the host": 1})
