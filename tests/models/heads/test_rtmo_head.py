"""The head as a whole: edges of batches, ablations, options, laws; its numbers stand in test_parity.py."""

import copy

import pytest
import torch
from torch import nn
from torch.testing import assert_close

from rtmo_plugin.models.heads.dense import decode_dense
from rtmo_plugin.models.losses import KLCCLoss
from rtmo_plugin.registry import MODELS
from rtmo_plugin.structures import KeypointSchema
from tests.oracle import make_samples
from tests.small_head import LOSSES, SIZE_WH, build_both, build_ours, compute_gradients, make_batch, make_features

STAGES = ["warmup", "refine", "finish"]
TEST_CFG = {"score_thr": 0.1, "nms_thr": 0.65}
VARIANTS = [
    {"dcc": {"bin_layout": "image"}},
    {"dcc": {"bin_encoding": "learned"}},
    {"dcc": {"bin_layout": "image", "bin_encoding": "learned"}},
    {"dcc": {"attention_channels": 0}},
    {"loss_mle": {"type": "rtmo_plugin.KLCCLoss"}},
    {"loss_mle": {"learned_sigma": False}},
    {"loss_bbox": {"mode": "log"}},
    {"assigner": {"dynamic_k": "iou", "center": "keypoints", "vis_weight": 1.0}},
]


def compute(head, batch, stage="finish"):
    """Return losses and gradients after checking that all are there and finite."""
    feats, samples, _ = batch
    head.enter_stage(stage)
    losses = head.loss(feats, samples)
    gradients = compute_gradients(head, losses)
    assert list(losses) == LOSSES
    assert all(gradient is not None and gradient.isfinite().all() for gradient in gradients.values())
    return losses, gradients


@pytest.mark.parametrize("options", VARIANTS)
def test_variants_train_and_predict(options):
    head = build_ours(**options)
    for stage in STAGES:
        losses, gradients = compute(head, make_batch(), stage)
        assert losses["loss_mle"] != 0
        assert (gradients["dcc.x_fc.weight"] != 0).any()
    instances = head.eval().predict(make_features(), make_samples([0, 0]), TEST_CFG)
    assert all(each.keypoints.shape == (len(each), 17, 2) for each in instances)
    assert sum(map(len, instances)) > 0


def test_bins_over_the_image_keep_keypoints_inside_it():
    head = build_ours(dcc={"bin_layout": "image"}).eval()
    for size_wh in (SIZE_WH, (64, 160)):
        for each in head.predict(make_features(2, size_wh), make_samples([0, 0], size_wh=size_wh), {"score_thr": 0.0}):
            assert (each.keypoints >= 0).all()
            assert (each.keypoints <= size_wh).all()


@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.parametrize("counts", [[0, 0], [0, 2], [1], [100]])
def test_any_number_of_people(counts, stage):
    compute(build_ours(), make_batch(counts), stage)


def test_nothing_labeled():
    feats, samples, _ = make_batch()
    for sample in samples:
        sample.gt_instance_labels.keypoints_visible.zero_()
    losses, _ = compute(build_ours(), (feats, samples, None))
    assert losses["loss_mle"] == 0
    assert losses["loss_oks"] == 10  # nothing is similar, times the weight
    assert losses["loss_bbox"] > 0


def test_one_positive_in_the_batch():
    """MMPose cannot normalize the features of one person."""
    theirs, ours = build_both()
    feats, samples, their_samples = make_batch([1, 0])
    for batch in (samples, their_samples):
        batch[0].gt_instance_labels.keypoints_visible.zero_()  # so that the person gets one prior
    with pytest.raises(ValueError, match="Expected more than 1 value per channel"):
        theirs.loss(feats, their_samples)
    losses, _ = compute(ours, (feats, samples, None))
    assert losses["loss_bbox"] > 0


@pytest.mark.parametrize("stage", STAGES)
def test_one_prior(stage):
    head = build_ours(strides=(32,))
    feats, samples = make_features(2, (32, 32))[1:], make_samples([1, 0], size_wh=(32, 32))
    compute(head, (feats, samples, None), stage)
    instances = head.eval().predict(feats, samples, {"score_thr": 0.0})
    assert [each.keypoints.shape for each in instances] == [(1, 17, 2)] * 2


