"""The page of tools/analyze.py: it names injected errors, needs no other file, escapes names, and renders."""

import contextlib
import dataclasses
import io
import json
import re
import runpy
import shutil
import subprocess
import sys
from xml.etree import ElementTree

import cv2
import numpy as np
import pytest
from mmengine.config import Config

from rtmo_plugin.analysis.analysis_input import evaluate_results_file, evaluate_with_config
from rtmo_plugin.analysis.measures.study import study
from rtmo_plugin.analysis.training_plots import find_work_dir, plot_training
from rtmo_plugin.analysis.worst_images import draw_worst_images, number_detections
from rtmo_plugin.api import analyze
from rtmo_plugin.errors import ConfigError, DataError, MissingFileError
from rtmo_plugin.keypoints.sets import COCO
from rtmo_plugin.score_calibration import ScoreCalibration
from tests.analysis.analysis_cases import inject
from tests.conftest import ROOT
from tests.oracle import OUR_CONFIGS

CHROMIUM = next((path for path in map(shutil.which, ("chromium", "google-chrome")) if path), None)


def write_files(comparison, folder):
    """Write the people and the detections of a comparison as an annotation file and a result file."""
    truth, found = comparison.truth, comparison.detections
    annotations = [
        {"id": index + 1, "image_id": int(image) + 1, "category_id": 1, "iscrowd": 0, "area": float(area)}
        | {"bbox": box.tolist(), "keypoints": points.ravel().tolist(), "num_keypoints": 17}
        for index, (image, area, box, points) in enumerate(
            zip(truth.image, truth.areas, truth.boxes_xywh, truth.keypoints)
        )
    ]
    images = [{"id": index, "file_name": f"{index}.png"} for index in truth.image_ids]
    content = {"images": images, "annotations": annotations, "categories": [{"id": 1, "name": "person"}]}
    poses = np.concatenate([found.keypoints, found.keypoint_scores[..., None]], -1)
    rows = [
        {"image_id": int(image) + 1, "category_id": 1, "keypoints": pose.ravel().tolist(), "score": float(score)}
        for image, pose, score in zip(found.image, poses, found.scores)
    ]
    (folder / "truth.json").write_text(json.dumps(content))
    (folder / "results.json").write_text(json.dumps(rows))
    return folder / "results.json", folder / "truth.json"


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Return a result file with injected errors and its annotation file."""
    return write_files(inject(inverted=1, shaken=1, dropped=1), tmp_path_factory.mktemp("injected"))


@pytest.fixture(scope="module")
def page(files):
    """Return the page about them, and what the tool printed."""
    results, truth = files
    path, scores = results.with_name("page.html"), results.with_name("scores.json")
    options = ["--annotations", truth, "--out", path, "--calibration", scores, "--num-worst", 5]
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(io.StringIO()) as printed:
        patch.setattr(sys, "argv", ["analyze.py", str(results), *map(str, options)])
        runpy.run_path(str(ROOT / "tools/analyze.py"), run_name="__main__")
    return path, printed.getvalue()


def test_page_names_the_injected_errors_and_no_others(page):
    path, printed = page
    text = path.read_text()
    assert set(re.findall(r'<li data-error="(\w+)">', text)) == {"inversion", "jitter", "missed"}
    assert re.search(
        r"<b>Missed people</b>: \d+\.\d points of AP; no detection is matched with the person\. "
        r"20 of 200 people \(10\.0%\)\.",
        text,
    )
    inversion = "the keypoint is on the person&#39;s other side: left and right are exchanged"
    assert re.search(rf"<b>Inversion</b>: \d+\.\d points of AP; {inversion}", text)
    assert re.search(r"<b>Jitter</b>: \d+\.\d points of AP; the keypoint is near its place, not on it", text)
    precision = re.match(r"AP (0\.\d{3}); the page is .*page\.html", printed)[1]
    assert f"<b>{precision}</b><span>AP</span>" in text
    assert printed.count("\n- ") == 3


def test_page_needs_nothing_else(page):
    text = page[0].read_text()
    links = re.findall(r'(?:src|href)="([^"]*)"', text)
    assert {link[:5] for link in links if not link.startswith("#")} == {"data:"}
    assert all(f'id="{link[1:]}"' in text for link in links if link.startswith("#"))
    assert "<script" not in text
    assert not re.search(r"@import|url\((?!#)", text)
    assert text.count("data:image/jpeg") == 5


def test_charts_are_whole_and_say_what_they_show(page):
    drawings = re.findall(r"<svg.*?</svg>", page[0].read_text(), re.DOTALL)
    labels = [ElementTree.fromstring(drawing).get("aria-label") for drawing in drawings]
    assert len(set(labels)) == len(drawings) == 6
    assert all("nan" not in drawing for drawing in drawings)
    assert ">left_wrist<" in drawings[2].replace("</text>", "<")


def test_people_have_the_color_of_their_detection():
    comparison = inject(dropped=1)
    truth, found, known = comparison.truth, comparison.detections, study(comparison, COCO.flip_pairs)
    for image in range(3):
        people, chosen = (np.flatnonzero(each.image == image)[::-1] for each in (truth, found))
        answered = people[number_detections(known, people, chosen)]
        np.testing.assert_array_equal(truth.keypoints[answered, :, :2], found.keypoints[chosen])
    unknown = dataclasses.replace(known, person=np.full_like(known.person, -1))
    assert number_detections(unknown, people, chosen) == list(range(len(people), len(people) + len(chosen)))


def test_calibration_is_written_for_whoever_exports(page):
    path, _ = page
    written = ScoreCalibration.read(path.with_name("scores.json"))
    assert written.to_json() in path.read_text().replace("&#34;", '"')


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium to render the page")
@pytest.mark.slow
def test_page_renders_in_a_browser(page, tmp_path):
    options = ["--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--window-size=1180,5000"]
    picture = tmp_path / "page.png"
    address = page[0].as_uri()
    command = [CHROMIUM, *options, f"--screenshot={picture}", address]
    subprocess.run(command, check=True, capture_output=True, timeout=600)
    image = cv2.imread(str(picture))
    assert image.shape == (5000, 1180, 3)
    # Something on every screenful, and the dark red of missed people in the chart of costs.
    assert all(image[top : top + 500].std() > 5 for top in range(0, 4000, 500))
    assert (np.abs(image.astype(int) - (0x37, 0x27, 0x6B)).max(-1) < 4).sum() > 500


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    """Return a config of three synthetic images, and a result file in which everybody is 40 px too far right."""
    cfg = Config.fromfile(OUR_CONFIGS / "rtmo-t_synthetic.py")
    cfg.test_dataloader.dataset.update(num_images=3, cache=False, num_people=[2, 3])
    from rtmo_plugin.data import SyntheticPeople

    options = {key: value for key, value in cfg.test_dataloader.dataset.items() if key not in ("type", "pipeline")}
    rows = []
    for person in SyntheticPeople(**options).to_coco()["annotations"]:
        points = np.array(person["keypoints"], float).reshape(-1, 3)
        points[:, 0] += 40
        points[:, 2] = 0.9
        row = {"image_id": person["image_id"], "category_id": 1, "keypoints": points.ravel().tolist(), "score": 0.8}
        rows.append(row)
    path = tmp_path_factory.mktemp("drawn") / "moved.json"
    path.write_text(json.dumps(rows))
    return cfg, path


def test_worst_images_show_truth_and_detections_side_by_side(drawn, tmp_path):
    data = evaluate_with_config(*drawn, work_dir=tmp_path)
    assert data.schema.names == COCO.names
    assert set(map(frozenset, data.schema.flip_pairs)) == set(map(frozenset, COCO.flip_pairs))
    worst = draw_worst_images(data, study(data.comparison, data.schema.flip_pairs), 2)
    assert [bool(re.match(r"Image \d+: \d people", each.caption)) for each in worst] == [True, True]
    image = cv2.imdecode(np.frombuffer(worst[0].jpeg, np.uint8), cv2.IMREAD_COLOR)
    left, right = image[:, :480].astype(int), image[:, 486:].astype(int)
    assert left.shape == right.shape
    assert (np.abs(left - right).max(-1) > 60).mean() > 0.01  # the people are drawn elsewhere
    assert np.median(np.abs(left - right)) < 10  # on the same image


@pytest.fixture
def work_dir(tmp_path):
    """Return the work dir of a training of two epochs."""
    entries = [{"loss": 3.0 / step, "loss_cls": 1.0 / step, "lr": 0.1, "epoch": step, "iter": step} for step in (1, 2)]
    log = tmp_path / "run/20260101_000000/vis_data/scalars.json"
    log.parent.mkdir(parents=True)
    log.write_text("".join(json.dumps(entry) + "\n" for entry in [*entries, {"coco/AP": 0.5, "step": 2}]))
    return tmp_path / "run"


def write_training_section(files, work_dir):
    """Return the section about a training of a page, as HTML."""
    results, truth = files
    analyze(results, annotations=truth, out=work_dir / "page.html", run=work_dir, num_worst=0)
    return (work_dir / "page.html").read_text().partition('<section id="training">')[2]


def test_curves_of_a_training(files, page, work_dir):
    html = write_training_section(files, work_dir)
    assert "data:image/png;base64" in html
    assert "left no diagnostics.jsonl" in html
    assert "No curves: the work dir of a training was not given" in page[0].read_text()
    assert plot_training(work_dir, OUR_CONFIGS / "rtmo-t_synthetic.py").curves.startswith(b"\x89PNG")
    with pytest.raises(MissingFileError, match="holds no log of a training"):
        plot_training(work_dir.parent, None)


def test_the_run_is_found_beside_its_checkpoint(tmp_path):
    checkpoint, log = tmp_path / "epoch_1.pth", tmp_path / "20260101_000000/vis_data/scalars.json"
    checkpoint.touch()
    log.parent.mkdir(parents=True)
    log.write_text('{"coco/AP": 0.5, "step": 0}\n')  # of a test
    assert find_work_dir(None, checkpoint) is None
    log.write_text('{"loss": 0.5, "epoch": 1, "iter": 1}\n')
    assert find_work_dir(None, checkpoint) == tmp_path
    assert find_work_dir(tmp_path / "other", checkpoint) == tmp_path / "other"
    assert find_work_dir(None, "rtmo-s_coco") is None


def test_levels_and_sigmas_of_a_training(files, work_dir):
    entry = {"images": 10, "positives": {"16": 40, "32": 25}, "sigmas": {"nose": 0.02, "left_eye": 0.01}}
    stages = [{"epoch": epoch, "stage": "warmup" if epoch < 3 else "refine", **entry} for epoch in (1, 2, 2, 3)]
    (work_dir / "diagnostics.jsonl").write_text("".join(json.dumps(each) + "\n" for each in stages) + '{"epoch": 4')
    html = write_training_section(files, work_dir)
    rows = re.findall(r"<tr><td>(\w+)</td><td>(\d)</td>\s*<td>([\d.]+)</td>\s*<td>([\d.]+)</td>\s*</tr>", html)
    assert rows == [("warmup", "2", "4.00", "2.50"), ("refine", "3", "4.00", "2.50")]
    assert ">nose<" in html


def test_names_from_users_are_text_in_the_page(files, tmp_path):
    """Names of files, of images and of keypoints."""
    script = "<script>alert('$1')</script>"
    results, truth = (tmp_path / f"{script.replace('/', chr(0x2215))}{index}.json" for index in (1, 2))
    content = json.loads(files[1].read_text())
    for image in content["images"]:
        image["id"] = f"{script}{image['id']}"
    for person in content["annotations"]:
        person["image_id"] = f"{script}{person['image_id']}"
    rows = [{**row, "image_id": f"{script}{row['image_id']}"} for row in json.loads(files[0].read_text())]
    results.write_text(json.dumps(rows))
    truth.write_text(json.dumps(content))
    names = [f"{script}{index}" for index in range(17)]
    (tmp_path / "keypoints.json").write_text(json.dumps({"names": names, "sigmas": [0.05] * 17}))
    analyze(results, annotations=truth, keypoints=str(tmp_path / "keypoints.json"), out=tmp_path / "page.html")
    text = (tmp_path / "page.html").read_text()
    assert "<script" not in text.lower()
    assert text.count("&lt;script&gt;") > 4 * 17
    for name in (f"{results.name} on {truth.name}", f"Image {script}1:", f"{script}16"):
        assert name.replace("<", "&lt;").replace(">", "&gt;").replace("'", "&#39;") in text


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (
            {"source": "results.json"},
            r"A result file needs its annotations \(--annotations FILE\), or a",
        ),
        ({"source": "config.py"}, "No model is named: name a checkpoint after the config"),
        (
            {"source": "config.py", "model": "a.pth", "images": "there"},
            "--images goes with a result file without",
        ),
        ({"source": "results.json", "annotations": "t.json", "data_root": "d"}, "--data-root goes with a config"),
        ({"source": "config.py", "model": "a.pth", "out": "page.txt"}, r"--out page\.txt: the file name must end with"),
    ],
)
def test_arguments_that_do_not_go_together_are_refused(arguments, words):
    with pytest.raises(ConfigError, match=words):
        analyze(**{"out": "page.html", **arguments})


def test_keypoints_that_are_nobodys_have_to_be_named(files, tmp_path):
    results, truth = (json.loads(path.read_text()) for path in files)
    for row in [*results, *truth["annotations"]]:
        row["keypoints"] = row["keypoints"][:9]
    paths = tmp_path / "results.json", tmp_path / "truth.json"
    for path, content in zip(paths, (results, truth)):
        path.write_text(json.dumps(content))
    with pytest.raises(ConfigError, match="neither COCO's nor CrowdPose's number of them"):
        evaluate_results_file(*paths)
    with pytest.raises(MissingFileError, match=r"--keypoints none\.json: file not found, and the known"):
        evaluate_results_file(*paths, keypoints="none.json")
    schema = tmp_path / "keypoints.json"
    schema.write_text('{"names": ["nose", "left_eye"], "sigmas": [0.1]}')
    with pytest.raises(DataError, match="does not describe keypoints: A keypoint set needs one sigma"):
        evaluate_results_file(*paths, keypoints=str(schema))
    schema.write_text('{"names": ["nose", "left_eye", "right_eye"], "sigmas": [0.1, 0.1, 0.1], "flip_pairs": [[1, 2]]}')
    assert evaluate_results_file(*paths, keypoints=str(schema)).schema.flip_pairs == ((1, 2),)
