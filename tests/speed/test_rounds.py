"""The timer and the report: on times that are known."""

import json
import subprocess
import sys
import time

import numpy as np

from rtmo_plugin.speed.machine import read_peak_memory
from rtmo_plugin.speed.rounds import find_percentile, time_alternately
from rtmo_plugin.speed.speed_report import SpeedReport


def test_sides_take_turns_and_are_timed():
    order = []

    def wait(name, seconds):
        order.append(name)
        time.sleep(seconds)
        return len(order)

    timings, returned = time_alternately({"slow": lambda: wait("slow", 0.05), "fast": lambda: wait("fast", 0)}, 3)
    assert order == ["slow", "fast"] * 3
    assert returned == {"slow": [1, 3, 5], "fast": [2, 4, 6]}
    slow, fast = timings
    assert min(slow.seconds) >= 0.05 > max(slow.cpu_seconds)  # sleeping takes no CPU time
    assert len(fast.cpu_seconds) == 3


def test_percentile_is_a_measured_value():
    values = list(range(1, 11))
    assert [find_percentile(values, percent) for percent in (0, 10, 50, 90, 100)] == [1, 1, 5, 9, 10]


def test_report_shows_what_was_measured_and_not_its_escape_codes(tmp_path):
    columns = {"ms": ("ms", ".1f"), "AP": ("ap", ".3f"), "GPU": ("gpu", "s")}
    sides = ({"name": "\x1b[2Jred.onnx", "ms": 12.34, "ap": 0.5}, {"name": "b.onnx", "ms": 5.0, "ap": None})
    report = SpeedReport("Speed", "rtmo benchmark", columns, sides, {"threads": 2, "data": None})
    lines = report.format().splitlines()
    assert lines[2].split() == ["ms", "AP"]  # nobody has a GPU
    assert lines[3].split()[-2:] == ["12.3", "0.500"]
    assert lines[4].split() == ["b.onnx", "5.0", "-"]
    assert "\x1b" not in report.format()
    assert "threads: 2" in lines
    assert not any(line.startswith("data:") for line in lines)
    report.write(tmp_path / "speed.json")
    content = json.loads((tmp_path / "speed.json").read_text())
    assert content["sides"][1]["ap"] is None
    assert content["date"] == report.date


_PEAK = "from rtmo_plugin.speed.machine import read_peak_memory; print(read_peak_memory())"


def test_peak_memory_is_that_of_the_process_alone():
    held = np.ones(100 << 17)  # 100 MiB
    assert read_peak_memory() > held.nbytes >> 20
    done = subprocess.run([sys.executable, "-c", _PEAK], capture_output=True, text=True, check=True)
    assert int(done.stdout) < 100  # although its parent holds more
