"""Counts of tensor operators, a measure of work that is the same on every machine."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

from torch.utils._python_dispatch import TorchDispatchMode


class OperatorCounter(TorchDispatchMode):  # type: ignore[no-untyped-call]  # torch does not annotate it
    """Context in which tensor operators are counted, those of the backward pass included.

    Attributes:
        counts: Number of calls of each operator, by name.
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.counts: Counter[str] = Counter()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Count an operator and run it."""
        self.counts[func.overloadpacket.__name__] += 1
        return func(*args, **(kwargs or {}))


def count_operators(function: Callable[..., Any], *args: Any) -> Counter[str]:
    """Return the operators of a call, by name."""
    counter = OperatorCounter()
    with counter:
        function(*args)
    return counter.counts
