"""Batch norm over all processes on CPUs, where torch's own ``SyncBatchNorm`` refuses to run."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, distributed, nn
from torch.nn import functional
from torch.nn.modules.batchnorm import _BatchNorm


class _SumOverRanks(torch.autograd.Function):
    """Sum a tensor over all processes, and its gradient likewise."""

    @staticmethod
    def forward(ctx: Any, values: Tensor, group: distributed.ProcessGroup) -> Tensor:
        ctx.group = group
        total = values.clone()
        distributed.all_reduce(total, group=group)
        return total

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        total = gradients[0].clone()
        distributed.all_reduce(total, group=ctx.group)
        return total, None


def _sum_over_ranks(values: Tensor, group: distributed.ProcessGroup) -> Tensor:
    total: Tensor = _SumOverRanks.apply(values, group)  # type: ignore[no-untyped-call]  # torch does not annotate it
    return total


class CPUSyncBatchNorm(_BatchNorm):
    """Batch norm with the statistics of the joint batch of all processes."""

    # Of the class, since modules are copied (for the moving average, for example) and a group cannot be.
    group: distributed.ProcessGroup
    running_mean: Tensor
    running_var: Tensor
    num_batches_tracked: Tensor
    momentum: float

    def _check_input_dim(self, input: Tensor) -> None:  # noqa: A002  (torch's name)
        """Accept every shape that the replaced batch norm accepts."""

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002
        """Normalize (N, C, ...) values; N and the sizes after C may differ between ranks.

        Fewer than two values in total have no variance; running statistics are used.
        """
        if not self.training:
            return super().forward(input)
        values = input.float() if input.dtype in (torch.bfloat16, torch.float16) else input
        dims, shape = [0, *range(2, input.ndim)], (1, -1, *[1] * (input.ndim - 2))
        sums = torch.cat([values.sum(dims), values.new_tensor([values[:, 0].numel()])])
        total = _sum_over_ranks(sums, self.group)
        count = total[-1].detach()
        if count < 2:
            return functional.batch_norm(
                input, self.running_mean, self.running_var, self.weight, self.bias, eps=self.eps
            )
        mean = total[:-1] / count
        centered = values - mean.view(shape)
        variance = _sum_over_ranks((centered**2).sum(dims), self.group) / count
        with torch.no_grad():
            self.num_batches_tracked.add_(1)
            self.running_mean.lerp_(mean, self.momentum)
            self.running_var.lerp_(variance * count / (count - 1), self.momentum)
        scale = torch.rsqrt(variance + self.eps) * self.weight
        normalized: Tensor = (centered * scale.view(shape) + self.bias.view(shape)).to(input.dtype)
        return normalized


def synchronize_batch_norms(model: nn.Module) -> nn.Module:
    """Make all batch norms of a model use the statistics of all processes; parameters and buffers stay the same.

    All processes must call this together: it creates a process group, so that these sums cannot be
    mixed up with those of the gradients.
    """
    CPUSyncBatchNorm.group = distributed.new_group()
    for module in model.modules():
        if isinstance(module, _BatchNorm):
            module.__class__ = CPUSyncBatchNorm  # it has the same state
    return model
