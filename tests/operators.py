"""Counts of tensor operators, a measure of work that is the same on every machine."""

from __future__ import annotations

from collections import Counter, defaultdict

from benchmarks.operator_counts import OperatorCounter, count_operators

__all__ = ["CallCounter", "OperatorCounter", "count_operators", "select_waits_and_copies"]

# Operators that wait for the device, or copy a tensor.
WAITS_AND_COPIES = ("_local_scalar_dense", "nonzero", "is_nonzero", "equal", "copy_", "clone", "_to_copy")


def select_waits_and_copies(counts):
    """Return the counts of operators that wait for the device, or copy a tensor."""
    return Counter({name: counts[name] for name in WAITS_AND_COPIES if counts[name]})


class CallCounter:
    """Counts the operators of calls of methods, with those of the calls inside.

    Args:
        patch: Pytest's ``monkeypatch``.

    Attributes:
        calls: Operators of each call, by label and in order.
    """

    def __init__(self, patch):
        self.calls = defaultdict(list)
        self._patch = patch

    def watch(self, owner, name, label=None):
        """Count the calls of ``owner.name``; ``label`` names a call by its arguments."""
        original = getattr(owner, name)

        def counted(*args, **kwargs):
            with OperatorCounter() as counter:
                try:
                    return original(*args, **kwargs)
                finally:
                    self.calls[label(*args, **kwargs) if label else name].append(counter.counts)

        self._patch.setattr(owner, name, counted)
