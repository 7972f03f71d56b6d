"""Hooks: training stages, random numbers, resume points, progress, curves, and evidence of what went wrong."""

from rtmo_plugin.engine.hooks.accumulation import AccumulationHook
from rtmo_plugin.engine.hooks.broken_samples import BrokenSampleHook
from rtmo_plugin.engine.hooks.checkpoint_keeping import KeepingCheckpointHook
from rtmo_plugin.engine.hooks.compilation import CompileHook
from rtmo_plugin.engine.hooks.curves import CurvesHook
from rtmo_plugin.engine.hooks.diagnostics import DiagnosticsHook
from rtmo_plugin.engine.hooks.memory_format import ChannelsLastHook
from rtmo_plugin.engine.hooks.progress import ProgressBarHook
from rtmo_plugin.engine.hooks.randomness import RandomnessHook
from rtmo_plugin.engine.hooks.resume_point import ResumePointHook
from rtmo_plugin.engine.hooks.training_stages import TrainingStageHook
from rtmo_plugin.engine.interruption import ResumableTrainLoop, StopInValidationHook

__all__ = [
    "AccumulationHook",
    "BrokenSampleHook",
    "ChannelsLastHook",
    "CompileHook",
    "CurvesHook",
    "DiagnosticsHook",
    "KeepingCheckpointHook",
    "ProgressBarHook",
    "RandomnessHook",
    "ResumableTrainLoop",
    "ResumePointHook",
    "StopInValidationHook",
    "TrainingStageHook",
]
