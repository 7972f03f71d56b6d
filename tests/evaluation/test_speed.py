"""The speed of evaluation on docs/speed.md, in seconds of work, which other programs disturb least."""

import pytest

from benchmarks.metric_computation import run


@pytest.mark.slow
def test_a_coco_val_is_evaluated_ten_times_as_fast_as_by_mmpose():
    report = run(rounds=1)
    theirs, ours = report.sides
    assert report.results["largest difference"] < 1e-9
    assert theirs["median_cpu"] > 10 * ours["median_cpu"]
