"""Files from the web: kept, checked by the hash in their names, and a clear word when they cannot be had."""

import hashlib
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import pytest

from rtmo_plugin.apis import train
from rtmo_plugin.apis.configuration import load_config
from rtmo_plugin.apis.downloads import fetch, locate_in_cache
from rtmo_plugin.apis.pretrained import drop_pretrained, fetch_pretrained
from rtmo_plugin.errors import MissingFileError
from tests.oracle import OUR_CONFIGS

CONTENT = b"weights"
GOOD_NAME = f"model-{hashlib.sha256(CONTENT).hexdigest()[:8]}_20231211.pth"
BAD_NAME = "model-00000000.pth"
NOWHERE = "http://127.0.0.1:9/yolox-4592a793.pth"  # the discard port: nobody answers


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    """Keep downloads in a folder of the test, and away from proxies."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.setenv("no_proxy", "*")
    return tmp_path / "torch/hub/checkpoints"


@pytest.fixture
def server(tmp_path):
    """Return the address of a server with a good file and one that its name belies."""
    folder = tmp_path / "www"
    folder.mkdir()
    for name in (GOOD_NAME, BAD_NAME):
        (folder / name).write_bytes(CONTENT)
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(SimpleHTTPRequestHandler, directory=folder)) as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{running.server_port}"
        running.shutdown()


def test_file_is_downloaded_once_to_where_torch_looks(server, cache):
    path = fetch(f"{server}/{GOOD_NAME}")
    assert path == cache / GOOD_NAME
    path.write_bytes(b"kept")
    assert fetch(f"{server}/{GOOD_NAME}").read_bytes() == b"kept"


def test_file_that_belies_its_name_is_refused_and_not_kept(server, cache):
    with pytest.raises(MissingFileError, match=f"its SHA-256 begins with {GOOD_NAME[6:14]}, the name says 00000000"):
        fetch(f"{server}/{BAD_NAME}")
    assert list(cache.iterdir()) == []


def test_transfer_that_breaks_off_is_refused_and_not_kept(server, cache, monkeypatch):
    def promise_more(self, keyword, value):
        send_header(self, keyword, "99" if keyword == "Content-Length" else value)

    send_header = SimpleHTTPRequestHandler.send_header
    monkeypatch.setattr(SimpleHTTPRequestHandler, "send_header", promise_more)
    with pytest.raises(MissingFileError, match="cannot be downloaded"):
        fetch(f"{server}/{GOOD_NAME}")
    assert list(cache.iterdir()) == []


@pytest.mark.parametrize("suffix", ["/absent.pth", "/ absent.pth"])
def test_file_that_is_not_there_is_refused(server, suffix):
    with pytest.raises(MissingFileError, match="cannot be downloaded"):
        fetch(server + suffix)


def test_pretrained_backbone_that_cannot_be_had_says_where_to_put_it(config, data_root, cache, tmp_path):
    cfg = load_config(config)
    cfg.model.backbone.init_cfg = {"type": "Pretrained", "checkpoint": NOWHERE, "prefix": "backbone."}
    with pytest.raises(MissingFileError) as error:
        train(cfg, work_dir=tmp_path / "run", data_root=data_root)
    assert str(error.value).startswith(f"{NOWHERE} cannot be downloaded (")
    assert str(error.value).endswith(
        f"put the file at {cache / 'yolox-4592a793.pth'}, or pass --from-scratch to begin with random weights."
    )
    assert not (tmp_path / "run").exists()


def test_pretrained_file_that_is_there_needs_no_download(config):
    cfg = load_config(config)
    cfg.model.backbone.init_cfg = {"type": "Pretrained", "checkpoint": NOWHERE}
    path = locate_in_cache(NOWHERE)
    path.parent.mkdir(parents=True)
    path.touch()
    fetch_pretrained(cfg)


def test_pretrained_path_must_exist(config, tmp_path):
    cfg = load_config(config)
    cfg.model.backbone.init_cfg = {"type": "Pretrained", "checkpoint": str(tmp_path / "yolox.pth")}
    with pytest.raises(MissingFileError, match=r"yolox\.pth do not exist"):
        fetch_pretrained(cfg)


def test_dropping_keeps_every_other_initialisation():
    cfg = load_config(OUR_CONFIGS / "rtmo-s_coco.py")
    cfg.model.neck.init_cfg = [{"type": "Pretrained", "checkpoint": NOWHERE}, {"type": "Constant", "val": 1}]
    dropped = drop_pretrained(cfg).model
    assert "init_cfg" not in dropped.backbone
    assert dropped.neck.init_cfg == [{"type": "Constant", "val": 1}]
    assert dropped.init_cfg.type == "Kaiming"
    assert cfg.model.backbone.init_cfg.type == "Pretrained"
