"""Where a model's errors are, and whether the difference of two models is more than noise."""

from rtmo_plugin.analysis.measures.average_precision import compare
from rtmo_plugin.analysis.measures.calibration import fit_calibration
from rtmo_plugin.analysis.measures.report import Report, analyze_comparison

__all__ = ["Report", "analyze_comparison", "compare", "fit_calibration"]
