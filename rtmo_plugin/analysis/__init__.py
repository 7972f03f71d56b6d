"""Where the errors of a model are: one HTML page; and the difference of two models."""

from rtmo_plugin.analysis.page import analyze

__all__ = ["analyze"]
