"""What our Runner does differently from MMEngine's."""

import time

from mmengine.model import BaseModel

from rtmo_plugin.engine.runner import QuietRunner


class Model(BaseModel):
    def forward(self, inputs, mode):
        raise NotImplementedError


def test_runs_of_the_same_second_keep_to_themselves(tmp_path, monkeypatch):
    monkeypatch.setattr(time, "time", lambda: 1.7e9)
    runs = [QuietRunner(Model(), tmp_path / name, experiment_name="same") for name in "ab"]
    for number, run in enumerate(runs):
        run.logger.info(f"This is run {number}.")
        run.message_hub.update_info("number", number)
    for number, run in enumerate(runs):
        (log,) = (tmp_path / "ab"[number]).glob("*/*.log")
        assert f"This is run {number}." in log.read_text()
        assert f"This is run {1 - number}." not in log.read_text()
        assert run.message_hub.get_info("number") == number
