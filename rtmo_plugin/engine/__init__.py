"""What happens around the model during training: stages, precision, memory format, progress and curves."""

from rtmo_plugin.engine.curves import CurvesHook
from rtmo_plugin.engine.memory_format import ChannelsLastHook
from rtmo_plugin.engine.optim_wrapper import AutocastOptimWrapper
from rtmo_plugin.engine.progress import ProgressBarHook
from rtmo_plugin.engine.training_stages import TrainingStageHook

__all__ = ["AutocastOptimWrapper", "ChannelsLastHook", "CurvesHook", "ProgressBarHook", "TrainingStageHook"]
