"""The defects of MMPose 1.3.2's RTMO that this package must not have, by their numbers.

Each test runs MMPose's own class first, to show what it does, then ours.  Number 7 stands in
tests/engine/test_training_stages.py, our side of number 11 in tests/models/necks.
"""

from __future__ import annotations

import copy
import math
import multiprocessing
import re
from collections import Counter
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from mmengine.hooks import SyncBuffersHook
from mmengine.structures import PixelData
from mmpose.engine.hooks import RTMOModeSwitchHook, SyncNormHook, YOLOXPoseModeSwitchHook
from mmpose.evaluation.functional import nms_torch
from mmpose.models import losses as their_losses
from mmpose.models.task_modules.assigners import PoseOKS
from mmpose.registry import MODELS as MMPOSE_MODELS
from torch import distributed, nn
from torch.utils._python_dispatch import TorchDispatchMode

from rtmo_plugin.engine.schedule import find_stage, read_schedule
from rtmo_plugin.keypoint_schemas import COCO
from rtmo_plugin.models.heads.dense import densify
from rtmo_plugin.models.heads.ground_truth import build_targets, collect_people
from rtmo_plugin.models.losses import MLECCLoss, VariFocalLoss
from rtmo_plugin.ops.nms import suppress_duplicates
from rtmo_plugin.registry import MODELS
from rtmo_plugin.structures import Assignment
from tests.oracle import OFFICIAL_CONFIGS, load_official, load_ours, make_samples
from tests.small_head import SIZE_WH, build_both, build_ours, build_theirs, make_features

LOSSES = ["loss_cls", "loss_bbox", "loss_oks", "loss_vis", "loss_mle", "loss_bbox_aux"]
NOBODY = [0, 0]


def make_batch(counts=(3, 1), size_wh=SIZE_WH, seed=0, **options):
    """Return features and data samples; MMPose gets its own copy of the samples."""
    samples = make_samples(list(counts), 17, size_wh, seed, **options)
    return make_features(len(counts), size_wh, seed), samples, copy.deepcopy(samples)


def compute_gradients(head, losses):
    """Return name to gradient, None where a loss does not reach, of all parameters that are trained."""
    trained = {name: p for name, p in head.named_parameters() if p.requires_grad}
    total = sum(losses[name].sum() for name in losses if "loss" in name)
    return dict(zip(trained, torch.autograd.grad(total, list(trained.values()), allow_unused=True)))


class OperatorCounter(TorchDispatchMode):
    """Counts the tensor operators that run inside it, by name."""

    def __init__(self):
        super().__init__()
        self.counts = Counter()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.counts[func.overloadpacket.__name__] += 1
        return func(*args, **(kwargs or {}))


def count_operators(function, *args):
    with OperatorCounter() as counter:
        function(*args)
    return counter.counts


def test_every_defect_has_a_test():
    found = set()
    for path in Path(__file__).parent.rglob("test_*.py"):
        found |= {int(number) for number in re.findall(r"^def test_defect_(\d+)_", path.read_text(), re.MULTILINE)}
    assert found == set(range(1, 18))


def test_defect_01_predict_without_suppression():
    theirs, ours = build_both()
    feats, samples, their_samples = make_batch()
    theirs.eval(), ours.eval()
    for test_cfg in ({"score_thr": 0.1, "nms_thr": 1.0}, {}):
        with pytest.raises(UnboundLocalError, match="keep_idxs_nms"):
            theirs.predict(feats, their_samples, test_cfg)
    instances = ours.predict(feats, samples, {"score_thr": 0.1, "nms_thr": 1.0})
    scores = densify(ours(feats), ours.strides).class_logits.sigmoid()
    assert [len(each) for each in instances] == (scores > 0.1).sum(dim=(1, 2)).tolist()
    assert sum(map(len, instances)) > sum(map(len, ours.predict(feats, samples, {})))


def test_defect_02_dcc_as_target_without_its_own_loss():
    theirs = build_theirs(proxy_target_cc=True, loss_mle={"loss_weight": 0})
    ours = build_ours(stages={"refine": {"weights": {"mle": 0.0}}})
    feats, samples, their_samples = make_batch()
    with pytest.raises(UnboundLocalError, match="kpt_cc_preds"):
        theirs.loss(feats, their_samples)
    ours.enter_stage("refine")
    losses = ours.loss(feats, samples)
    assert losses["loss_mle"] == 0
    assert losses["loss_oks"] > 0
    assert all(gradient.isfinite().all() for gradient in compute_gradients(ours, losses).values())


