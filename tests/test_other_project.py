"""Another MMPose project names our neck and head in its config, and runs MMPose's own tools and classes.

What the config and the commands look like is told in docs/other-projects.md.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import cv2
import mmpose
import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.fileio import load
from mmpose.apis import MMPoseInferencer, inference_bottomup, init_model

from rtmo_plugin.data.synthetic.coco_folder import write_coco_folder
from rtmo_plugin.data.synthetic.synthetic_people import SyntheticPeople
from tests.oracle import OUR_CONFIGS, build_model, load_official, randomize, spread_scores

ROOT = Path(__file__).parents[1]
MMPOSE = Path(mmpose.__file__).parent / ".mim"
LOSSES = ("loss_cls", "loss_bbox", "loss_oks", "loss_vis", "loss_mle", "loss_bbox_aux")

# A user's own file: MMPose's runtime, datasets and hooks, and of ours what has our prefix.
CONFIG = """
_base_ = ['mmpose::_base_/default_runtime.py']
custom_imports = dict(imports=['rtmo_plugin'], allow_failed_imports=False)
default_scope = 'mmpose'
data_mode = 'bottomup'

model = dict(
    type='BottomupPoseEstimator',
    data_preprocessor=dict(type='PoseDataPreprocessor', pad_size_divisor=32, mean=[0, 0, 0], std=[1, 1, 1]),
    backbone=dict(type='CSPDarknet', deepen_factor=0.33, widen_factor=0.125, out_indices=(2, 3, 4)),
    neck=dict(type='rtmo_plugin.HybridEncoder', widen_factor=0.125, deepen_factor=0.33, hidden_channels=64),
    head=dict(type='rtmo_plugin.RTMOHead', keypoints='coco', widen_factor=0.125),
    test_cfg=dict(score_thr=0.001, nms_thr=0.65))

codec = dict(type='YOLOXPoseAnnotationProcessor', input_size=(96, 96))
train_pipeline = [
    dict(type='LoadImage'),
    dict(type='BottomupRandomAffine', input_size=(96, 96), scale_type='long', bbox_keep_corner=False),
    dict(type='RandomFlip'),
    dict(type='GenerateTarget', encoder=codec),
    dict(type='PackPoseInputs')]
val_pipeline = [
    dict(type='LoadImage'),
    dict(type='BottomupResize', input_size=(96, 96), pad_val=(114, 114, 114)),
    dict(type='PackPoseInputs', meta_keys=('id', 'img_id', 'img_path', 'ori_shape', 'img_shape', 'input_size',
                                           'input_center', 'input_scale'))]
dataset = dict(
    type='CocoDataset', data_mode='bottomup', data_root='data/coco/', data_prefix=dict(img='people/'),
    ann_file='annotations/person_keypoints_people.json')
train_dataloader = dict(
    batch_size=2, num_workers=0, sampler=dict(type='DefaultSampler', shuffle=True),
    dataset=dict(pipeline=train_pipeline, **dataset))
val_dataloader = dict(
    batch_size=1, num_workers=0, sampler=dict(type='DefaultSampler', shuffle=False, round_up=False),
    dataset=dict(pipeline=val_pipeline, test_mode=True, **dataset))
test_dataloader = val_dataloader
val_evaluator = dict(
    type='CocoMetric', ann_file='data/coco/annotations/person_keypoints_people.json', score_mode='bbox',
    nms_mode='none')
test_evaluator = val_evaluator

optim_wrapper = dict(optimizer=dict(type='AdamW', lr=1e-3))
train_cfg = dict(max_epochs=3, val_interval=3)
default_hooks = dict(logger=dict(interval=1), checkpoint=dict(interval=3))
custom_hooks = [
    dict(type='SyncBuffersHook'),
    dict(type='EMAHook', ema_type='ExpMomentumEMA', momentum=0.0002, update_buffers=True, priority=49),
    dict(type='rtmo_plugin.TrainingStageHook', priority=48, schedule=[
        dict(stage='warmup', begin=0), dict(stage='refine', begin=1), dict(stage='finish', begin=2)])]
