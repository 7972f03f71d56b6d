"""What happens around the model during training: stages, random numbers, resume points, precision, progress, curves."""

from rtmo_plugin.engine.accumulation import AccumulationHook
from rtmo_plugin.engine.broken_samples import BrokenSampleHook
from rtmo_plugin.engine.checkpoint_keeping import KeepingCheckpointHook
from rtmo_plugin.engine.compilation import CompileHook
from rtmo_plugin.engine.curves import CurvesHook
from rtmo_plugin.engine.diagnostics import DiagnosticsHook
from rtmo_plugin.engine.interruption import ResumableTrainLoop, StopInValidationHook
from rtmo_plugin.engine.memory_format import ChannelsLastHook
from rtmo_plugin.engine.optim_wrapper import AutocastOptimWrapper
from rtmo_plugin.engine.progress import ProgressBarHook
from rtmo_plugin.engine.randomness import RandomnessHook
from rtmo_plugin.engine.resume_point import ResumePointHook
from rtmo_plugin.engine.training_stages import TrainingStageHook

__all__ = [
    "AccumulationHook",
    "AutocastOptimWrapper",
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
