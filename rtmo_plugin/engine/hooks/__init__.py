"""Hooks: training stages, random seeds, resume points, progress, plots, and diagnostics of failed runs."""

from rtmo_plugin.engine.hooks.accumulation import AccumulationHook
from rtmo_plugin.engine.hooks.batch_plots import FirstBatchHook
from rtmo_plugin.engine.hooks.best_checkpoint import BestCheckpointHook
from rtmo_plugin.engine.hooks.broken_samples import BrokenSampleHook
from rtmo_plugin.engine.hooks.checkpoint_keeping import KeepingCheckpointHook
from rtmo_plugin.engine.hooks.compilation import CompileHook
from rtmo_plugin.engine.hooks.curves import CurvesHook
from rtmo_plugin.engine.hooks.diagnostics import DiagnosticsHook
from rtmo_plugin.engine.hooks.distillation import DistillationHook
from rtmo_plugin.engine.hooks.divergence import DivergenceHook
from rtmo_plugin.engine.hooks.early_stopping import ResumableEarlyStoppingHook
from rtmo_plugin.engine.hooks.expected_time import ExpectedTimeHook
from rtmo_plugin.engine.hooks.freezing import FreezeHook
from rtmo_plugin.engine.hooks.memory_format import ChannelsLastHook
from rtmo_plugin.engine.hooks.missed_validation import MissedValidationHook
from rtmo_plugin.engine.hooks.network_graphs import GraphsHook
from rtmo_plugin.engine.hooks.no_wait import NoWaitHook
from rtmo_plugin.engine.hooks.prediction_plots import PictureHook
from rtmo_plugin.engine.hooks.process_buffers import ProcessBuffersHook
from rtmo_plugin.engine.hooks.progress import ProgressBarHook
from rtmo_plugin.engine.hooks.randomness import RandomnessHook
from rtmo_plugin.engine.hooks.resume_point import ResumePointHook
from rtmo_plugin.engine.hooks.training_stages import TrainingStageHook
from rtmo_plugin.engine.hooks.trial_report import TrialReportHook

__all__ = [
    "AccumulationHook",
    "BestCheckpointHook",
    "BrokenSampleHook",
    "ChannelsLastHook",
    "CompileHook",
    "CurvesHook",
    "DiagnosticsHook",
    "DistillationHook",
    "DivergenceHook",
    "ExpectedTimeHook",
    "FirstBatchHook",
    "FreezeHook",
    "GraphsHook",
    "KeepingCheckpointHook",
    "MissedValidationHook",
    "NoWaitHook",
    "PictureHook",
    "ProcessBuffersHook",
    "ProgressBarHook",
    "RandomnessHook",
    "ResumableEarlyStoppingHook",
    "ResumePointHook",
    "TrainingStageHook",
    "TrialReportHook",
]
