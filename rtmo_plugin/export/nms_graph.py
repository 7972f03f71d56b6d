"""Select people inside of an exported graph: NMS, and the kept priors of each image as rows.

In PyTorch a selection is a list of indices, as many as there are people.  A file has one array for a
batch: as many rows as the image with the most people needs, at least one, best first.  Rows of score 0
are padding.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from rtmo_plugin.ops.nms import apply_nms

_AXES_ARE_INPUTS = 13  # the opset from which on ReduceSum and Unsqueeze take their axes as an input
_FLOAT, _INT64 = 1, 7  # ONNX's numbers of data types


class SelectPeople(torch.autograd.Function):
    """The priors that are people, as one operator to PyTorch's tracer and standard operators in ONNX."""

    @staticmethod
    def forward(
        ctx: Any, boxes: Tensor, scores: Tensor, score_thr: Tensor, nms_thr: Tensor, max_people: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Select.

        Args:
            ctx: Context of autograd.
            boxes: Boxes (B, P, 4), x1, y1, x2, y2.
            scores: Scores (B, P).
            score_thr: Score (1,) that people must exceed.
            nms_thr: IoU (1,) above which two boxes are the same person.
            max_people: Largest number of people per image, (1,).

        Returns:
            Scores (B, N), best first, 0 in rows of padding, and priors (B, N); N is at least 1.
        """
        each = []
        for image_boxes, image_scores in zip(boxes, scores):
            above = (image_scores > float(score_thr)).nonzero()[:, 0]
            kept = above[apply_nms(image_boxes[above], image_scores[above], float(nms_thr))]
            each.append(kept[: int(max_people)])
        num_rows = max(1, *map(len, each))
        priors = torch.stack([torch.nn.functional.pad(prior, (0, num_rows - len(prior))) for prior in each])
        is_person = torch.arange(num_rows) < torch.tensor([[len(prior)] for prior in each])
        return scores.gather(1, priors) * is_person.to(scores), priors

    @staticmethod
    def symbolic(g: Any, boxes: Any, scores: Any, score_thr: Any, nms_thr: Any, max_people: Any) -> tuple[Any, Any]:
        """Write the same as operators of opset 11 or newer."""

        def ints(*values: int) -> Any:
            return g.op("Constant", value_t=torch.tensor(values))

        takes_axes = g.opset >= _AXES_ARE_INPUTS
        by_class = g.op("Unsqueeze", scores, ints(1)) if takes_axes else g.op("Unsqueeze", scores, axes_i=[1])
        # (S, 3) image, class, prior
        kept = g.op("NonMaxSuppression", boxes, by_class, max_people, nms_thr, score_thr)
        where = g.op("Gather", kept, ints(0, 2), axis_i=1)
        values = g.op("GatherND", scores, where)
        nothing = g.op("Mul", scores, g.op("Constant", value_t=torch.zeros(1)))
        kept_scores = g.op("ScatterND", nothing, where, values)
        # Counted in float32: before opset 12, Max has no whole numbers.
        is_kept = g.op("Cast", g.op("Greater", kept_scores, g.op("Constant", value_t=torch.zeros(1))), to_i=_FLOAT)
        by_image = (is_kept, ints(1)) if takes_axes else (is_kept,)
        counts = g.op("ReduceSum", *by_image, keepdims_i=0, **({} if takes_axes else {"axes_i": [1]}))
        most = g.op("Max", g.op("ReduceMax", counts, keepdims_i=1), g.op("Constant", value_t=torch.ones(1)))
        num_rows = g.op("Cast", most, to_i=_INT64)
        best, priors = g.op("TopK", kept_scores, num_rows, axis_i=1, largest_i=1, sorted_i=1, outputs=2)
        shaped = scores.type().with_sizes([None, None])
        best.setType(shaped)
        priors.setType(shaped.with_dtype(torch.int64))
        return best, priors


select_rows: Callable[..., tuple[Tensor, Tensor]] = SelectPeople.apply
