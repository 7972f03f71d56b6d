"""Each study at toy size, from the shipped file to table and picture: under a minute each."""

import dataclasses

import cv2
import pytest

from rtmo_plugin.studies import Request, Variant, list_studies, load_study, run_study

TRAINED = [name for name in list_studies() if load_study(name).method == "training"]
TINY = {
    **{f"model.{part}.widen_factor": 0.125 for part in ("backbone", "neck", "head")},
    "train_dataloader.batch_size": 2,
    "test_dataloader.dataset.num_images": 4,
    "train_cfg.max_epochs": 3,
    "default_hooks.checkpoint.interval": 3,
    "default_hooks.training_stages.schedule.refine.begin": 1,
    "default_hooks.training_stages.schedule.finish.begin": 2,
}


def check(report, study):
    page = report.page.read_text()
    assert report.num_measured == len(study.variants)
    assert all(f"| {variant.label} | " in page for variant in study.variants)
    assert "tools/ablate.py" in page
    assert min(cv2.imread(str(report.picture)).shape[:2]) > 100
    return page


@pytest.mark.slow
@pytest.mark.parametrize("name", TRAINED)
def test_a_study_that_trains(name, tmp_path):
    study = load_study(name)
    request = Request(seeds=1, budget=0.01, options=TINY)
    page = check(run_study(study, request, tmp_path), study)
    assert "3 epochs of 2 images" in page
    assert not list(tmp_path.rglob("*.pth"))
    assert run_study(study, request, tmp_path).num_measured == 0


@pytest.mark.slow
def test_people(tmp_path):
    study = load_study("people")
    names = {"RTMO-t", "RTMDet-nano + RTMPose-s"}
    study = dataclasses.replace(
        study,
        variants=tuple(each for each in study.variants if each.name in ("0", "3")),
        columns=dict.fromkeys(sorted(names), ".1f"),
        settings={
            **study.settings,
            "ours": {"RTMO-t": "rtmo-t_coco"},
            "size": 64,
            "top_down": {name: value for name, value in study.settings["top_down"].items() if name in names},
            "rounds": 1,
        },
    )
    check(run_study(study, Request(seeds=1), tmp_path), study)


@pytest.mark.slow
def test_speed(tmp_path):
    study = load_study("speed")
    options = {"config": "rtmo-t_coco", "size": 64, "widen": 0.125, "deepen": 0.33, "ap": 0.1}
    study = dataclasses.replace(
        study,
        variants=(Variant("tiny", "tiny", options),),
        settings={**study.settings, "rounds": 1},
    )
    page = check(run_study(study, Request(seeds=1), tmp_path), study)
    assert "| 0.100 | 1 | " in page
