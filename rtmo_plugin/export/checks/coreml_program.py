"""Compute a Core ML program in PyTorch, operator by operator, because Core ML itself runs on Apple's systems alone.

The operators are those of the graphs that are exported, as coremltools documents them (the MIL operators).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from rtmo_plugin.errors import ExportError


class CoreMlProgram:
    """The main function of a Core ML package, with its weights.

    Args:
        path: Path of the ``.mlpackage`` folder.

    Attributes:
        spec: Description of the package (protobuf): its inputs, outputs and metadata.
    """

    def __init__(self, path: Path) -> None:
        import coremltools
        from coremltools.converters.mil.frontend.milproto.load import load

        model = coremltools.models.MLModel(str(path), skip_model_load=True)
        self.spec: Any = model.get_spec()
        self._main: Any = load(self.spec, self.spec.specificationVersion, model.weights_dir).functions["main"]

    def list_operators(self) -> list[str]:
        """Return the kinds of the operators, one for each operator that is not a constant."""
        return [each.op_type for each in self._main.operations if each.op_type != "const"]

    @torch.no_grad()
    def run(self, image: Tensor) -> dict[str, Tensor]:
        """Compute the outputs by name.

        Args:
            image: Input of the program, (1, 3, H, W).

        Raises:
            ExportError: The program has an operator that is not known here.
        """
        (start,) = self._main.inputs.values()
        is_half = start.dtype.__name__ == "fp16"
        values: dict[str, Any] = {start.name: image.half() if is_half else image}

        def read(given: Any) -> Any:
            if isinstance(given, (list, tuple)):
                return [read(each) for each in given]
            if given.name in values:
                return values[given.name]
            constant = np.asarray(given.val)
            if constant.dtype.kind == "f" and constant.ndim:
                return torch.from_numpy(np.array(constant))
            return constant.tolist()  # a list of whole numbers, or a number

        for operation in self._main.operations:
            if operation.op_type == "const":
                continue
            if operation.op_type not in _OPERATORS:
                raise ExportError(f"The operator {operation.op_type} of Core ML cannot be compared with PyTorch.")
            given = {name: read(each) for name, each in operation.inputs.items() if each is not None}
            result = _OPERATORS[operation.op_type](**given)
            for output, value in zip(operation.outputs, result if isinstance(result, (list, tuple)) else [result]):
                values[output.name] = value
        return {output.name: values[output.name] for output in self._main.outputs}


def _pad(x: Tensor, pad_type: str, pad: Sequence[int] | None, value: float) -> Tensor:
    if pad_type == "valid" or pad is None:
        return x
    if pad_type != "custom":
        raise ExportError(f"The padding {pad_type} of Core ML cannot be compared with PyTorch.")
    top, bottom, left, right = pad
    return functional.pad(x, (left, right, top, bottom), value=value)


def _convolve(
    x: Tensor, weight: Tensor, pad_type: str = "valid", bias: Tensor | None = None, pad: Any = None, **options: Any
) -> Tensor:
    padded = _pad(x, pad_type, pad, 0.0)
    names = {"strides": "stride", "dilations": "dilation", "groups": "groups"}
    return functional.conv2d(padded, weight, bias, **{names[name]: value for name, value in options.items()})


def _normalize(x: Tensor, axes: list[int], gamma: Tensor, beta: Tensor, epsilon: float) -> Tensor:
    if axes != [-1]:
        raise ExportError(f"The axes {axes} of a norm of Core ML cannot be compared with PyTorch.")
    return functional.layer_norm(x, gamma.shape, gamma, beta, epsilon)


def _slice(
    x: Tensor,
    begin: list[int],
    end: list[int],
    stride: list[int] | None = None,
    begin_mask: list[bool] | None = None,
    end_mask: list[bool] | None = None,
    squeeze_mask: list[bool] | None = None,
) -> Tensor:
    parts: list[Any] = []
    for axis, (low, high) in enumerate(zip(begin, end)):
        if squeeze_mask and squeeze_mask[axis]:
            parts.append(low)
            continue
        start = None if begin_mask and begin_mask[axis] else low
        stop = None if end_mask and end_mask[axis] else high
        parts.append(slice(start, stop, stride[axis] if stride else 1))
    return x[tuple(parts)]


_OPERATORS: dict[str, Callable[..., Any]] = {
    "add": lambda x, y: x + y,
    "cast": lambda x, dtype: x.to({"fp16": torch.half, "fp32": torch.float, "int32": torch.int32}[dtype]),
    "clip": lambda x, alpha, beta: x.clamp(alpha, beta),
    "concat": lambda values, axis, interleave=False: torch.cat(values, dim=axis),
    "conv": _convolve,
    "cos": lambda x: x.cos(),
    "exp": lambda x: x.exp(),
    "expand_dims": lambda x, axes: x.unsqueeze(*axes),
    "gather": lambda x, indices, axis=0, **_: x.index_select(axis, torch.as_tensor(indices).flatten()),
    "gather_along_axis": lambda x, indices, axis=0, **_: x.gather(axis, indices.long()),
    "gelu": lambda x, mode="EXACT": functional.gelu(x, approximate="none" if mode == "EXACT" else "tanh"),
    "layer_norm": _normalize,
    "linear": lambda x, weight, bias=None: functional.linear(x, weight, bias),
    "matmul": lambda x, y, transpose_x=False, transpose_y=False: (
        (x.mT if transpose_x else x) @ (y.mT if transpose_y else y)
    ),
    "max_pool": lambda x, kernel_sizes, strides, pad_type, pad, **_: functional.max_pool2d(
        _pad(x, pad_type, pad, -math.inf), kernel_sizes, strides
    ),
    "mul": lambda x, y: x * y,
    "real_div": lambda x, y: x / y,
    "reduce_argmax": lambda x, axis, keep_dims, **_: x.argmax(dim=axis, keepdim=keep_dims),
    "reduce_l2_norm": lambda x, axes, keep_dims: x.square().sum(dim=axes, keepdim=keep_dims).sqrt(),
    "reduce_max": lambda x, axes, keep_dims: x.amax(dim=axes, keepdim=keep_dims),
    "reduce_sum": lambda x, axes, keep_dims: x.sum(dim=axes, keepdim=keep_dims),
    "relu": lambda x: x.relu(),
    "reshape": lambda x, shape: x.reshape(shape),
    "sigmoid": lambda x: x.sigmoid(),
    "silu": lambda x: x * x.sigmoid(),
    "sin": lambda x: x.sin(),
    "slice_by_index": _slice,
    "softmax": lambda x, axis=-1: x.softmax(dim=axis),
    "split": lambda x, axis, split_sizes: x.split(split_sizes, dim=axis),
    "square": lambda x: x.square(),
    "squeeze": lambda x, axes: x.squeeze(*axes),
    "stack": lambda values, axis: torch.stack(values, dim=axis),
    "sub": lambda x, y: x - y,
    "tile": lambda x, reps: x.tile(reps),
    "topk": lambda x, k, axis, ascending, sort, **_: x.topk(k, dim=axis, largest=not ascending, sorted=sort),
    "transpose": lambda x, perm: x.permute(perm),
    "upsample_nearest_neighbor": lambda x, scale_factor_height, scale_factor_width: functional.interpolate(
        x, scale_factor=(scale_factor_height, scale_factor_width), mode="nearest"
    ),
}