def test_defect_03_batch_without_people_in_the_last_stage():
    theirs, ours = build_both()
    feats, samples, their_samples = make_batch(NOBODY)
    theirs.use_aux_loss = True
    with pytest.raises(TypeError, match="tuple indices"):
        theirs.loss(feats, their_samples)
    ours.enter_stage("finish")
    losses = ours.loss(feats, samples)
    assert losses["loss_cls"] > 0
    assert [float(losses[name]) for name in LOSSES[1:]] == [0.0] * 5


def test_defect_04_batch_without_people_has_all_losses_and_gradients():
    theirs, ours = build_both()
    feats, samples, their_samples = make_batch(NOBODY)
    _, people, their_people = make_batch()
    some, none = theirs.loss(feats, their_people), theirs.loss(feats, their_samples)
    assert "loss_bbox" in some
    assert [name for name in none if "loss" in name] == ["loss_cls"]
    assert None in compute_gradients(theirs, none).values()

    for stage in ("warmup", "refine", "finish"):
        ours.enter_stage(stage)
        losses = ours.loss(feats, samples)
        assert list(losses) == list(ours.loss(feats, people)) == LOSSES
        assert all(gradient.isfinite().all() for gradient in compute_gradients(ours, losses).values())


class LossOfHead(nn.Module):
    """What distributed training wraps: a module whose forward is the loss."""

    def __init__(self, head):
        super().__init__()
        self.head = head

    def forward(self, feats, samples):
        losses = self.head.loss(feats, samples)
        return sum(value.sum() for name, value in losses.items() if "loss" in name)


def test_defect_04_distributed_training_survives_a_batch_without_people(tmp_path):
    theirs, ours = build_both()
    distributed.init_process_group("gloo", init_method=f"file://{tmp_path}/store", rank=0, world_size=1)
    try:
        for head in (theirs, ours):
            model = nn.parallel.DistributedDataParallel(LossOfHead(head))
            feats, nobody, _ = make_batch(NOBODY)
            model(feats, nobody).backward()
            _, people, _ = make_batch()
            if head is theirs:
                with pytest.raises(RuntimeError, match="finished reduction in the prior iteration"):
                    model(feats, people)
            else:
                model(feats, people).backward()
    finally:
        distributed.destroy_process_group()


def test_defect_05_loss_in_eval_mode():
    theirs, ours = build_both()
    feats, samples, their_samples = make_batch()
    theirs.eval(), ours.eval()
    with pytest.raises(AttributeError, match="'NoneType' object has no attribute 'reshape'"):
        theirs.loss(feats, their_samples)
    before = copy.deepcopy(ours.state_dict())
    losses = ours.loss(feats, samples)
    assert list(losses) == LOSSES
    assert losses["loss_oks"] > 0
    assert all(torch.equal(before[name], value) for name, value in ours.state_dict().items())


