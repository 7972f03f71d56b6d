"""Images without people are left out of training, and their number is said before the first step."""

import json

from rtmo_plugin.api import train


def test_their_number_is_reported(config, data_root, tmp_path, capsys):
    name = "coco/annotations/person_keypoints_train2017.json"
    content = json.loads((data_root / name).read_text())
    first = content["images"][0]["id"]
    content["annotations"] = [each for each in content["annotations"] if each["image_id"] != first]
    used = {each["image_id"] for each in content["annotations"]}
    num_unused = len(content["images"]) - len(used)
    other = tmp_path / "sparse.json"
    other.write_text(json.dumps(content))
    options = {"train_dataloader.dataset.ann_file": str(other), "train_cfg.max_epochs": 1}
    train(config, data_root=data_root, work_dir=tmp_path / "run", cfg_options=options, validate=False)
    out = capsys.readouterr().out
    line = next(line for line in out.splitlines() if line.startswith("training on "))
    assert line.startswith(f"training on {len(content['annotations'])} people in {len(used)} images")
    assert line.endswith(f"; {num_unused} image{'s' * (num_unused > 1)} without people left out")
