"""The curves of a run, read from its own log."""

from __future__ import annotations

import json

import cv2
import pytest
from matplotlib.figure import Figure

from rtmo_plugin.engine.hooks.curves import _plot_metrics, plot_curves, read_scalars


def write_run(work_dir, name, entries):
    folder = work_dir / name / "vis_data"
    folder.mkdir(parents=True)
    (folder / "scalars.json").write_text("\n".join(json.dumps(entry) for entry in entries))


def make_entry(epoch, iteration, loss=1.0):
    return {"lr": 0.1, "loss": loss, "loss_cls": loss, "epoch": epoch, "iter": iteration, "step": iteration}


def test_a_resumed_run_takes_over_from_its_first_epoch(tmp_path):
    write_run(tmp_path, "20260101_000000", [make_entry(1, 5), {"coco/AP": 0.1, "step": 1}, make_entry(2, 10, loss=9.0)])
    write_run(tmp_path, "20260102_000000", [make_entry(2, 10, loss=2.0), {"coco/AP": 0.2, "step": 2}])
    scalars = read_scalars(tmp_path)
    assert [entry.get("loss", entry.get("coco/AP")) for entry in scalars] == [1.0, 0.1, 2.0, 0.2]


def test_a_line_that_an_interruption_cut_is_left_out(tmp_path):
    write_run(tmp_path, "20260101_000000", [make_entry(1, 5), make_entry(1, 10)])
    path = tmp_path / "20260101_000000/vis_data/scalars.json"
    path.write_text(path.read_text()[:-7])
    assert read_scalars(tmp_path) == [make_entry(1, 5)]


def test_an_empty_work_dir_has_no_scalars(tmp_path):
    write_run(tmp_path, "20260101_000000", [])
    assert read_scalars(tmp_path) == []


@pytest.mark.parametrize("stages", [{"warmup": 0}, {"warmup": 0, "refine": 1, "finish": 2}])
def test_the_picture_has_a_line_in_every_panel_with_data(tmp_path, stages):
    entries = [make_entry(epoch, 10 * epoch, loss=1 / epoch) for epoch in (1, 2, 3)] + [{"coco/AP": 0.5, "step": 3}]
    plot_curves(entries, tmp_path / "full.png", stages)
    plot_curves(entries[:1], tmp_path / "bare.png", stages)
    full, bare = (cv2.imread(str(tmp_path / name)) for name in ("full.png", "bare.png"))
    assert full.shape == bare.shape
    assert count_colored(full) > count_colored(bare) + 200


def test_every_loss_has_a_panel_and_validation_its_own(tmp_path, monkeypatch):
    drawn, save = [], Figure.savefig

    def note(figure, *arguments, **options):
        drawn.extend(figure.axes)
        save(figure, *arguments, **options)

    monkeypatch.setattr(Figure, "savefig", note)
    losses = {f"loss_{index}": 1.0 for index in range(9)}  # as with a teacher
    plot_curves([{**make_entry(1, 5), **losses}, {"coco/AP": 0.5, "step": 1}], tmp_path / "a.png", {"warmup": 0})
    titles = [panel.get_title() for panel in drawn]
    assert titles == ["lr", *sorted([*losses, "loss_cls"]), "validation"]
    assert [line.get_label() for line in drawn[-1].lines] == ["AP"]


def count_colored(image):
    """Pixels of a line: neither gray nor white nor black."""
    return int((image.max(axis=2).astype(int) - image.min(axis=2) > 40).sum())


def test_the_ap_of_classes_is_plotted_beside_the_whole():
    panel = Figure().subplots()
    _plot_metrics(
        panel, [{"step": 3, "coco/AP": 0.5, "coco/AP of cat": 0.25, "coco/AP (M)": 0.5, "coco/AR of cat": 0.5}]
    )
    lines = {line.get_label(): (line.get_linestyle(), list(line.get_ydata())) for line in panel.lines}
    assert lines == {"AP": ("-", [0.5]), "AP of cat": ("--", [0.25])}