"""

# MMPose's own recipe with our neck and head in place of its own.
OFFICIAL = "body7/rtmo-t_8xb32-600e_body7-416x416.py"
ON_OFFICIAL = f"""
_base_ = ['mmpose::body_2d_keypoint/rtmo/{OFFICIAL}']
custom_imports = dict(imports=['rtmo_plugin'], allow_failed_imports=False)
model = dict(
    neck=dict(_delete_=True, type='rtmo_plugin.HybridEncoder', widen_factor=0.375, deepen_factor=0.33),
    head=dict(_delete_=True, type='rtmo_plugin.RTMOHead', keypoints='coco', widen_factor=0.375,
              assigner=dict(center='keypoints')))
"""

RUN_WITH_WORKAROUNDS = (
    "import runpy, sys; from rtmo_plugin import workarounds; workarounds.apply(); "
    "del sys.argv[0]; runpy.run_path(sys.argv[0], run_name='__main__')"
)


def run(project: Path, *arguments: str | Path) -> str:
    """Run Python in the project's folder, where our package is installed, and return what it prints."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, *map(str, arguments)]
    result = subprocess.run(
        command, cwd=project, env=environment, capture_output=True, text=True, check=False, timeout=300
    )
    assert result.returncode == 0, result.stderr[-3000:]
    return result.stdout + result.stderr


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A project's folder: a config and a COCO data set of four images."""
    folder = tmp_path_factory.mktemp("project")
    people = SyntheticPeople(num_images=4, seed=0, size_wh=(96, 80), num_people=(1, 3))
    list(write_coco_folder(people, folder / "data/coco", "people"))
    (folder / "pose.py").write_text(CONFIG)
    return folder


@pytest.fixture(scope="module")
def training_log(project):
    """What MMPose's tools/train.py says of the project's config."""
    return run(project, MMPOSE / "tools/train.py", "pose.py", "--work-dir", "run")


@pytest.fixture(scope="module")
def checkpoint(project, training_log):
    return str(project / "run/epoch_3.pth")


@pytest.fixture
def in_project(project, monkeypatch):
    """Make the project's folder the working directory, as for a user of its relative paths."""
    monkeypatch.chdir(project)


@pytest.fixture(scope="module")
def image(project):
    return str(next((project / "data/coco/people").iterdir()))


def test_mmposes_train_tool(training_log, checkpoint):
    steps = [line for line in training_log.splitlines() if "Epoch(train)" in line]
    assert len(steps) == 6
    for line in steps:
        values = {name: float(value) for name, value in re.findall(r"(loss_\w+): (\S+)", line)}
        assert set(values) == set(LOSSES)
        # the box loss of the last stage: MMPose's loop has told the hook, and the hook the head
        assert (values["loss_bbox_aux"] > 0) == ("Epoch(train) [3]" in line)
    assert "coco/AP:" in training_log
    assert set(load_meta(checkpoint)) >= {"cfg", "dataset_meta", "epoch"}


def load_meta(checkpoint):
    return torch.load(checkpoint, map_location="cpu", weights_only=True)["meta"]


def test_mmposes_test_tool(project, checkpoint, training_log):
    log = run(
        project, MMPOSE / "tools/test.py", "pose.py", checkpoint, "--work-dir", "test", "--out", "metrics.json",
        "--show-dir", "pictures",
    )  # fmt: skip
    assert "Load checkpoint from" in log
    trained = re.search(r"coco/AP: (\S+)", training_log)
    assert load(project / "metrics.json")["coco/AP"] == pytest.approx(float(trained[1]), abs=1e-6)
    pictures = list(project.rglob("pictures/**/*.png")) + list(project.rglob("pictures/**/*.jpg"))
    assert len(pictures) == 4


@pytest.mark.slow
def test_mmposes_demo_script(project, checkpoint, image):
    """It imports mmpose.apis before it reads a config, so the work-arounds must come first."""
    script = MMPOSE / "demo/bottomup_demo.py"
    run(
        project, "-c", RUN_WITH_WORKAROUNDS, script, "pose.py", checkpoint, "--input", image, "--output-root", "drawn",
        "--save-predictions", "--device", "cpu",
    )  # fmt: skip
    assert len(list((project / "drawn").iterdir())) == 2


