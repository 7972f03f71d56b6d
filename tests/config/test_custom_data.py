"""Five keypoints and two classes of one's own, without writing Python: checked, fixed, trained, tested, drawn."""

import json
import shutil

import cv2
import pytest
from mmpose.registry import MODELS

from rtmo_plugin.api import evaluate, predict, train
from rtmo_plugin.config.config_files import load_config
from rtmo_plugin.config.edits import prepare_config
from rtmo_plugin.data import write_robots
from rtmo_plugin.data.synthetic.robots import CLASSES, KEYPOINTS
from rtmo_plugin.errors import ConfigError, DataError, MissingFileError
from rtmo_plugin.labels import check_file, convert_file, read_coco, split_file
from tests.oracle import OUR_CONFIGS
from tests.tiny_runs import make_tiny

IDS = {"round_robot": 900_000, "square_robot": 7}
EVERYONE = {"model.test_cfg.score_thr": 0.0}
SKELETON = ["head,left_hand", "head,right_hand", "head,left_foot", "head,right_foot"]


@pytest.fixture(scope="module")
def robots(tmp_path_factory):
    """Return a folder with images, and a COCO file with sparse category ids and three mistakes in it."""
    root = tmp_path_factory.mktemp("robots")
    assert len(list(write_robots(root / "images", 8))) == 8
    convert_file(root / "images", root / "plain.json", "labelme", keypoints=list(KEYPOINTS), skeleton=SKELETON)
    coco = read_coco(root / "plain.json")
    new_ids = {category["id"]: IDS[category["name"]] for category in coco["categories"]}
    coco["categories"] = [{**category, "id": new_ids[category["id"]]} for category in coco["categories"]]
    people = [{**person, "category_id": new_ids[person["category_id"]]} for person in coco["annotations"]]
    people[0] = {**people[0], "keypoints": [float("nan"), *people[0]["keypoints"][1:]]}
    x, y, width, height = people[1]["bbox"]
    people[1] = {**people[1], "bbox": [x + width, y, -width, height]}
    people.append({**people[2], "id": 999, "category_id": 3})
    (root / "bad.json").write_text(json.dumps({**coco, "annotations": people}))
    return root


@pytest.fixture(scope="module")
def root(robots):
    """Return the folder with the mistakes fixed, and the images split."""
    assert check_file(robots / "bad.json", robots / "images", fix=robots / "clean.json")
    split_file(robots / "clean.json", robots, val=0.4)
    return robots


@pytest.fixture(scope="module")
def config(tmp_path_factory):
    path = tmp_path_factory.mktemp("config") / "tiny.py"
    make_tiny("rtmo-s_custom").dump(path)
    return path


@pytest.fixture(scope="module")
def trained(config, root, tmp_path_factory):
    work_dir = tmp_path_factory.mktemp("run")
    options = {"from_scratch": True, "seed": 0, "show_dir": work_dir / "pictures", "cfg_options": EVERYONE}
    return work_dir, train(config, work_dir=work_dir, data_root=root, **options)


def test_trains_through_all_stages_and_is_validated_by_class(trained, root):
    work_dir, result = trained
    assert 0 <= result.metrics["coco/AP"] <= 1
    assert {path.stem for path in (work_dir / "pictures/epoch_3").iterdir()} == {
        image["file_name"][:-4] for image in read_coco(root / "val.json")["images"]
    }


def test_config_beside_the_checkpoint_needs_the_data_no_longer(trained, root, tmp_path):
    work_dir, result = trained
    written = load_config(work_dir / "tiny.py")
    assert written.model.head.keypoints.names == list(KEYPOINTS)
    assert written.model.head.num_classes == 2
    assert written.train_dataloader.dataset.classes == ["square_robot", "round_robot"]  # by their ids
    shutil.copytree(root / "images", tmp_path / "images", ignore=shutil.ignore_patterns("*.json"))
    written.train_dataloader.dataset.data_root = written.test_dataloader.dataset.data_root = "gone"
    everyone = {"score_thr": 0.0, "cfg_options": EVERYONE}
    results = predict(result.checkpoint, tmp_path / "images", out=tmp_path / "found", config=written, **everyone)
    content = json.loads((tmp_path / "found/predictions.json").read_text())
    assert content["keypoints"] == list(KEYPOINTS)
    people = [person for image in content["images"] for person in image["people"]]
    assert {person["class"] for person in people} <= set(CLASSES)
    assert all(len(person["keypoints"]) == 5 for person in people)
    assert people
    image = results[0].frame.path
    assert (cv2.imread(str(tmp_path / "found" / image.name)) != cv2.imread(str(image))).any()


