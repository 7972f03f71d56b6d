"""The parts of the studies: variants that can be built, budgets, what is read off the people found."""

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmpose.registry import MODELS

from rtmo_plugin.config.config_files import set_options
from rtmo_plugin.config.data_paths import set_data_root
from rtmo_plugin.errors import ConfigError
from rtmo_plugin.models.heads.stages import build_stages
from studies.budget import choose_num_images, count_images, limit_images
from studies.computation import count_computation
from studies.definitions import DATA, Request, Variant, list_studies, load_study
from studies.observing import FoundKeypoints, summarize_levels, summarize_sigmas
from studies.people_timing import find_crossings, refuse_options
from studies.study_folder import Result
from studies.study_page import make_observed_table
from studies.study_plots import draw_levels, draw_sigmas
from studies.top_down import _crop, _fit_boxes
from studies.untrained import build_untrained, load_size
from studies.variant_training import build_config
from tests.edited import edit_copy
from tests.oracle import load_ours

TRAINED = [name for name in list_studies() if load_study(name).method == "training"]
NARROW = {f"model.{part}.widen_factor": 0.125 for part in ("backbone", "neck", "head")}


@pytest.fixture(scope="module", params=[name for name in DATA if name != "robots"])  # whose keypoints are in a file
def base(request):
    return build_config({"data": request.param, "data_root": None, "options": NARROW}, Variant("", "", {}))


@pytest.mark.parametrize("name", TRAINED)
def test_every_variant_is_a_model_of_its_own(name, base):
    init_default_scope("mmpose")
    study = load_study(name)
    cfgs = [edit_copy(set_options, base, variant.options) for variant in study.variants]
    trainings = [(cfg.model, variant.training) for cfg, variant in zip(cfgs, study.variants)]
    assert len({repr(each) for each in trainings}) == len(cfgs)
    if base.train_cfg.max_epochs == 6:
        for cfg in cfgs:
            MODELS.build(cfg.model)


def test_variants_are_what_they_say():
    def build(study, variant):
        chosen = next(each for each in load_study(study).variants if each.name == variant)
        return build_config({"data": "synthetic", "data_root": None, "options": {}}, chosen).model

    regression = build("coordinates", "regression").head
    stages = build_stages(regression.stages)
    assert all(stage.weights["mle"] == 0 for stage in stages.values())
    assert (regression.coordinates, stages["refine"].proxy_target) == ("proxy", "truth")
    whole, unswitched = (build_stages(build("training", name).head.get("stages")) for name in ("all", "no-switch"))
    assert whole["refine"].weights["mle"] != whole["warmup"].weights["mle"]
    assert unswitched["refine"].weights["mle"] == unswitched["warmup"].weights["mle"]
    assert unswitched["refine"].proxy_target == unswitched["warmup"].proxy_target
    neck = build("neck", "pafpn").neck
    assert (neck.type, neck.widen_factor) == ("rtmo_plugin.YOLOXPosePAFPN", 0.375)


def test_test_images_are_counted(config, data_root):
    dataset = edit_copy(set_data_root, Config.fromfile(config), data_root).test_dataloader.dataset
    assert count_images(dataset) == 3
    assert count_images({**load_ours("rtmo-t_synthetic").test_dataloader.dataset, "num_images": 5}) == 5


def test_budget_is_spent_on_images():
    costs = {"cheap": 0.1, "dear": 0.3}
    num = choose_num_images(costs, seconds=1000, seeds=2, epochs=4, num_tests=100)
    planned = 2 * sum(20 + 100 * cost / 2 + 4 * num * cost for cost in costs.values())
    assert 1000 - 2 * 4 * 0.4 < planned <= 1000
    assert choose_num_images(costs, seconds=1, seeds=2, epochs=4, num_tests=100) == 1


def test_training_images_are_limited_and_the_config_stays(base):
    limited = limit_images(base, 48).train_dataloader.dataset
    assert 48 in (limited.get("num_images"), limited.get("indices"))
    assert base.train_dataloader.dataset.get("num_images") != 48
    other = edit_copy(set_options, base, {})
    other.train_dataloader.dataset = {"type": "CombinedDataset"}
    with pytest.raises(ConfigError, match="a part of the training data of type CombinedDataset"):
        limit_images(other, 48)


def make_found(num=4000, seed=0):
    """Return keypoints whose errors follow the Laplace density that their sigmas say, hidden ones twice as wide."""
    random = np.random.default_rng(seed)
    visibility = random.integers(1, 3, num)
    sigmas = random.uniform(0.01, 0.03, num) * np.where(visibility == 1, 2, 1)
    errors = np.abs(random.laplace(scale=2 * sigmas, size=(2, num))).mean(0)
    return FoundKeypoints(np.array([8.0, 16, 16, 32]), sigmas, errors, visibility, random.uniform(10, 200, num))


