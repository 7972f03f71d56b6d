"""Half precision in OpenVINO for most layers, and float32 for those that locate keypoints.

A bfloat16 has eight binary digits: a coordinate of 400 pixels is off by one.  So the pose branch of the
head and all that comes after it, decoding, NMS and DCC, are a second network, in float32.  OpenVINO
would be told so by marks on its layers, but it replaces many of those with others that have no marks.
Within the first network the layers are marked whose rounding the keypoints feel most; convolutions
keep their marks.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

import openvino
from numpy.typing import NDArray
from openvino import opset8

_CONVOLUTIONS = ("Convolution", "GroupConvolution")
_NOT_COMPUTED = ("Constant", "Parameter", "Result")
_SECOND = re.compile(r"/(conv_pose|out_cls|out_bbox|out_kpt_vis|out_pose)\.\d")
_EXACT = re.compile(r"/backbone/stem/|/neck/(pan_blocks|projector)")
# OpenVINO's attribute for a layer that keeps its precision, which Python can copy but not make.
_MARKED = """<net name="marked" version="11"><layers>
<layer id="0" name="input" type="Parameter" version="opset1"><data shape="1" element_type="f32"/>
<output><port id="0" precision="FP32"><dim>1</dim></port></output></layer>
<layer id="1" name="marked" type="ReLU" version="opset1"><rt_info><attribute name="precise" version="0"/></rt_info>
<input><port id="0" precision="FP32"><dim>1</dim></port></input>
<output><port id="1" precision="FP32"><dim>1</dim></port></output></layer>
<layer id="2" name="output" type="Result" version="opset1">
<input><port id="0" precision="FP32"><dim>1</dim></port></input></layer></layers>
<edges><edge from-layer="0" from-port="0" to-layer="1" to-port="0"/>
<edge from-layer="1" from-port="1" to-layer="2" to-port="0"/></edges></net>"""


def compile_mixed(
    model: Any, core: Any, compile_model: Callable[[Any, str], Any], precision: str
) -> Callable[[], MixedNetwork]:
    """Compile a model as two networks, the first in half precision.

    Args:
        model: Model of OpenVINO; it is taken apart.
        core: The core of OpenVINO.
        compile_model: Function that compiles a model in a precision by OpenVINO's name, such as ``"bf16"``.
        precision: Precision of the first network.

    Returns:
        A function that makes a ``MixedNetwork``, one for each stream.
    """
    first, second = split(model)
    mark_exact(first, core)
    both = compile_model(first, precision), compile_model(second, "f32")
    return lambda: MixedNetwork(*(each.create_infer_request() for each in both))


class MixedNetwork:
    """Two networks as one.

    Args:
        first: Inference request of OpenVINO.
        second: Inference request that takes the outputs of the first, in order.
    """

    def __init__(self, first: Any, second: Any) -> None:
        self._first, self._second = first, second

    def __call__(self, images: NDArray[Any]) -> list[NDArray[Any]]:
        """Return the model's outputs for a batch of images."""
        self._first.infer([images], share_inputs=True)
        for index, tensor in enumerate(self._first.output_tensors):
            self._second.set_input_tensor(index, tensor)
        self._second.infer()
        return [tensor.data.copy() for tensor in self._second.output_tensors]


def is_divisible(model: Any) -> bool:
    """Tell whether a model has the layers where ``split`` divides it."""
    return any(map(_is_second, model.get_ops()))


def split(model: Any) -> tuple[Any, Any]:
    """Return what comes before the head's pose branch and last convolutions, and these and the rest.

    ``model`` is taken apart.  The second takes what the first returns, in order.
    """
    fed: set[str] = set()  # names of what depends on the input
    after: set[str] = set()  # and of what the second network does
    crossings: dict[tuple[str, int], tuple[Any, list[Any]]] = {}
    for node in model.get_ordered_ops():
        name, sources = node.get_friendly_name(), [each.get_source_output() for each in node.inputs()]
        before = [source.get_node().get_friendly_name() for source in sources]
        if node.get_type_name() == "Parameter" or fed.intersection(before):
            fed.add(name)
        if not _is_second(node) and not after.intersection(before):
            continue
        after.add(name)
        for port, source, source_name in zip(node.inputs(), sources, before):
            if source_name in fed - after:
                crossings.setdefault((source_name, source.get_index()), (source, []))[1].append(port)
    return _cut(model, crossings)


def _cut(model: Any, crossings: Mapping[Any, tuple[Any, list[Any]]]) -> tuple[Any, Any]:
    """Return two models for one, which is cut between outputs and the inputs that take them."""
    inputs, results = [], []
    for output, ports in crossings.values():
        parameter = opset8.parameter(output.get_partial_shape(), output.get_element_type())
        for port in ports:
            port.replace_source_output(parameter.output(0))
        inputs.append(parameter)
        results.append(opset8.result(output))
    return openvino.Model(results, model.get_parameters()), openvino.Model(model.get_results(), inputs)


def mark_exact(model: Any, core: Any) -> None:
    """Mark, in ``model``, the layers that stay in float32."""
    (example,) = (each for each in core.read_model(_MARKED.encode()).get_ops() if each.get_friendly_name() == "marked")
    marks = example.get_rt_info()  # one, by the name that this version of OpenVINO gives it
    for node in model.get_ops():
        if node.get_type_name() not in _NOT_COMPUTED and _EXACT.search(node.get_friendly_name()):
            for name in marks:
                node.set_rt_info(marks[name], name)


def _is_second(node: Any) -> bool:
    return node.get_type_name() in _CONVOLUTIONS and _SECOND.search(node.get_friendly_name()) is not None
