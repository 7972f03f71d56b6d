"""Where a model's errors are, and whether the difference of two models is more than noise."""

from rtmo_plugin.evaluation.analysis.calibration import fit_calibration
from rtmo_plugin.evaluation.analysis.report import Report, analyze_comparison
from rtmo_plugin.evaluation.analysis.resampling import Difference, compare

__all__ = ["Difference", "Report", "analyze_comparison", "compare", "fit_calibration"]