@pytest.mark.usefixtures("in_project")
def test_init_model_and_inference_bottomup(checkpoint, image):
    model = init_model("pose.py", checkpoint, device="cpu")
    assert model.dataset_meta["num_keypoints"] == 17
    (by_path,), (by_array,) = (inference_bottomup(model, each) for each in (image, cv2.imread(image)))
    people = by_path.pred_instances
    assert people.keypoints.shape == (len(people.scores), 17, 2)
    assert people.keypoint_scores.shape == (len(people.scores), 17)
    assert np.isfinite(people.keypoints).all()
    assert (np.diff(people.scores) <= 0).all()
    np.testing.assert_array_equal(by_array.pred_instances.keypoints, people.keypoints)


@pytest.mark.usefixtures("in_project")
def test_mmpose_inferencer(tmp_path, checkpoint, image):
    inferencer = MMPoseInferencer(pose2d="pose.py", pose2d_weights=checkpoint, device="cpu")
    # it replaces the thresholds of a config by its own (0.3, 0.3)
    result = next(inferencer(image, bbox_thr=0.001, nms_thr=0.65, kpt_thr=0.0, out_dir=str(tmp_path)))
    (people,) = result["predictions"]
    (expected,) = inference_bottomup(init_model("pose.py", checkpoint, device="cpu"), image)
    for name, values in {
        "bbox_score": expected.pred_instances.bbox_scores,
        "keypoints": expected.pred_instances.keypoints,
        "keypoint_scores": expected.pred_instances.keypoint_scores,
    }.items():
        np.testing.assert_allclose([person[name] for person in people], values, rtol=1e-5, err_msg=name)
    assert len(list((tmp_path / "predictions").glob("*.json"))) == 1
    drawn = cv2.imread(str(tmp_path / "visualizations" / Path(image).name))
    assert (drawn != cv2.imread(image)).any()


@pytest.fixture(scope="module")
def official_checkpoint(tmp_path_factory):
    """A checkpoint of MMPose's own RTMO-t, that finds people everywhere."""
    theirs = build_model(load_official("rtmo-t_body7"))
    randomize(theirs, 0)
    spread_scores(theirs.head)
    path = tmp_path_factory.mktemp("official") / "rtmo-t.pth"
    torch.save({"meta": {}, "state_dict": theirs.state_dict()}, path)
    return str(path)


def test_mmpose_inferencer_with_our_config(image, official_checkpoint):
    """Our leaves say what MMPose's inferencer asks a config for."""
    config = str(OUR_CONFIGS / "rtmo-t_body7.py")
    inferencer = MMPoseInferencer(pose2d=config, pose2d_weights=official_checkpoint, device="cpu")
    result = next(inferencer(image, return_vis=True))
    assert len(result["predictions"][0]) > 0
    assert result["visualization"][0].shape == cv2.imread(image).shape


def test_official_config_and_checkpoint_with_our_head(tmp_path, image, official_checkpoint):
    """MMPose's recipe and a checkpoint of MMPose's model; only neck and head are exchanged."""
    config = tmp_path / "exchanged.py"
    config.write_text(ON_OFFICIAL)
    predictions = []
    for each in (MMPOSE / "configs/body_2d_keypoint/rtmo" / OFFICIAL, config):
        model = init_model(Config.fromfile(each), official_checkpoint, device="cpu")
        predictions.append(inference_bottomup(model, image)[0].pred_instances)
    assert model.head.__module__.startswith("rtmo_plugin.")
    expected, got = predictions
    assert len(expected) > 3
    np.testing.assert_allclose(got.scores, expected.scores, atol=1e-5)
    # an untrained classifier is spiky: where two spikes are level, rounding decides between them, which
    # moved 0.2 % of the coordinates; tests/test_prediction_parity.py compares calmer weights strictly
    is_close = np.isclose(got.keypoints, expected.keypoints, rtol=0, atol=0.01)
    assert is_close.mean() > 0.98
