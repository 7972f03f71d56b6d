"""The runner of studies: what is done is never done again, and what would not compare is refused."""

import dataclasses
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from rtmo_plugin.errors import ConfigError, DataError, MissingFileError
from studies.definitions import Request, Study, Variant, load_study
from studies.study_folder import StudyFolder
from studies.study_page import format_spread
from studies.study_runs import Outcome, run_study

STUDY = Study(
    name="toys",
    method="training",
    title="Toys",
    claim="Cars are faster.",
    variants=(Variant("car", "a car", {"speed": 3}), Variant("cart", "a cart", {"speed": 1})),
    columns={"AP": ".2f", "wheels": ".0f"},
)


class Toys:
    """Measure without a model: AP is the variant's speed and a bit of its seed, carts have no number of wheels."""

    def __init__(self, interrupt_at=None):
        self.measured, self.plans, self.interrupt_at = [], 0, interrupt_at

    def plan(self, study, request, budget, folder):
        self.plans += 1
        return {"how": f"In {budget:g} minutes."}

    def measure(self, study, plan, variant, seed, folder):
        (folder / "half.txt").write_text("begun")
        if len(self.measured) == self.interrupt_at:
            raise KeyboardInterrupt
        self.measured.append((variant.name, seed))
        values = {"AP": variant.options["speed"] / 10 + seed / 10}
        return Outcome(values | ({"wheels": 4} if variant.name == "car" else {}), {})

    def draw(self, study, results, path):
        path.write_text(str(len(results)))


def run(folder, toys, study=STUDY, **request):
    return run_study(study, Request(**request), folder, method=toys, tell=lambda line: None)


def test_interrupted_study_goes_on_with_what_is_missing(tmp_path):
    first = Toys(interrupt_at=3)
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, first, seeds=2, budget=5)
    assert first.measured == [("car", 0), ("cart", 0), ("car", 1)]
    assert "| a cart | 0.10 | - | 1 |" in (tmp_path / "table.md").read_text()
    part = tmp_path / "results" / ".cart_seed1.json.part"
    part.write_text('{"variant": "cart", "se')  # as a kill while writing leaves it
    second = Toys()
    report = run(tmp_path, second, seeds=2)
    assert second.measured == [("cart", 1)]
    assert (report.num_measured, second.plans) == (1, 0)
    assert run(tmp_path, Toys(), seeds=2).num_measured == 0


def test_table_has_mean_and_spread_and_the_command(tmp_path):
    report = run(tmp_path, Toys(), seeds=3, budget=5, options={"model.test_cfg.score_thr": 0.5})
    page = report.page.read_text()
    assert "| a car | 0.40 ± 0.10 | 4 | 3 | 0.0 |" in page
    assert "| a cart | 0.20 ± 0.10 | - | 3 | 0.0 |" in page
    assert (
        "`python tools/ablate.py toys --data synthetic --budget 5 --seeds 3 --cfg-options model.test_cfg.score_thr=0.5`"
        in page
    )
    assert "In 5 minutes." in page
    assert re.search(r"\d+ cores, GPU: .*python 3", page)
    assert report.plot.read_text() == "6"


@pytest.mark.parametrize(
    ("study", "request_", "different"),
    [
        (STUDY, {"budget": 6}, "budget: then 5, now 6"),
        (STUDY, {"data": "coco"}, 'data: then "synthetic", now "coco"'),
        (STUDY, {"options": {"a": 1}}, 'options: then {}, now {"a": 1}'),
        (Study(**{**vars(STUDY), "variants": STUDY.variants[:1]}), {}, "variants: then"),
    ],
)
def test_folder_takes_no_results_that_do_not_compare(study, request_, different, tmp_path):
    run(tmp_path, Toys(), seeds=1, budget=5)
    with pytest.raises(ConfigError, match=f"holds results with another {re.escape(different)}"):
        run(tmp_path, Toys(), study, seeds=1, **request_)


def test_more_seeds_are_added_to_those_that_are_there(tmp_path):
    run(tmp_path, Toys(), seeds=1, budget=5)
    more = Toys()
    run(tmp_path, more, seeds=2, budget=5)
    assert more.measured == [("car", 1), ("cart", 1)]
    assert json.loads((tmp_path / "plan.json").read_text())["budget"] == 5


