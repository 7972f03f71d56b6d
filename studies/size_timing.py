"""Computation and time over width and depth, beside the published accuracy."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from benchmarks.fixed_people import open_with_people
from benchmarks.plotting import COLORS, draw_figure
from rtmo_plugin.speed.rounds import time_alternately
from rtmo_plugin.speed.sample_images import make_noise
from studies.computation import count_computation
from studies.definitions import Request, Study, Variant
from studies.people_timing import check_count, refuse_options
from studies.study_folder import Result
from studies.study_page import collect
from studies.study_runs import Outcome
from studies.untrained import build_untrained, load_size, locate_files, write_untrained


class SpeedMethod:
    """Count and time one size in each runtime that is installed, in turn; see ``Method``."""

    def plan(self, study: Study, request: Request, budget: float, folder: Path) -> dict[str, Any]:
        """Return a description; the budget has no effect."""
        refuse_options(request)
        settings = study.settings
        width, height = settings["image_wh"]
        return {
            "how": f"Milliseconds from a {width}x{height} image in memory to keypoints, batch 1, random weights made "
            f"to find {settings['num_people']} people, all cores, all runtimes in turn; a seed is the least of "
            f"{settings['rounds']} rounds. Input 640x640 unless the name says otherwise. GFLOPs without the "
            "classifier. AP as published, t's of body7 weights."
        }

    def measure(self, study: Study, plan: Mapping[str, Any], variant: Variant, seed: int, folder: Path) -> Outcome:
        """Count one size, and time it."""
        options, settings = variant.options, study.settings
        cfg = load_size(options["config"], options.get("widen"), options.get("deepen"))
        path = locate_files(folder) / f"{variant.name}.onnx"
        write_untrained(cfg, options["size"], path)
        image = make_noise(settings["image_wh"], seed)
        sides = {
            name: partial(open_with_people(path, settings["num_people"], **each).predict, image)
            for name, each in settings["runtimes"].items()
            if find_spec(each["runtime"])
        }
        for run in sides.values():
            check_count(run(), settings["num_people"])
        timings, _ = time_alternately(sides, settings["rounds"])
        values = count_computation(build_untrained(cfg), (options["size"], options["size"]))
        values.update((f"{each.name}, ms", 1000 * min(each.seconds)) for each in timings)
        published = {"published AP": options["ap"]} if "ap" in options else {}
        return Outcome({**values, **published}, {"weights": options.get("weights", "")})

    def draw(self, study: Study, results: Sequence[Result], path: Path) -> None:
        """Draw AP over milliseconds, measured for each runtime and as published, of RTMO and of other models."""

        def draw(figure: Any) -> None:
            here, costs, published = figure.subplots(1, 3)
            _draw_here(here, study, results)
            _draw_costs(costs, study, results)
            for (name, points), color in zip(study.settings["published"].items(), COLORS):
                line = "-" if name.startswith("RTMO") else ":"
                published.plot(*zip(*points), line, marker="o", markerfacecolor="white", color=color, label=name)
            published.set(title="published, other machines", xlabel="ms", ylabel="AP, COCO val2017")
            for axes in (here, costs, published):
                axes.grid(alpha=0.3)
                axes.legend(frameon=False, fontsize=6)

        draw_figure(path, (11, 3.4), draw)


def _draw_here(axes: Any, study: Study, results: Sequence[Result]) -> None:
    for name, color in zip(study.settings["runtimes"], COLORS):
        points = []
        for variant in study.variants:
            times = collect(results, variant.name, f"{name}, ms")
            if times and "ap" in variant.options:
                points.append((statistics.mean(times), variant.options["ap"], variant.name))
        if points:
            x, y, labels = zip(*points)
            axes.plot(x, y, marker="o", color=color, label=name)
            for place in zip(x, y, labels):
                axes.annotate(place[2], place[:2], fontsize=7, xytext=(3, -8), textcoords="offset points")
    axes.set(title="this machine, AP as published", xlabel="ms", ylabel="AP, COCO val2017", xlim=(0, None))


def _draw_costs(axes: Any, study: Study, results: Sequence[Result]) -> None:
    """Draw milliseconds over computation, with the widths in between."""
    for name, color in zip(study.settings["runtimes"], COLORS):
        points = []
        for variant in study.variants:
            times = collect(results, variant.name, f"{name}, ms")
            if times:
                points.append((collect(results, variant.name, "GFLOPs")[0], statistics.mean(times)))
        if points:
            axes.plot(*zip(*points), marker="o", markersize=4, color=color, label=name)
    axes.set(title="this machine, all widths", xlabel="GFLOPs", ylabel="ms", xlim=(0, None), ylim=(0, None))
