"""Matrix products of a few sizes only, whatever the number of people."""

from __future__ import annotations

from collections.abc import Callable

import torch.nn.functional as F
from torch import Tensor

# Rows are added up to the next multiple: few sizes, and few rows in vain.
BLOCK = 32


def apply_in_blocks(function: Callable[[Tensor], Tensor], rows: Tensor) -> Tensor:
    """Apply a function of independent rows to a whole number of blocks of them, and drop what was added.

    The number of positives differs from step to step.  For each new size of a product in half
    precision oneDNN generates and keeps a kernel, forward and backward, which costs a millisecond and
    memory that grows for thousands of steps.

    Args:
        function: Function of (M, ...) rows that returns (M, ...) rows, each from its own row alone.
        rows: (N, ...).

    Returns:
        (N, ...).

    Examples:
        >>> import torch
        >>> apply_in_blocks(lambda rows: print(len(rows)) or 2 * rows, torch.ones(33, 1)).sum()
        64
        tensor(66.)
    """
    missing = -len(rows) % BLOCK
    padded = F.pad(rows, [0, 0] * (rows.dim() - 1) + [0, missing]) if missing else rows
    return function(padded)[: len(rows)]
