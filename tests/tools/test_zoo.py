"""The zoo as a user runs it."""

import re

import pytest

from rtmo_plugin.checkpoints.zoo import CATALOGUE
from tests.hostile_server import cache, server  # noqa: F401  (fixtures)
from tests.tools.test_tools import run_as_user, run_in_process

NAME, FILE = "yolox-m", CATALOGUE["yolox-m"].file


@pytest.mark.usefixtures("cache")
def test_list_shows_every_name(capsys):
    code, out, err = run_in_process(capsys, "zoo", "list")
    assert (code, err) == (0, "")
    assert [line.split()[0] for line in out.splitlines()[1 : 1 + len(CATALOGUE)]] == list(CATALOGUE)


def test_fetch_prints_the_path_alone_and_path_where_it_will_be(server, cache, capsys, monkeypatch):  # noqa: F811
    code, out, _ = run_in_process(capsys, "zoo", "path", NAME, "rtmo-s_body7-onnx")
    paths = out.split()
    assert code == 0
    assert paths[0] == str(cache / FILE)
    assert paths[1].endswith("dac2bf74_20231211.onnx")

    server.files, server.manners = {FILE: bytes(300_000)}, ["break", "be good"]
    monkeypatch.setenv("RTMO_MIRRORS", server.url)
    code, out, err = run_in_process(capsys, "zoo", "fetch", NAME)
    assert (code, out) == (0, f"{cache / FILE}\n")
    assert err.startswith(f"downloading {server.url}/{FILE} to {cache / FILE}\n")
    assert (cache / FILE).read_bytes() == bytes(300_000)
    assert "yes" in next(line for line in run_in_process(capsys, "zoo", "list")[1].splitlines() if NAME in line)


@pytest.mark.usefixtures("cache")
def test_mistakes_are_one_sentence_and_exit_code_2(capsys):
    code, out, err = run_in_process(capsys, "zoo", "fetch", NAME, "rtmo-x_coco")
    assert (code, out) == (2, "")
    assert re.fullmatch(r"error: No weights are named 'rtmo-x_coco': did you mean rtmo-[sml]_coco\?\n", err)
    assert run_in_process(capsys, "zoo")[0] == 2


def test_offline_it_says_where_to_put_the_file(cache):  # noqa: F811
    code, out, err = run_as_user("zoo", "fetch", "rtmo-s_body7")
    assert (code, out) == (2, "")
    downloading, error = err.splitlines()
    assert downloading.startswith(f"downloading {CATALOGUE['rtmo-s_body7'].url} to ")
    assert re.match(r"error: rtmo-s_body7 cannot be downloaded \(https://.*refused\): put the file at ", error)
    assert error.endswith(f"{cache / CATALOGUE['rtmo-s_body7'].file}, or name a mirror in RTMO_MIRRORS.")
