"""Studies and their variants, each study a file in ``configs/ablations``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from mmengine.config import Config

from rtmo_plugin.errors import ConfigError, MissingFileError
from rtmo_plugin.number_ranges import COUNT, POSITIVE
from rtmo_plugin.shipped_configs import FOLDER

ABLATIONS = FOLDER / "ablations"
DATA = ("synthetic", "few", "robots", "coco")


@dataclass(frozen=True)
class Variant:
    """One of the variants that a study compares.

    Attributes:
        name: Name in the names of its files.
        label: Label of its row in the table.
        options: Values by dotted key of the config, as ``--cfg-options`` takes them, for a study that trains;
            options of its method for another.
        training: Arguments of ``rtmo_plugin.api.train``; a ``teacher`` of True is that of the request, and a
            ``transfer_from`` of None starts from random weights.
    """

    name: str
    label: str
    options: Mapping[str, Any]
    training: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Study:
    """A comparison of variants, and the claim of the paper that it tests.

    Attributes:
        name: Name of its file.
        method: Method of measuring a variant: ``"training"``, ``"people"`` or ``"speed"``.
        title: Title of table and plot.
        claim: Claim of the paper in one sentence.
        variants: Variants in the order of the table's rows.
        columns: Format of each number in the table, by its name.
        settings: Further options of the method.
        observe: Property of the detections of a trained model: ``"sigmas"``, ``"levels"`` or empty.
        observed_variant: Variant of the second table.
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
    """Options of running a study.

    Attributes:
        data: Data of the training, one of ``DATA``.
        seeds: Number of runs of each variant, with seeds 0, 1, ...
        budget: Approximate minutes of the whole study on this machine. Default: those of the folder, or an
            hour in a new one.
        data_root: Folder that holds the data sets.
        images: Number of training images of each run. Default: as many as the budget has room for.
        epochs: Number of epochs to which the schedule of the data is scaled. Default: those of the schedule.
        transfer_from: Checkpoint from whose weights the variants start. Default: random weights.
        teacher: Config and checkpoint of the teacher, for variants that have one.
        float32: Whether to train in single precision, for CPUs without bfloat16. Default: half precision.
        variants: Names of the variants to measure, with commas between them. Default: all.
        options: Changes of the config, the same for all variants.
    """

    data: str = "synthetic"
    seeds: int = 3
    budget: float | None = None
    data_root: str | None = None
    images: int | None = None
    epochs: int | None = None
    transfer_from: str | None = None
    teacher: Sequence[str] | None = None
    float32: bool = False
    variants: str | None = None
    options: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.data not in DATA:
            raise ConfigError(f"--data {self.data}: choose {', '.join(DATA)}.")
        COUNT.check("seeds", self.seeds)
        if self.images is not None:
            COUNT.check("images", self.images)
        if self.budget is not None:
            POSITIVE.check("budget", self.budget)


def list_studies() -> tuple[str, ...]:
    """Return the names of the studies."""
    return tuple(sorted(path.stem for path in ABLATIONS.glob("*.py")))


def choose_variants(study: Study, names: str | None) -> Study:
    """Return a study of some of its variants.

    Args:
        study: Study.
        names: Names of variants, with commas between them. Default: all.

    Raises:
        ConfigError: A name is unknown.
    """
    if names is None:
        return study
    wanted, known = names.split(","), [variant.name for variant in study.variants]
    unknown = [name for name in wanted if name not in known]
    if unknown:
        raise ConfigError(f"--variants {unknown[0]!r}: the study {study.name} has {', '.join(known)}.")
    return replace(study, variants=tuple(each for each in study.variants if each.name in wanted))


def load_study(name: str) -> Study:
    """Return a study by name.

    Raises:
        MissingFileError: The study is unknown.
    """
    if name not in list_studies():
        raise MissingFileError(f"The study {name} is unknown: choose {', '.join(list_studies())}.")
    content = Config.fromfile(str(ABLATIONS / f"{name}.py")).study.to_dict()
    variants = tuple(Variant(each, **options) for each, options in content.pop("variants").items())
    return Study(name=name, variants=variants, **content)
