"""What a study is, and where it is written: a file in ``configs/ablations`` each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from mmengine.config import Config

from rtmo_plugin.errors import ConfigError, MissingFileError
from rtmo_plugin.number_ranges import COUNT, POSITIVE
from rtmo_plugin.shipped_configs import FOLDER

ABLATIONS = FOLDER / "ablations"
DATA = ("synthetic", "coco")


@dataclass(frozen=True)
class Variant:
    """One of what a study compares.

    Attributes:
        name: Of its files.
        label: Its row in the table.
        options: What makes it: values by dotted key of the config, as ``--cfg-options`` takes them, for a
            study that trains; what its method reads, for another.
    """

    name: str
    label: str
    options: Mapping[str, Any]


@dataclass(frozen=True)
class Study:
    """What is compared, by which measure, and what the paper claims of it.

    Attributes:
        name: Of its file.
        method: ``"training"``, ``"people"`` or ``"speed"``: how a variant is measured.
        title: Of table and picture.
        claim: In one sentence.
        variants: In the order of the table's rows.
        columns: Format of each number in the table, by its name.
        settings: What else the method reads.
        observe: What is looked at in the people that a trained model finds: ``"sigmas"``, ``"levels"``
            or nothing.
        observed_variant: Whose people the second table is about.
    """

    name: str
    method: str
    title: str
    claim: str
    variants: tuple[Variant, ...]
    columns: Mapping[str, str]
    settings: Mapping[str, Any] = field(default_factory=dict)
    observe: str = ""
    observed_variant: str = ""


@dataclass(frozen=True)
class Request:
    """How a study shall be run.

    Attributes:
        data: One of ``DATA``.
        seeds: How often each variant is measured, by seeds 0, 1, ...
        budget: Minutes that all of it may take on this machine, roughly; None for those of the folder,
            or an hour in a new one.
        data_root: Folder that holds the data sets.
        options: Changes of the config, the same for all variants.
    """

    data: str = "synthetic"
    seeds: int = 3
    budget: float | None = None
    data_root: str | None = None
    options: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.data not in DATA:
            raise ConfigError(f"--data {self.data}: choose {', '.join(DATA)}.")
        COUNT.check("seeds", self.seeds)
        if self.budget is not None:
            POSITIVE.check("budget", self.budget)


def list_studies() -> tuple[str, ...]:
    """Return the names of the studies."""
    return tuple(sorted(path.stem for path in ABLATIONS.glob("*.py")))


def load_study(name: str) -> Study:
    """Return a study by name.

    Raises:
        MissingFileError: There is none of that name.
    """
    if name not in list_studies():
        raise MissingFileError(f"There is no study {name}: choose {', '.join(list_studies())}.")
    content = Config.fromfile(str(ABLATIONS / f"{name}.py")).study.to_dict()
    variants = tuple(Variant(each, **options) for each, options in content.pop("variants").items())
    return Study(name=name, variants=variants, **content)
