"""Studies that train each variant from the same weights, random or not, on the same images, and test it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mmengine.config import Config

from rtmo_plugin.api import evaluate, train
from rtmo_plugin.checkpoints.fit import get_state_dict
from rtmo_plugin.checkpoints.reading import read_checkpoint
from rtmo_plugin.config.data_paths import check_data
from rtmo_plugin.config.edits import prepare_config
from rtmo_plugin.engine.evaluating import build_test_runner
from rtmo_plugin.engine.runner import get_model
from rtmo_plugin.errors import ConfigError
from rtmo_plugin.speed.machine import describe_hardware
from studies.budget import choose_num_images, count_images, limit_images, time_training
from studies.computation import count_computation
from studies.definitions import ABLATIONS, Request, Study, Variant
from studies.observing import observe_people, summarize_levels, summarize_sigmas
from studies.study_folder import Result
from studies.study_plots import draw_levels, draw_sigmas, draw_variants
from studies.study_runs import Outcome

_RESUME_MINUTES = 0.25
_METRICS = ("AP", "AP .5", "AP .75", "AR")


class TrainingMethod:
    """Train and test a variant; see ``Method``."""

    def plan(self, study: Study, request: Request, budget: float, folder: Path) -> dict[str, Any]:
        """Measure the cost of an image in each variant, and choose the number that fits the budget."""
        wanted = {**vars(request), "epochs_wanted": request.epochs}
        cfgs = {variant.name: build_config(wanted, variant) for variant in study.variants}
        base = next(iter(cfgs.values()))
        if request.teacher is None and any(variant.training.get("teacher") for variant in study.variants):
            raise ConfigError(
                f"The study {study.name} has a variant with a teacher: name it, --teacher CONFIG CHECKPOINT."
            )
        check_data(base, ("train", "test"))
        epochs, num_tests = base.train_cfg.max_epochs, count_images(base.test_dataloader.dataset)
        size, num_images, costs = base.train_dataloader.batch_size, request.images, {}
        if num_images is None:
            costs = time_training(cfgs, study)
            num_images = choose_num_images(
                costs, seconds=60 * budget, seeds=request.seeds, epochs=epochs, num_tests=num_tests
            )
            num_images = max(size, num_images // size * size)
        return {
            "data_root": request.data_root,
            "images_per_epoch": num_images,
            "epochs": epochs,
            "seconds_per_image": costs,
            "measured_on": describe_hardware(),
            "how": f"Each run: {epochs} epochs of {num_images} images from "
            f"{'given' if request.transfer_from else 'random'} weights, {size} a step, "
            f"{'single' if request.float32 else 'half'} precision; "
            f"tested on {num_tests} images of another seed or split.",
        }

    def measure(self, study: Study, plan: Mapping[str, Any], variant: Variant, seed: int, folder: Path) -> Outcome:
        """Train and test; an interrupted training resumes."""
        cfg = limit_images(_save_often(build_config(plan, variant)), plan["images_per_epoch"])
        options: dict[str, Any] = {"transfer_from": plan.get("transfer_from"), **variant.training}
        options["amp"] = not plan.get("float32")
        if options.get("teacher"):
            options["teacher"] = plan["teacher"]
        trained = train(cfg, work_dir=folder, seed=seed, validate=False, resume=True, from_scratch=True, **options)
        if trained.checkpoint is None:
            raise ConfigError(f"{folder} holds no checkpoint after training: remove it to measure this variant again.")
        tested = evaluate(cfg, trained.checkpoint, work_dir=folder / "test")
        metrics = {name.rpartition("/")[2]: value for name, value in tested.items()}
        values, details = _observe(study, cfg, trained.checkpoint, folder)
        for file in folder.glob("*.pth"):  # tested: the result is kept
            file.unlink()
        return Outcome({**{name: float(metrics[name]) for name in _METRICS}, **values}, details)

    def draw(self, study: Study, results: Sequence[Result], path: Path) -> None:
        """Draw AP by variant, and beside it what the study observes."""
        draw = {"sigmas": draw_sigmas, "levels": draw_levels}.get(study.observe, draw_variants)
        draw(study, results, path)


def build_config(wanted: Mapping[str, Any], variant: Variant) -> Config:
    """Return the config of a variant.

    Args:
        wanted: Plan of a study, or the same fields of its request: ``data``, ``data_root``, ``epochs_wanted``, and
            ``options``, which are applied before those of the variant.
        variant: Variant.
    """
    base = ABLATIONS / "_base_" / f"{wanted['data']}.py"
    options = {"epochs": wanted.get("epochs_wanted"), "cfg_options": wanted["options"]}
    cfg = prepare_config(base, data_root=wanted["data_root"], **options)
    return prepare_config(cfg, cfg_options=variant.options)


def _save_often(cfg: Config) -> Config:
    """Return a config whose runs lose a quarter of a minute, and a part of an epoch, when they are interrupted."""
    changed = Config(cfg._cfg_dict.to_dict(), filename=cfg.filename)
    for hook in changed.custom_hooks:
        if hook.type == "rtmo_plugin.ResumePointHook":
            hook.minutes = min(hook.minutes, _RESUME_MINUTES)
    return changed


def _observe(study: Study, cfg: Config, checkpoint: Path, folder: Path) -> tuple[dict[str, float], dict[str, Any]]:
    """Return the computation of a model, and what the study observes in its detections."""
    runner = build_test_runner(prepare_config(cfg, work_dir=folder / "observe"), checkpoint)
    model: Any = get_model(runner)
    model.load_state_dict(get_state_dict(read_checkpoint(checkpoint)), strict=False)  # the averaged weights, checked
    pipeline = cfg.test_dataloader.dataset.pipeline
    width, height = next(step.input_size for step in pipeline if step.type.endswith("BottomupResize"))
    values = count_computation(model, (width, height))
    if not study.observe:
        return values, {}
    found = observe_people(runner)
    if study.observe == "levels":
        return {**values, **summarize_levels(found, model.head.strides)}, {}
    return values, {"sigmas": summarize_sigmas(found)}
