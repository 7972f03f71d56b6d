"""Names of the Hub and folders in its layout: what is asked for, what is refused, and no network where it is off."""

import json
import os
import sys

import pytest
from huggingface_hub import constants

from rtmo_plugin import RTMO, Pose
from rtmo_plugin.errors import ConfigError, DataError, MissingFileError, MissingPackageError
from rtmo_plugin.hub.model_folder import CONFIG_FILE, ONNX_FILE, WEIGHTS_FILE, locate_model_folder


def test_only_the_named_files_are_downloaded_and_once(hub, folder, tmp_path):
    found = locate_model_folder("org/robots", (CONFIG_FILE, WEIGHTS_FILE))
    assert found.is_relative_to(tmp_path / "cache")
    assert all((found / each).read_bytes() == (folder / each).read_bytes() for each in (CONFIG_FILE, WEIGHTS_FILE))
    assert set(hub.requests) == {CONFIG_FILE, WEIGHTS_FILE}
    del hub.requests[:]
    assert locate_model_folder("org/robots", (CONFIG_FILE,), local_files_only=True) == found
    assert hub.requests == []


def test_model_of_the_hub_is_opened_by_both_classes(hub, model):
    assert RTMO.from_pretrained("org/robots").config.schema == model.config.schema
    assert Pose.from_pretrained("org/robots").info.schema == model.config.schema


@pytest.mark.parametrize(
    ("name", "file", "words"),
    [
        ("org/robots", ONNX_FILE, "onnx/model.onnx of org/robots cannot be downloaded: .*404"),
        ("org/others", WEIGHTS_FILE, "model.safetensors of org/others cannot be downloaded: .*404"),
        ("robots", WEIGHTS_FILE, "The folder robots does not exist, and the Hub's names are such as org/name"),
        ("a/b/c", WEIGHTS_FILE, "The folder a/b/c does not exist"),
        ("org/..", WEIGHTS_FILE, r"model.safetensors of org/\.\. cannot be downloaded: Repo id"),
    ],
)
@pytest.mark.usefixtures("hub")
def test_what_the_hub_does_not_have_is_a_sentence(name, file, words):
    with pytest.raises(MissingFileError, match=words):
        locate_model_folder(name, (file,))


def test_offline_one_sentence_says_so_and_nothing_is_asked(hub, tmp_path, monkeypatch):
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(MissingFileError) as caught:
        Pose.from_pretrained("org/robots")
    assert str(caught.value) == (
        "model.safetensors of org/robots cannot be downloaded: HF_HUB_OFFLINE is set, and it is not in the cache "
        f"{tmp_path / 'cache'}."
    )
    assert hub.requests == []


@pytest.mark.usefixtures("hub")
def test_upload_that_the_hub_refuses_is_a_sentence(model):
    with pytest.raises(MissingFileError, match=r"org/mine cannot be written on the Hub: "):
        model.push_to_hub("org/mine", token="hf_none")


def test_without_the_package_folders_open_and_names_do_not(folder, monkeypatch):
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    assert locate_model_folder(folder, (WEIGHTS_FILE,)) == folder
    with pytest.raises(MissingPackageError, match=r"huggingface_hub, which is not installed: pip install .*\[hub\]"):
        locate_model_folder("org/robots", (WEIGHTS_FILE,))


@pytest.mark.parametrize("file", ["../model.onnx", "/etc/model.json", "a/../../b.onnx", "model.pkl", "x.py"])
def test_file_outside_or_of_another_kind_is_refused(folder, file):
    with pytest.raises(ConfigError, match="is not a file of a model"):
        Pose.from_pretrained(folder, file=file)


def test_pickled_weights_are_not_read(tmp_path):
    (tmp_path / "pytorch_model.bin").write_bytes(b"cos\nsystem\n(S'touch attacked'\ntR.")
    with pytest.raises(MissingFileError, match=r"no file model\.safetensors: pytorch_model\.bin is a pickle"):
        Pose.from_pretrained(tmp_path)


def change(folder, tmp_path, text):
    """Return a folder with the weights of another, and another config.json."""
    (tmp_path / WEIGHTS_FILE).symlink_to(folder / WEIGHTS_FILE)
    (tmp_path / CONFIG_FILE).write_text(text)
    return tmp_path


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"size": "../../evil"}, r"cannot be used: The size '\.\./\.\./evil'"),
        ({"size": {"type": "os.system"}}, "cannot be used: The size"),
        ({"classes": ["__import__('os').mkdir('attacked')"] * 200}, "classes must be 1 to 127 names"),
        ({"classes": 3}, "cannot be used: 'int' object is not iterable"),
        (
            {"keypoints": {"names": ["a"], "sigmas": [1e999]}},
            "keypoint_sigmas is not a list of numbers",
        ),
        ({"keypoints": "import os"}, "not an object of JSON"),
        ({"input_size_wh": [10**9, 64]}, "input size must be two multiples of 32"),
        ({"score_thr": "0.1; import os"}, "score_thr"),
        ({"model_type": "llama"}, "does not describe an RTMO model"),
        ({"auto_map": {"AutoModel": "evil.Model"}, "model_type": None}, "does not describe an RTMO model"),
    ],
)
def test_hostile_description_is_refused_and_executes_nothing(folder, tmp_path, monkeypatch, changes, words):
    monkeypatch.chdir(tmp_path)
    content = json.loads((folder / CONFIG_FILE).read_text())
    change(folder, tmp_path, json.dumps({**content, **changes}))
    with pytest.raises((ConfigError, DataError), match=words):
        RTMO.from_pretrained(tmp_path)
    assert sorted(os.listdir(tmp_path)) == [CONFIG_FILE, WEIGHTS_FILE]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[" * 100_000, "nested too deeply"),
        ("{" + " " * 2_000_000 + "}", "more than 1 MB"),
        ("import os", "is not valid JSON"),
        ("[]", "does not describe an RTMO"),
        ("{}", "does not describe an RTMO"),
        ('{"model_type": "rtmo"}', "was not written by this package: it has no 'keypoints'"),
    ],
    ids=["deep", "huge", "Python", "list", "empty", "of others"],
)
def test_config_that_is_not_ours_is_refused(folder, tmp_path, text, words):
    with pytest.raises(DataError, match=words):
        RTMO.from_pretrained(change(folder, tmp_path, text))


def test_python_in_the_folder_is_not_imported(folder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("sitecustomize.py", "modeling_rtmo.py", "rtmo.py", "config.py"):
        (tmp_path / name).write_text("open('attacked', 'w')")
    change(
        folder, tmp_path, json.dumps({**json.loads((folder / CONFIG_FILE).read_text()), "auto_map": {"A": "rtmo.A"}})
    )
    assert RTMO.from_pretrained(tmp_path).config.num_keypoints == 3
    assert Pose.from_pretrained(tmp_path).info.schema.num_keypoints == 3
    assert not (tmp_path / "attacked").exists()


def test_options_are_checked(folder):
    with pytest.raises(ConfigError, match=r"RTMO\.from_pretrained has no option 'trust_remote_code'"):
        RTMO.from_pretrained(folder, trust_remote_code=True)
    with pytest.raises(ConfigError, match="Pose has no option 'trust_remote_code'"):
        Pose.from_pretrained(folder, trust_remote_code=True)
