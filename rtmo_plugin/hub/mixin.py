"""The base class by which ``huggingface_hub`` knows models of PyTorch; an empty one where it is not installed."""

from __future__ import annotations

from typing import Any

HubMixin: Any
try:
    from huggingface_hub import PyTorchModelHubMixin as HubMixin
except ModuleNotFoundError:

    class _NoHub:
        """Takes the keywords of the mixin, and does nothing with them."""

        def __init_subclass__(cls, **_: Any) -> None:
            super().__init_subclass__()

    HubMixin = _NoHub