def test_test_gives_the_metrics_of_the_validation(trained, config, root, tmp_path):
    metrics = evaluate(config, trained[1].checkpoint, data_root=root, work_dir=tmp_path, cfg_options=EVERYONE)
    assert metrics == pytest.approx(dict(trained[1].metrics))


@pytest.fixture
def copied(root, tmp_path):
    for name in ("train.json", "val.json"):
        shutil.copy(root / name, tmp_path / name)
    return tmp_path


def rewrite(path, **changes):
    path.write_text(json.dumps({**read_coco(path), **changes}))


def test_what_is_learned_is_said_once(config, copied, capsys):
    prepare_config(config, data_root=copied)
    lines = capsys.readouterr().out.splitlines()
    sources = "known for head, estimated for left_hand, right_hand, left_foot, right_foot"
    assert lines == [f"{copied / 'train.json'}: 2 classes, 5 keypoints; sigmas are {sources}"]


def test_sigmas_can_be_given(config, copied):
    options = {"model.head.keypoints.sigmas": [0.1, 0.2, 0.2, 0.3, 0.3]}
    cfg = prepare_config(config, data_root=copied, cfg_options=options)
    assert cfg.model.head.keypoints.sigmas == [0.1, 0.2, 0.2, 0.3, 0.3]
    assert cfg.test_dataloader.dataset.keypoints == cfg.model.head.keypoints


def test_files_may_number_their_categories_differently(config, copied):
    coco = read_coco(copied / "val.json")
    categories = [{**category, "id": number} for number, category in enumerate(coco["categories"], 1)]
    ids = {old["id"]: new["id"] for old, new in zip(coco["categories"], categories)}
    people = [{**person, "category_id": ids[person["category_id"]]} for person in coco["annotations"]]
    rewrite(copied / "val.json", categories=categories, annotations=people)
    assert prepare_config(config, data_root=copied).model.head.num_classes == 2


def test_files_of_different_classes_or_keypoints_are_refused(config, copied):
    coco = read_coco(copied / "val.json")
    rewrite(copied / "val.json", categories=[{**each, "name": each["name"][:5]} for each in coco["categories"]])
    with pytest.raises(DataError, match=r"val\.json has the classes \['round', 'squar'\], and .*train\.json has \["):
        prepare_config(config, data_root=copied)
    turned = [{**each, "keypoints": ["tail", *each["keypoints"][1:]]} for each in coco["categories"]]
    rewrite(copied / "val.json", categories=turned)
    with pytest.raises(DataError, match=r"val\.json does not have .*train\.json: it lacks head and has tail"):
        prepare_config(config, data_root=copied)


def test_people_without_area_are_evaluated_by_their_boxes(config, copied, capsys):
    people = read_coco(copied / "val.json")["annotations"]
    assert prepare_config(config, data_root=copied).test_evaluator.get("use_area", True)
    del people[0]["area"]
    rewrite(copied / "val.json", annotations=people)
    assert prepare_config(config, data_root=copied).test_evaluator.use_area is False
    assert "0.53 of the box is taken" in capsys.readouterr().out


def test_bad_data_and_missing_files_stop_before_the_first_step(config, robots, copied, tmp_path):
    shutil.copy(robots / "bad.json", copied / "train.json")
    with pytest.raises(DataError, match=r"train\.json cannot be trained on: .* run `rtmo dataset check"):
        train(config, data_root=copied, work_dir=tmp_path / "run")
    with pytest.raises(MissingFileError, match=r"train\.json, whose keypoints .* or, for a trained model, the config"):
        prepare_config(config, data_root=tmp_path / "nowhere")
    with pytest.raises(ConfigError, match=r"need a training set of type rtmo_plugin\.CocoKeypoints"):
        prepare_config(config, cfg_options={"train_dataloader.dataset.type": "CocoDataset"})


def test_without_the_tools_a_sentence_says_what_to_do():
    with pytest.raises(ValueError, match=r"takes its keypoints from an annotation file, which `rtmo train` reads"):
        MODELS.build(load_config(OUR_CONFIGS / "rtmo-s_custom.py").model.head)