@pytest.mark.parametrize("size_wh", [(128, 96), (96, 128), (160, 64)])
def test_defect_06_priors_of_an_input_that_is_not_square(size_wh):
    theirs, ours = build_both()
    deployed = copy.deepcopy(theirs)
    deployed.switch_to_deploy({"input_size": size_wh})
    width, height = size_wh
    right, transposed = (
        torch.cat(theirs.prior_generator.grid_priors([(h // s, w // s) for s in (16, 32)], device="cpu"))
        for h, w in ((height, width), (width, height))
    )
    assert torch.equal(deployed.flatten_priors, transposed)
    assert not torch.equal(right, transposed)

    theirs.eval(), ours.eval()
    feats, samples, _ = make_batch(size_wh=size_wh)
    test_cfg = {"score_thr": 0.1, "nms_thr": 0.65}
    ours.predict(make_features(2, (height, width)), samples, test_cfg)  # nothing of it may be kept
    for a, b in zip(ours.predict(feats, samples, test_cfg), theirs.predict(feats, samples, test_cfg)):
        torch.testing.assert_close(a.keypoints, b.keypoints, rtol=0, atol=0.01)
    for is_training in (False, True):
        maps = ours.train(is_training).head_module(feats, with_proxy=is_training)
        assert torch.equal(densify(maps, ours.strides).priors.centers, right)


def test_defect_07_one_meaning_of_an_epoch(monkeypatch):
    """MMPose's two hooks, told the same epoch, act one epoch apart; our schedule means one thing."""
    monkeypatch.setattr(YOLOXPoseModeSwitchHook, "_modify_dataloader", lambda *_: None)
    hooks = [YOLOXPoseModeSwitchHook(num_last_epochs=20), RTMOModeSwitchHook({580: {"use_aux_loss": True}})]
    switched = [find_switch_epoch(hook, max_epochs=600) for hook in hooks]
    assert switched == [579, 580]
    schedule = read_schedule({"warmup": {"begin": 0}, "refine": {"begin": 280}, "finish": {"begin": 580}})
    names = [find_stage(schedule, epoch).name for epoch in range(600)]
    assert [names.index(name) for name in ("warmup", "refine", "finish")] == [0, 280, 580]


def find_switch_epoch(hook, max_epochs):
    """Return the first epoch, from 0, in which MMPose's hook has turned the auxiliary loss on."""
    head = SimpleNamespace(use_aux_loss=False)
    model = nn.Identity()
    model.head = head
    runner = SimpleNamespace(model=model, max_epochs=max_epochs, logger=SimpleNamespace(info=print), cfg=None)
    for epoch in range(max_epochs):
        runner.epoch = epoch
        hook.before_train_epoch(runner)
        if head.use_aux_loss:
            return epoch
    return None


def synchronise_statistics(rank, store, queue):
    """Run both hooks on a rank whose running mean is its number; report what became of it."""
    torch.set_num_threads(1)
    distributed.init_process_group("gloo", init_method=f"file://{store}", rank=rank, world_size=2)
    norm = nn.BatchNorm1d(1)
    norm.running_mean.fill_(rank)
    warnings = []
    runner = SimpleNamespace(model=norm, logger=SimpleNamespace(warn=warnings.append))
    SyncNormHook().before_val_epoch(runner)
    after_theirs = float(norm.running_mean)
    SyncBuffersHook().after_train_epoch(runner)
    queue.put((rank, after_theirs, warnings, float(norm.running_mean)))
    distributed.destroy_process_group()


@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_defect_08_norm_statistics_of_all_ranks(tmp_path):
    """MMPose's hook fails on every call and only logs it; our configs name MMEngine's, which works."""
    context = multiprocessing.get_context("fork")
    queue = context.Queue()
    processes = [
        context.Process(target=synchronise_statistics, args=(rank, tmp_path / "store", queue)) for rank in range(2)
    ]
    for process in processes:
        process.start()
    results = sorted(queue.get(timeout=60) for _ in processes)
    for process in processes:
        process.join()
    assert [after_theirs for _, after_theirs, _, _ in results] == [0.0, 1.0]
    assert all("SyncNormHook failed" in warnings[0] for _, _, warnings, _ in results)
    assert [after_ours for _, _, _, after_ours in results] == [0.5, 0.5]
    theirs, ours = ({h.type for h in load("rtmo-s_coco").custom_hooks} for load in (load_official, load_ours))
    assert "SyncNormHook" in theirs - ours
    assert "SyncBuffersHook" in ours


def make_distribution(ours, num_people=2):
    torch.manual_seed(1)
    boxes = torch.tensor([[10.0, 20, 60, 90]]).repeat(num_people, 1)
    with torch.no_grad():
        return ours.dcc(torch.randn(num_people, 64), boxes, torch.full((num_people, 2), 40.0))


def test_defect_09_not_a_number_is_never_taken_for_zero():
    nan = torch.tensor([[math.nan], [0.5]])
    target = torch.tensor([[0.9], [0.0]])
    theirs = their_losses.VariFocalLoss(reduction="sum")
    assert theirs(nan.clone(), target) == theirs(nan[1:], target[1:])
    assert VariFocalLoss()(nan[None], target[None], torch.ones(1, 2, 1)).isnan()

    probability = torch.tensor([[[math.nan, math.nan]]])
    assert their_losses.MLECCLoss()([probability] * 2, [torch.ones(1, 1, 2)] * 2) == 0
    ours = build_ours().eval()
    fields = vars(make_distribution(ours)) | {"probs_x": torch.full((2, 17, 24), math.nan)}
    distribution = type(make_distribution(ours))(**fields)
    targets, visible, areas = torch.full((2, 17, 2), 40.0), torch.ones(2, 17), torch.full((2,), 900.0)
    assert MLECCLoss()(distribution, targets, visible, areas).isnan()


def test_defect_09_training_stops_by_the_name_of_the_loss():
    theirs, ours = build_both()
    feats, samples, their_samples = make_batch()
    for head in (theirs, ours):
        for conv in head.head_module.out_cls:
            nn.init.constant_(conv.weight, math.nan)
    assert theirs.loss(feats, their_samples)["loss_cls"] == 0
    with pytest.raises(FloatingPointError, match=r"^loss_cls is not finite .*image0\.jpg, image1\.jpg"):
        ours.loss(feats, samples)


def test_defect_10_mle_loss_is_a_scalar():
    ours = build_ours().eval()
    distribution = make_distribution(ours, num_people=3)
    probabilities = [distribution.probs_x, distribution.probs_y]
    for reduction in ("mean", "sum"):
        value = their_losses.MLECCLoss(reduction=reduction)(probabilities, [torch.ones_like(p) for p in probabilities])
        assert value.shape == (3,)
    value = MLECCLoss()(distribution, torch.full((3, 17, 2), 40.0), torch.ones(3, 17), torch.full((3,), 900.0))
    assert value.shape == ()


def test_defect_11_is_a_defect_of_mmpose():
    """Ours stands in tests/models/necks/test_hybrid_encoder.py."""
    config = load_official("rtmo-s_coco").model.neck.to_dict() | {"projector": None}
    neck = MMPOSE_MODELS.build({**config, "norm_cfg": {"type": "GN", "num_groups": 4}})
    ignored = [name for name, module in neck.named_modules() if isinstance(module, nn.BatchNorm2d)]
    assert ignored
    assert all("fpn_blocks" in name or "pan_blocks" in name for name in ignored)
    with pytest.raises(UnboundLocalError, match="pos_enc_dim"):
        MMPOSE_MODELS.build({**config, "use_encoder_idx": []})


def test_defect_12_dcc_without_attention():
    theirs = build_theirs(dcc_cfg={"gau_cfg": None})
    ours = build_ours(dcc={"attention_channels": 0})
    ours.load_state_dict(theirs.state_dict())
    theirs.eval(), ours.eval()
    feats, samples, _ = make_batch()
    test_cfg = {"score_thr": 0.1, "nms_thr": 0.65}
    expected, got = theirs.predict(feats, samples, test_cfg), ours.predict(feats, samples, test_cfg)
    for a, b in zip(got, expected):
        torch.testing.assert_close(a.keypoints, b.keypoints, rtol=0, atol=0.01)
    theirs.dcc.switch_to_deploy()
    with pytest.raises(AttributeError, match="no attribute 'gau'"):
        theirs.predict(feats, samples, test_cfg)

    losses = ours.train().loss(feats, samples)
    gradients = compute_gradients(ours, losses)
    assert all(gradient.isfinite().all() for gradient in gradients.values())
    assert not [name for name in gradients if "gau" in name or "pos_enc" in name]


def test_defect_13_constructors_change_the_config():
    theirs = load_official("rtmo-s_coco").model.head
    before = copy.deepcopy(theirs.to_dict())
    MMPOSE_MODELS.build(theirs)
    changed = {name for name, value in theirs.to_dict().items() if value != before[name]}
    assert changed == {"head_module_cfg", "dcc_cfg"}

    ours = load_ours("rtmo-s_coco").model.head
    ours.update(dcc={"num_bins": (24, 32)}, head_module={"channels_per_group": 8}, loss_cls={"alpha": 0.5})
    ours.update(keypoints={"names": ["head", "tail"], "sigmas": [0.1, 0.1]})
    before = copy.deepcopy(ours.to_dict())
    MODELS.build(ours)
    assert ours.to_dict() == before


@pytest.mark.parametrize("label", [1, 90, -1])
def test_defect_14_category_outside_the_classes(label):
    """On a GPU MMPose dies of an index assertion that ends the process; on a CPU it does not say where."""
    theirs, ours = build_both()
    feats, samples, their_samples = make_batch()
    for batch in (samples, their_samples):
        batch[1].gt_instance_labels.labels[0] = label
    with pytest.raises(RuntimeError, match=r"^Class values must be (smaller than num_classes|non-negative)\.$"):
        theirs.loss(feats, their_samples)
    with pytest.raises(ValueError, match=rf"^image1\.jpg: class labels \[{label}\] are not within 0\.\.0: "):
        ours.loss(feats, samples)


def test_defect_15_mask_of_unlabelled_people_that_is_not_square():
    """A person at the bottom of a wide image, in the masked quarter, must not count as background."""
    size_wh = (256, 128)
    theirs, ours = build_both()
    feats, samples, _ = make_batch([1], size_wh)
    mask = torch.zeros(1, 128, 256)
    mask[:, 96:] = 1
    samples[0].gt_fields = PixelData(heatmap_mask=mask)
    predictions = densify(ours.head_module(feats, with_proxy=True), ours.strides)
    poses = torch.zeros_like(predictions.proxy_keypoints)
    poses[..., 0], poses[0, 0, :, 1], poses[0, 1, :, 1] = 100.0, 110.0, 80.0  # in the mask, and above it
    visibility = torch.full_like(predictions.visibility_logits, 5.0)

    priors = torch.cat([predictions.priors.centers] + [predictions.priors.strides[:, None]] * 2, dim=1)
    their_weights = theirs._get_targets_single(
        priors,
        predictions.class_logits[0].sigmoid(),
        torch.ones_like(predictions.class_logits[0]),
        predictions.boxes[0],
        poses[0],
        visibility[0].sigmoid(),
        samples[0],
    )[3]
    assert their_weights[:2, 0].tolist() == [1.0, 1.0]

    fields = vars(predictions) | {"proxy_keypoints": poses, "visibility_logits": visibility}
    nothing = Assignment(torch.full((1, len(priors)), -1), torch.zeros(1, len(priors)))
    targets = build_targets(type(predictions)(**fields), collect_people(samples, 1, 17), nothing, samples)
    assert targets.class_weights[0, :2, 0].tolist() == [0.0, 1.0]


def test_defect_16_suppression_takes_no_round_a_box():
    def make_apart(count):
        corner = torch.arange(count, dtype=torch.float32)[:, None] * 20
        return torch.cat([corner, corner, corner + 10, corner + 10], dim=1), torch.rand(count)

    theirs = [count_operators(nms_torch, *make_apart(count), 0.65).total() for count in (10, 100)]
    ours = [count_operators(suppress_duplicates, *make_apart(count), 0.65).total() for count in (10, 100)]
    assert theirs[1] > 9 * theirs[0]
    assert ours[0] == ours[1] < 60


def test_defect_16_assignment_takes_no_round_a_person():
    theirs, ours = build_both()

    def count(head, people):
        feats, samples, _ = make_batch([people, people])
        return count_operators(head.loss, feats, samples)

    their_few, their_many = count(theirs, 4), count(theirs, 40)
    assert (their_few["topk"], their_many["topk"]) == (2 * (1 + 4), 2 * (1 + 40))
    few, many = count(ours, 4), count(ours, 40)
    assert few["topk"] == 2
    assert few == many


def test_defect_17_sigmas_do_not_depend_on_the_working_directory(tmp_path, monkeypatch):
    name = "configs/_base_/datasets/coco.py"
    source = (OFFICIAL_CONFIGS.parents[1] / "_base_/datasets/coco.py").read_text()
    stray = tmp_path / name
    stray.parent.mkdir(parents=True)
    stray.write_text(source.replace("0.026", "0.5"))
    monkeypatch.chdir(tmp_path)
    assert PoseOKS(metainfo=name).sigmas[0] == 0.5
    assert their_losses.OKSLoss(metainfo=name).sigmas[0] == 0.5
    assert build_ours().sigmas.tolist() == pytest.approx(COCO.sigmas)