def test_command_repeats_images_weights_and_teacher(tmp_path):
    given = {
        "images": 8,
        "epochs": 4,
        "transfer_from": "start.pth",
        "teacher": ("t.py", "t.pth"),
        "data": "few",
        "float32": True,
    }
    page = run(tmp_path, Toys(), seeds=1, **given).page.read_text()
    assert (
        "`python tools/ablate.py toys --data few --images 8 --epochs 4 --transfer-from start.pth --teacher t.py t.pth "
        "--float32 --seeds 1`" in page
    )
    with pytest.raises(ConfigError, match=r'another transfer_from: then "start\.pth", now "other\.pth"'):
        run(tmp_path, Toys(), seeds=1, **{**given, "transfer_from": "other.pth"})


def test_folder_keeps_variants_that_are_trained_alike(tmp_path):
    run(tmp_path, Toys(), seeds=1)
    other = dataclasses.replace(STUDY.variants[0], training={"augment": "copy-paste"})
    with pytest.raises(ConfigError, match="another variants"):
        run(tmp_path, Toys(), dataclasses.replace(STUDY, variants=(other, STUDY.variants[1])), seeds=1)


def test_some_variants_alone(tmp_path):
    toys = Toys()
    page = run(tmp_path, toys, seeds=2, variants="cart").page.read_text()
    assert toys.measured == [("cart", 0), ("cart", 1)]
    assert ("a car |" in page, "--variants cart --seeds 2`" in page) == (False, True)
    with pytest.raises(ConfigError, match=r"--variants 'bike': the study toys has car, cart\."):
        run(tmp_path, Toys(), seeds=2, variants="cart,bike")


def test_a_study_with_a_teacher_needs_one(tmp_path):
    with pytest.raises(ConfigError, match="The study few has a variant with a teacher: name it, --teacher CONFIG"):
        run_study(load_study("few"), Request(data="few", images=8), tmp_path)


def test_damaged_result_is_named(tmp_path):
    run(tmp_path, Toys(), seeds=1)
    (tmp_path / "results" / "car_seed0.json").write_text("{")
    with pytest.raises(DataError, match=r"car_seed0\.json is damaged .* remove it"):
        StudyFolder(tmp_path).read_results()


def test_what_cannot_be_asked_for_is_refused():
    with pytest.raises(ConfigError, match="--data mpii: choose synthetic, few, robots, coco"):
        Request(data="mpii")
    with pytest.raises(ConfigError, match="seeds must be a whole number from 1"):
        Request(seeds=0)
    with pytest.raises(ConfigError, match="images must be a whole number from 1"):
        Request(images=0)
    with pytest.raises(ConfigError, match="budget must be a number above 0"):
        Request(budget=0)
    with pytest.raises(MissingFileError, match="The study bin is unknown: choose bins, coordinates, "):
        load_study("bin")


def test_spread_needs_two_seeds():
    assert format_spread([0.5], ".2f") == "0.50"
    assert format_spread([], ".2f") == "-"


def test_studies_are_those_that_the_command_names():
    from studies.ablate import COMMAND
    from studies.definitions import list_studies

    parser = COMMAND.make_parser("python tools/ablate.py")
    (study,) = (action for action in parser._actions if action.dest == "study")
    assert sorted(study.choices) == list(list_studies())
    for name in list_studies():
        text = (Path(__file__).parents[2] / "configs/ablations" / f"{name}.py").read_text()
        assert re.search(rf"^python tools/ablate\.py {name}( --|$)", text, re.MULTILINE)


def test_the_module_and_the_tool_are_one_command_from_any_folder(tmp_path):
    root = Path(__file__).parents[2]
    helps = []
    for command, folder in ((["-m", "studies"], root), ([str(root / "tools/ablate.py")], tmp_path)):
        done = subprocess.run(
            [sys.executable, *command, "--help"], capture_output=True, text=True, cwd=folder, check=True
        )
        text = done.stdout.replace("python -m studies", "ablate.py").replace("python tools/ablate.py", "ablate.py")
        helps.append(text.split())  # lines may end elsewhere
    assert helps[0] == helps[1]
    assert "--seeds" in helps[0]


def test_commands_of_the_guide_can_be_read():
    from studies.ablate import COMMAND

    guide = (Path(__file__).parents[2] / "docs/ablations.md").read_text()
    commands = re.findall(r"^python tools/ablate\.py ([^#\n]+)", guide, re.MULTILINE)
    assert len(commands) >= 4
    for command in commands:
        COMMAND.make_parser("python tools/ablate.py").parse_args(command.split())
    for name in re.findall(r"^\| `(\w+)` \| .*", guide, re.MULTILINE):
        assert load_study(name).claim
