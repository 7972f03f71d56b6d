"""What the tools call, and programs may: ``train``, ``evaluate``, ``predict`` and ``export``."""

import rtmo_plugin.compat  # noqa: F401  (must come before any import of mmpose or mmdet)
from rtmo_plugin.apis.export import ExportResult, export
from rtmo_plugin.apis.prediction import ImagePrediction, Predictor, predict
from rtmo_plugin.apis.testing import evaluate
from rtmo_plugin.apis.training import TrainResult, train

__all__ = ["ExportResult", "ImagePrediction", "Predictor", "TrainResult", "evaluate", "export", "predict", "train"]
