"""Time of an image over the number of people: RTMO beside top-down pipelines of MMPose."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence, Sized
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.fixed_people import open_with_people
from benchmarks.plotting import COLORS, GRAY, draw_figure
from rtmo_plugin.errors import ConfigError
from rtmo_plugin.speed.rounds import time_alternately
from rtmo_plugin.speed.sample_images import make_noise
from studies.definitions import Request, Study, Variant
from studies.study_folder import Result
from studies.study_page import collect
from studies.study_runs import Outcome
from studies.top_down import TopDownModel, write_network
from studies.untrained import load_size, locate_files, write_untrained


class PeopleMethod:
    """Time all systems in turn on the same image with the number of people of a variant; see ``Method``."""

    def plan(self, study: Study, request: Request, budget: float, folder: Path) -> dict[str, Any]:
        """Return a description; the budget has no effect."""
        refuse_options(request)
        rounds, (width, height) = study.settings["rounds"], study.settings["image_wh"]
        return {
            "how": f"Milliseconds from a {width}x{height} image in memory to keypoints, batch 1, ONNX Runtime, all "
            f"cores, random weights, all systems in turn; a seed is the least of {rounds} rounds. RTMO is made to "
            "find that many people; the pipelines detect as ever, then take that many boxes, "
            f"{study.settings['crops_at_once']} at once."
        }

    def measure(self, study: Study, plan: Mapping[str, Any], variant: Variant, seed: int, folder: Path) -> Outcome:
        """Time an image with the number of people of a variant."""
        num_people, settings = variant.options["num_people"], study.settings
        files = locate_files(folder)
        image = make_noise(settings["image_wh"], seed)
        sides: dict[str, Callable[[], Sized]] = {}
        for name, config in settings["ours"].items():
            path = files / f"{name}.onnx"
            write_untrained(load_size(config), settings["size"], path)
            sides[name] = partial(open_with_people(path, num_people, runtime="onnxruntime").predict, image)
        boxes = draw_boxes(num_people, settings["image_wh"], seed)
        for name, options in settings["top_down"].items():
            model = _open_theirs(files, name, settings["crops_at_once"], _freeze(options))
            sides[name] = partial(model.predict, image, boxes)
        for run in sides.values():
            check_count(run(), num_people)  # also warms up
        timings, _ = time_alternately(sides, settings["rounds"])
        return Outcome({each.name: 1000 * min(each.seconds) for each in timings}, {})

    def draw(self, study: Study, results: Sequence[Result], path: Path) -> None:
        """Draw milliseconds over the number of people, and where the lines cross."""

        def draw(figure: Any) -> None:
            axes = figure.subplots()
            for name, color in zip(study.columns, COLORS):
                counts, times = read_times(study, results, name)
                style = "-" if name in study.settings["ours"] else "--"
                axes.plot(counts, times, style, marker="o", markersize=3, color=color, label=name)
            axes.set(xlabel="people", ylabel="ms per image", yscale="log")
            axes.set_xscale("symlog", linthresh=1)
            counts = [variant.options["num_people"] for variant in study.variants]
            axes.set_xticks(counts, list(map(str, counts)))
            axes.set_xlim(0, 1.1 * max(counts))
            axes.yaxis.set_major_formatter("{x:g}")
            for place, (words, count) in enumerate(find_crossings(study, results).items()):
                text = f"{words}: {count:.1f} people"
                axes.text(0.02, 0.72 - 0.06 * place, text, transform=axes.transAxes, fontsize=7)
                axes.axvline(count, color=GRAY, linestyle=":")
            axes.grid(alpha=0.3, which="both")
            axes.legend(frameon=False, fontsize=8)

        draw_figure(path, (7, 3.8), draw)


def refuse_options(request: Request) -> None:
    """Refuse options of training, for a study that only measures time.

    Raises:
        ConfigError: Options of a config or other data are given.
    """
    if request.options or request.data != "synthetic":
        raise ConfigError("This study trains nothing: --data and --cfg-options are for the others.")


def check_count(people: Sized, num_people: int) -> None:
    """Raise a ConfigError where a system did not find the wanted number of people."""
    if len(people) != num_people:
        raise ConfigError(
            f"{len(people)} people were found in place of {num_people}: more than the network has priors?"
        )


def draw_boxes(count: int, image_wh: tuple[int, int], seed: int) -> NDArray[Any]:
    """Return (count, 4) random boxes of standing people."""
    random = np.random.default_rng(seed)
    heights = random.uniform(0.1, 0.8, count) * image_wh[1]
    centers = random.uniform(0.2, 0.8, (count, 2)) * image_wh
    half = np.stack([heights / 5, heights / 2], axis=-1)
    return np.concatenate([centers - half, centers + half], axis=-1)


def read_times(study: Study, results: Sequence[Result], system: str) -> tuple[list[int], list[float]]:
    """Return the measured numbers of people, and the mean milliseconds of a system for each."""
    found = {each.options["num_people"]: collect(results, each.name, system) for each in study.variants}
    measured = {count: statistics.mean(values) for count, values in found.items() if values}
    return list(measured), list(measured.values())


def find_crossings(study: Study, results: Sequence[Result]) -> dict[str, float]:
    """Return the number of people from which each RTMO is faster than the pipeline of its size, by sentence."""
    crossings = {}
    for ours, theirs in zip(study.settings["ours"], study.settings["top_down"]):
        counts, own = read_times(study, results, ours)
        gaps = [other - mine for mine, other in zip(own, read_times(study, results, theirs)[1])]
        for low, high, before, after in zip(counts, counts[1:], gaps, gaps[1:]):
            if before < 0 <= after:
                crossings[f"{ours} faster than {theirs} from"] = low + (high - low) * before / (before - after)
                break
    return crossings


@cache
def _open_theirs(files: Path, name: str, crops_at_once: int, options: tuple[tuple[str, Any], ...]) -> TopDownModel:
    paths: dict[str, Path] = {}
    given = dict(options)
    for part in ("detector", "pose"):
        paths[part] = files / f"{name.replace(' ', '')}_{part}.onnx"
        if not paths[part].is_file():
            write_network(given[part], given[f"{part}_size"], paths[part])
    return TopDownModel(paths["detector"], paths["pose"], crops_at_once)


def _freeze(options: Mapping[str, Any]) -> tuple[tuple[str, Any], ...]:
    return tuple((name, tuple(value) if isinstance(value, list) else value) for name, value in options.items())