def test_padded_people_change_nothing():
    """The losses of images one by one add up to those of their batch, whatever the numbers of people."""
    head = build_ours().eval()  # so that normalization does not mix the images
    feats, samples, _ = make_batch([3, 1, 6])
    num_positives = []
    head.dcc.register_forward_hook(lambda module, args, output: num_positives.append(len(args[0])))

    def compute_sums(images):
        losses = head.loss(tuple(feat[images] for feat in feats), samples[images])
        return torch.stack(list(losses.values())) * num_positives.pop()

    alone = sum(compute_sums(slice(i, i + 1)) for i in range(3))
    assert_close(compute_sums(slice(3)), alone, rtol=1e-4, atol=1e-4)


def test_coordinates_of_the_proxy_are_its_regression():
    head = build_ours(coordinates="proxy").eval()
    feats, samples = make_features(1), make_samples([0])
    (found,) = head.predict(feats, samples, TEST_CFG)
    candidates = decode_dense(head.head_module(feats, with_proxy=True), head.strides).proxy_keypoints[0]
    assert len(found) > 0
    for keypoints in torch.as_tensor(found.keypoints):
        assert (candidates - keypoints).abs().amax((1, 2)).min() < 1e-3
    with pytest.raises(ValueError, match="coordinates is 'dcc' or 'proxy', got 'box'"):
        build_ours(coordinates="box")


def test_predictions_of_a_batch_are_those_of_its_images():
    # in float64: untrained, the classifier is spiky, and float32's rounding moves a keypoint by 0.01 px
    head, samples = build_ours().eval().double(), make_samples([0, 0, 0])
    feats = tuple(feat.double() for feat in make_features(3))
    together = head.predict(feats, samples, TEST_CFG)
    for i in range(3):
        (alone,) = head.predict(tuple(feat[i : i + 1] for feat in feats), samples[i : i + 1], TEST_CFG)
        assert len(alone) == len(together[i]) > 0
        assert_close(torch.from_numpy(alone.keypoints), torch.from_numpy(together[i].keypoints), rtol=0, atol=1e-3)


def test_nobody_is_found():
    instances = build_ours().eval().predict(make_features(), make_samples([0, 0]), {"score_thr": 1.0})
    assert [each.keypoints.shape for each in instances] == [(0, 17, 2)] * 2


def test_prediction_changes_no_state_and_takes_no_proxy():
    head = build_ours().eval()
    before = copy.deepcopy(head.state_dict())
    for conv in head.head_module.out_kpt_reg:
        conv.register_forward_hook(lambda *_: pytest.fail("the proxy is for training"))
    head.predict(make_features(), make_samples([0, 0]), TEST_CFG)
    head(make_features())
    assert all(torch.equal(before[name], value) for name, value in head.state_dict().items())


def test_samples_are_left_alone():
    feats, samples, before = make_batch()
    build_ours().loss(feats, samples)
    for sample, copied in zip(samples, before):
        for name, value in copied.gt_instance_labels.items():
            assert torch.equal(sample.gt_instance_labels[name], value), name


def test_mixed_precision():
    head, batch = build_ours(), make_batch()
    exact, _ = compute(copy.deepcopy(head), batch)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        mixed, _ = compute(head, batch)
        instances = head.eval().predict(make_features(), make_samples([0, 0]), TEST_CFG)
    for name in LOSSES:
        assert mixed[name].dtype == torch.float32
        assert_close(mixed[name], exact[name], rtol=0.1, atol=0.1)
    assert instances[0].keypoints.dtype == "float32"


def test_several_classes():
    head = build_ours(num_classes=3)
    feats, samples, _ = make_batch()
    samples[0].gt_instance_labels.labels[:] = torch.tensor([0, 2, 1])
    losses, _ = compute(head, (feats, samples, None))
    assert losses["loss_cls"] > 0
    labels = {label for each in head.eval().predict(feats, samples, TEST_CFG) for label in each.labels.tolist()}
    assert labels == {0, 1, 2}


def test_keypoints_of_ones_own():
    fields = {"names": ["head", "tail", "fin"], "sigmas": [0.1, 0.1, 0.05]}
    for keypoints in (fields, KeypointSchema.from_dict(fields)):
        head = build_ours(keypoints=keypoints)
        batch = make_features(2), make_samples([2, 1], 3, SIZE_WH), None
        compute(head, batch)
        assert head.eval().predict(batch[0], batch[1], TEST_CFG)[0].keypoints.shape[1:] == (3, 2)