def test_honest_sigmas_are_seen_to_be_honest():
    found = make_found()
    summary = summarize_sigmas(found)
    assert summary["in sight"]["sigma"] == pytest.approx(0.04, rel=0.05)
    assert summary["hidden"]["error"] == pytest.approx(0.08, rel=0.1)
    for group in summary.values():
        assert group["sigma"] == pytest.approx(group["error"], rel=0.1)
    assert 0.3 < summary["all"]["correlation"] < 0.9
    assert sum(summary[f"sigma's quintile {n}"]["count"] for n in range(1, 6)) == len(found.sigmas)
    assert summarize_levels(found, (8, 16, 32)) == {"found on P3, %": 25, "found on P4, %": 50, "found on P5, %": 25}
    nobody = FoundKeypoints(*(np.empty(0) for _ in range(5)))
    assert (summarize_sigmas(nobody), summarize_levels(nobody, (16,))) == ({}, {"found on P4, %": 0})


def make_results(study, values, details):
    return [
        Result(variant.name, seed, {name: value + seed for name, value in values.items()}, details, 1.0, {})
        for variant in study.variants
        for seed in range(2)
    ]


def test_what_was_seen_is_drawn(tmp_path):
    loss, levels = load_study("loss"), load_study("levels")
    results = make_results(loss, {"AP": 0.5}, {"sigmas": summarize_sigmas(make_found())})
    table = make_observed_table(loss, results)
    assert "| hidden | " in table
    assert "twice sigma" in table
    shares = {"head GFLOPs": 1.0, **summarize_levels(make_found(), (8, 16, 32))}
    for draw, study, file in ((draw_sigmas, loss, "a.png"), (draw_levels, levels, "b.png")):
        draw(study, make_results(study, {"AP": 0.5, **shares}, results[0].details), tmp_path / file)
        assert (tmp_path / file).read_bytes()[1:4] == b"PNG"
        assert (tmp_path / file).stat().st_size < 40_000
    draw_sigmas(loss, make_results(loss, {"AP": 0.5}, {"sigmas": {}}), tmp_path / "a.png")  # who found nobody
    draw_sigmas(loss, [], tmp_path / "a.png")


def test_lines_cross_where_they_say():
    study = load_study("people")
    results = [
        Result(
            each.name, 0, {"RTMO-s": 50.0, "RTMDet-nano + RTMPose-s": 10 + 10 * each.options["num_people"]}, {}, 0, {}
        )
        for each in study.variants
    ]
    assert find_crossings(study, results) == {"RTMO-s faster than RTMDet-nano + RTMPose-s from": pytest.approx(4)}
    with pytest.raises(ConfigError, match="trains nothing"):
        refuse_options(Request(data="coco"))


def test_crop_shows_the_box_with_its_margin():
    image = np.zeros((200, 300, 3), np.uint8)
    image[40:140, 100:160] = 255  # 60 wide, 100 high: 75 x 125 with a margin, made 93.75 x 125
    corners, scales = _fit_boxes(np.array([[100.0, 40, 160, 140]]), (192, 256))
    assert scales[0].tolist() == pytest.approx([93.75, 125])
    crop = _crop(image, corners[0], scales[0], (192, 256))
    rows, columns = np.nonzero(crop[..., 0] > 127)
    assert (np.ptp(rows), np.ptp(columns)) == (pytest.approx(100 * 2.048, abs=3), pytest.approx(60 * 2.048, abs=3))
    assert (rows.mean(), columns.mean()) == (pytest.approx(128, abs=2), pytest.approx(96, abs=2))


def test_computation_grows_with_the_area(base):
    init_default_scope("mmpose")
    model = MODELS.build(base.model)
    small, large = (count_computation(model, (size, size)) for size in (64, 128))
    assert 3.5 < large["GFLOPs"] / small["GFLOPs"] <= 4.05
    assert large["head GFLOPs"] / small["head GFLOPs"] == pytest.approx(4)
    conv = sum(each.numel() for each in model.head.head_module.parameters() if each.dim() == 4)
    assert small["params M"] * 1e6 == sum(each.numel() for each in model.parameters()) > conv
    assert torch.is_grad_enabled()


def test_untrained_networks_compute_sizes_that_a_float_can_hold():
    model = build_untrained(load_size("rtmo-s_coco"))
    with torch.no_grad():
        maps = model.head.head_module(model.neck(model.backbone(255 * torch.rand(1, 3, 320, 320))))
    largest = [float(each.abs().max()) for levels in maps for each in levels]
    assert len(largest) == 8
    assert max(largest) < 80  # a box is the exponential of a map, and that of 89 is infinite
