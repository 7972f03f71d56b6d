"""Several processes, and a machine without xtcocotools: both in processes of their own."""

import pickle
import subprocess
import sys

import numpy as np

from rtmo_plugin.evaluation import CocoMetric
from tests.evaluation.detections import evaluate, make_meta, predict, write_annotations

# Each rank has images of its own, and one that another has as well, at the front, where MMEngine's cut at
# the size of the data set would keep it and lose another. The imports, which take longest, are done once for both.
RANKS = """
import os, pickle, sys
sys.modules["xtcocotools"] = None  # an import of it fails
import torch.distributed as dist
from rtmo_plugin.evaluation import CocoMetric

folder, rank = sys.argv[1], int(os.fork() > 0)
dist.init_process_group("gloo", init_method=f"file://{folder}/meeting", rank=rank, world_size=2)
samples, meta = pickle.load(open(f"{folder}/samples.pkl", "rb"))
metric = CocoMetric(f"{folder}/truth.json", score_mode="bbox", nms_mode="none")
metric.dataset_meta = meta
metric.process(None, [samples[0], *samples[rank::2]])
metrics = metric.evaluate(len(samples))
pickle.dump((metrics, len(metric.results)), open(f"{folder}/{rank}.pkl", "wb"))
assert rank == 0 or os.wait()[1] == 0
"""


def test_two_processes_gather_once_and_without_duplicates(small_truth, tmp_path):
    samples, meta = predict(small_truth, seed=2, num_keypoints=3), make_meta(np.full(3, 0.05), small_truth)
    path = write_annotations(small_truth, tmp_path)
    (tmp_path / "samples.pkl").write_bytes(pickle.dumps((samples, meta)))
    subprocess.run([sys.executable, "-c", RANKS, str(tmp_path)], cwd=tmp_path, timeout=300, check=True)
    expected = evaluate(CocoMetric(path, score_mode="bbox", nms_mode="none"), samples, meta)
    assert expected["coco/AP"] > 0
    for rank in range(2):
        assert pickle.loads((tmp_path / f"{rank}.pkl").read_bytes()) == (expected, 0)
