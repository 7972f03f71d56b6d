"""Training from a config: what it leaves behind, where it starts from, and half precision."""

import json

import pytest
import torch

from rtmo_plugin.apis import train

STAGES = ("warmup", "refine", "finish")


def test_run_goes_through_all_stages_and_leaves_what_it_says(trained):
    log = next(trained.log_dir.glob("*.log")).read_text()
    assert [log.count(f"Training stage {stage!r}") for stage in STAGES] == [1, 1, 1]
    assert trained.checkpoint.name == "epoch_3.pth"
    assert 0 <= trained.metrics["coco/AP"] <= 1
    curves = [json.loads(line) for line in (trained.log_dir / "vis_data/scalars.json").read_text().splitlines()]
    assert {"loss", "lr"} <= curves[0].keys()
    assert f"AP:             {trained.metrics['coco/AP']:.3f} (last validation)" in str(trained)
