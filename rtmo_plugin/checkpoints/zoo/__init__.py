"""Published weights by short name: where they are, what they should be, and how to get them here.

Neither torch nor OpenMMLab is needed to list or to fetch.
"""

from rtmo_plugin.checkpoints.zoo.cache import get_cache_folder, locate
from rtmo_plugin.checkpoints.zoo.catalogue import CATALOGUE, ONNX, Weights, describe_url, find_weights, suggest_name
from rtmo_plugin.checkpoints.zoo.fetching import fetch, is_url
from rtmo_plugin.checkpoints.zoo.table import format_catalogue

__all__ = [
    "CATALOGUE",
    "ONNX",
    "Weights",
    "describe_url",
    "fetch",
    "find_weights",
    "format_catalogue",
    "get_cache_folder",
    "is_url",
    "locate",
    "suggest_name",
]
