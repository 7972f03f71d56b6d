"""Jobs on Ray: started here, with two workers, of which one is killed while it works."""

import json
import os
import secrets
import shutil
import signal
import threading
import time

import pytest

from rtmo_plugin import ray_start
from rtmo_plugin.cli.main import main
from rtmo_plugin.errors import ConfigError
from rtmo_plugin.jobs import open_job, ray_driver, read_records, run_job
from tests.jobs.conftest import SCORE_THR, write_slow_image


def kill_worker(mark, slow, image):
    """Kill the process that made a mark, while it decodes a slow image; then put another image in its place."""
    while not (found := list(mark.parent.glob(mark.name))):
        time.sleep(0.02)
    os.kill(int(found[0].name.split(".")[-2]), signal.SIGKILL)
    os.link(image, f"{slow}.new")
    os.replace(f"{slow}.new", slow)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning:ray.*")
def test_a_worker_that_is_killed_loses_nothing_and_nothing_is_done_twice(
    tiny_file, folder, expected, tmp_path, monkeypatch, capsys
):
    pytest.importorskip("ray.data", reason="no Ray, which the extra `ray` has")
    (tmp_path / "token").write_text(secrets.token_hex())  # Ray would make one in the home folder
    monkeypatch.setenv("RAY_AUTH_TOKEN_PATH", str(tmp_path / "token"))
    monkeypatch.setenv("RAY_raylet_start_wait_time_s", "200")  # on a busy machine
    monkeypatch.chdir(shutil.copytree(folder, tmp_path / "work").parent)
    slow = tmp_path / "work" / "7.png"
    slow.unlink()
    write_slow_image(slow)
    names = [os.path.join("work", name.name) for name in sorted(folder.iterdir())]
    (tmp_path / "list.txt").write_text("\n".join(names))
    mark = tmp_path / "out" / "running" / f"shard-{names.index(os.path.join('work', '7.png')):07d}.*"
    killer = threading.Thread(target=kill_worker, args=(mark, slow, folder / "7.png"), daemon=True)
    killer.start()
    options = ("--records", "parquet", "--shard-size", "1", "--score-thr", str(SCORE_THR), "--ray", "--workers", "2")
    command = ["predict", str(tiny_file), "list.txt", "--out", "out", "--json", *options]
    with pytest.raises(SystemExit) as stopped:
        main(command)
    killer.join()
    assert stopped.value.code == 1  # for the bad ones
    reports = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert sorted(report["number"] for report in reports) == list(range(len(names)))
    assert {report["failure"] for report in reports} == {None}
    assert len({report["worker"] for report in reports}) >= 2
    found = [{**record, "image": str(folder / os.path.basename(record["image"]))} for record in read_records("out")]
    assert found == [
        {**record, "error": record["error"] and record["error"].replace(str(folder), "work")} for record in expected
    ]


def test_without_ray_it_says_what_to_install(tiny_file, folder, tmp_path, monkeypatch):
    monkeypatch.setattr(ray_start, "find_spec", lambda name: None)
    job = open_job(tiny_file, folder, tmp_path / "out")
    with pytest.raises(ConfigError, match=r'^Ray is not installed: pip install "rtmo-plugin\[ray\]"$'):
        next(run_job(job, ray="local"))


@pytest.mark.parametrize(
    ("resources", "workers", "gpus", "is_local", "chosen"),
    [
        ({"CPU": 8}, None, 0, True, 4),
        ({"CPU": 8, "GPU": 3}, None, 1, False, 3),
        ({"CPU": 8}, 4, 0, True, 4),
        ({"CPU": 8}, 9, 0, False, 9),  # a cluster may grow
        ({"CPU": 8}, 9, 0, True, None),
        ({"CPU": 1}, None, 0, True, None),
        ({"CPU": 8}, 1, 1, True, None),
    ],
)
def test_workers_are_as_many_as_there_is_place_for(resources, workers, gpus, is_local, chosen):
    arguments = (resources, workers, 2, gpus, is_local)
    if chosen is not None:
        assert ray_driver._choose_workers(*arguments) == chosen
    else:
        with pytest.raises(ConfigError, match=r"Ray has . CPUs and 0 GPUs here: too little for \d workers of 2 and"):
            ray_driver._choose_workers(*arguments)
