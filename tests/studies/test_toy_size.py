"""Each study at toy size, from the shipped file to table and plot: under a minute each."""

import dataclasses
import subprocess
import sys
import time

import cv2
import pytest

from rtmo_plugin.api import train
from studies.budget import limit_images
from studies.definitions import Request, Variant, list_studies, load_study
from studies.study_runs import run_study
from studies.variant_training import build_config
from tests.conftest import ROOT

FEW = ("few", "transfer")  # start from weights, and have a teacher
TRAINED = [name for name in list_studies() if load_study(name).method == "training" and name not in FEW]
TINY = {
    **{f"model.{part}.widen_factor": 0.125 for part in ("backbone", "neck", "head")},
    "train_dataloader.batch_size": 2,
    "test_dataloader.dataset.num_images": 4,
    "train_cfg.max_epochs": 3,
    "default_hooks.checkpoint.interval": 3,
    "default_hooks.training_stages.schedule.refine.begin": 1,
    "default_hooks.training_stages.schedule.finish.begin": 2,
}
RESUME_POINT = 5  # its place among the custom hooks
IN_THIS_PROCESS = {"num_workers": 0, "persistent_workers": False}


def check(report, study):
    page = report.page.read_text()
    assert report.num_measured == len(study.variants)
    assert all(f"| {variant.label} | " in page for variant in study.variants)
    assert "tools/ablate.py" in page
    assert min(cv2.imread(str(report.plot)).shape[:2]) > 100
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
def test_few_images_with_weights_to_start_from_and_a_teacher(tmp_path):
    """The study of few images, from the training of its start and its teacher to the table."""
    first = build_config({"data": "small_synthetic", "data_root": None, "options": TINY}, load_study("few").variants[0])
    start = train(limit_images(first, 4), work_dir=tmp_path / "start", seed=0, validate=False, from_scratch=True)
    teacher = (str(tmp_path / "start" / "small_synthetic.py"), str(start.checkpoint))
    study = load_study("few")
    request = Request(data="few", images=4, seeds=1, transfer_from=teacher[1], teacher=teacher, options=TINY)
    page = check(run_study(study, request, tmp_path / "few"), study)
    assert "3 epochs of 4 images from given weights" in page
    logs = {
        folder.name: next(folder.glob("2*/vis_data/scalars.json")).read_text()
        for folder in (tmp_path / "few" / "runs").iterdir()
    }
    assert [name for name, log in logs.items() if "loss_teacher_scores" in log] == ["taught_seed0"]
    configs = {name: (tmp_path / "few" / "runs" / name / "few.py").read_text() for name in logs}
    assert [name for name, text in configs.items() if "CopyPaste" in text] == ["copy-paste_seed0"]
    assert [name for name, text in configs.items() if "OccludePeople" in text] == ["occlusion_seed0"]


@pytest.mark.slow
def test_on_coco(tmp_path, data_dir):
    study = load_study("loss")
    study = dataclasses.replace(study, variants=study.variants[-1:])
    parts = [f"{part}_dataloader" for part in ("train", "val", "test")]
    here = {f"{part}.{name}": value for part in parts for name, value in IN_THIS_PROCESS.items()}
    options = {**TINY, **here, "test_dataloader.dataset.indices": 4}
    del options["test_dataloader.dataset.num_images"]
    request = Request(data="coco", data_root=str(data_dir), seeds=1, budget=0.01, options=options)
    check(run_study(study, request, tmp_path), study)


@pytest.mark.slow
def test_killed_training_goes_on_where_it_stopped(tmp_path, capfd):
    save = {f"custom_hooks.{RESUME_POINT}.minutes": 0}
    options = {**TINY, **save, "train_cfg.max_epochs": 15, "default_hooks.checkpoint.interval": 15}
    words = [f"{name}={value}" for name, value in options.items()]
    command = [sys.executable, "tools/ablate.py", "neck", "--budget", "0.01", "--seeds", "1", "--work-dir", tmp_path]
    process = subprocess.Popen([*command, "--cfg-options", *words], cwd=ROOT)
    run, deadline = tmp_path / "runs" / "pafpn_seed0", time.monotonic() + 300
    while not (run / "last.pth").is_file() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.05)
    process.kill()
    process.wait()
    assert not (tmp_path / "results").exists()
    study = load_study("neck")
    check(run_study(study, Request(seeds=1, options=options), tmp_path), study)
    assert f"resuming from {run}" in capfd.readouterr().out


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
