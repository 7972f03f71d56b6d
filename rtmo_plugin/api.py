"""What the tools call, and programs may: ``train``, ``evaluate``, ``predict`` and ``export``."""

import rtmo_plugin.compat  # noqa: F401  (must come before any import of mmpose or mmdet)
from rtmo_plugin.engine.testing import evaluate
from rtmo_plugin.engine.training import TrainResult, train
from rtmo_plugin.export.exporting import ExportResult, export
from rtmo_plugin.pose.predictor import ImagePrediction, Predictor, predict

__all__ = ["ExportResult", "ImagePrediction", "Predictor", "TrainResult", "evaluate", "export", "predict", "train"]