def test_training_lowers_every_loss():
    head, (feats, samples, _) = build_ours(), make_batch([2, 1])
    head.enter_stage("finish")
    for fc in (head.dcc.x_fc, head.dcc.y_fc):
        fc.weight.data.mul_(0.01)  # calm, so that the boxes are not shaken by the steep sines (see initial_gain)
    optimizer = torch.optim.Adam(head.parameters(), lr=1e-3)
    history = []
    for _ in range(60):
        losses = head.loss(feats, samples)
        optimizer.zero_grad()
        sum(losses.values()).backward()
        optimizer.step()
        history.append({name: float(value.detach()) for name, value in losses.items()})
    for name in LOSSES:
        assert history[-1][name] < history[0][name], name
    assert sum(history[-1].values()) < 0.5 * sum(history[0].values())


def test_stages_by_name():
    head = build_ours(stages={"refine": {"weights": {"cls": 2.0}}})
    assert head.stage is head.stages["warmup"]
    head.enter_stage("refine")
    assert (head.stage_name, head.stage.weights["cls"], head.stage.proxy_target) == ("refine", 2.0, "dcc")
    with pytest.raises(KeyError, match="Unknown training stage 'refined': name one of warmup, refine, finish"):
        head.enter_stage("refined")
    assert head.stage_name == "refine"


def test_stage_is_no_part_of_the_state():
    head = build_ours()
    head.enter_stage("refine")
    assert set(head.state_dict()) == set(build_ours().state_dict())


def test_options_reach_the_classifier():
    dcc = build_ours(dcc={"box_padding": 1.5, "temperature": 100.0}).dcc
    assert (dcc.box_padding, dcc.temperature, dcc.num_keypoints) == (1.5, 100.0, 17)


def test_options_of_losses_reach_them():
    head = build_ours(loss_mle={"type": "rtmo_plugin.KLCCLoss", "sigma": 0.1}, loss_cls={"gamma": 1.0})
    assert isinstance(head.criterion.losses["mle"], KLCCLoss)
    assert head.criterion.losses["cls"].gamma == 1.0


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"widen_facter": 0.5}, TypeError, "RTMOHead has no option 'widen_facter'"),
        ({"keypoints": "martians"}, KeyError, "Unknown keypoint set 'martians'"),
        ({"stages": {"warm": {}}}, KeyError, "Unknown training stage 'warm'"),
        ({"dcc": {"bin_layout": "box"}}, ValueError, "bin_layout is 'dynamic' or 'image'"),
        ({"assigner": {"center": "head"}}, ValueError, "center is 'box' or 'keypoints'"),
    ],
)
def test_wrong_options(options, error, message):
    with pytest.raises(error, match=message):
        MODELS.build({"type": "rtmo_plugin.RTMOHead", **options})


def test_features_of_another_neck():
    head, (fine, coarse) = build_ours(), make_features()
    for feats in ((fine,), (fine, coarse, coarse), (fine, coarse[:, :32])):
        with pytest.raises(ValueError, match="wants 2 feature maps of 64 channels, got channels"):
            head(feats)


def test_several_pyramids_are_refused():
    with pytest.raises(ValueError, match="turn flip_test and multiscale_test off"):
        build_ours().eval().predict([make_features(), make_features()], make_samples([0, 0]), TEST_CFG)


def test_constants_of_official_files_are_dropped_and_strangers_are_not():
    head = build_ours()
    state = head.state_dict()
    constants = ("dcc.x_bins", "dcc.y_bins", "dcc.spe.dim_t", "loss_oks.sigmas")
    head.load_state_dict({**state, **dict.fromkeys(constants, torch.zeros(3))})
    with pytest.raises(RuntimeError, match=r"Unexpected key.*dcc\.stranger"):
        head.load_state_dict({**state, "dcc.stranger": torch.zeros(1)})
    estimator = nn.Module()
    estimator.head = head
    estimator.load_state_dict(
        {f"head.{name}": value for name, value in {**state, "dcc.x_bins": torch.zeros(3)}.items()}
    )


def test_learned_encodings_are_loaded():
    head = build_ours(dcc={"bin_encoding": "learned"})
    head.load_state_dict({**head.state_dict(), "dcc.x_encodings": torch.full((24, 16), 7.0)})
    assert (head.dcc.x_encodings == 7).all()


def test_class_scores_start_low():
    head = MODELS.build({"type": "rtmo_plugin.RTMOHead", "widen_factor": 0.125})
    head.head_module.init_weights()
    for conv in head.head_module.out_cls:
        assert_close(conv.bias.sigmoid(), torch.tensor([0.01]))
