"""Everything from the pixels of images to people in these images, in arrays of fixed sizes.

    pixels ─ letterbox ─ network ─ best priors ─ NMS in rounds ─ DCC of the kept ones ─ pixels of the images

No operator has a shape that depends on numbers, and nothing is read back on the way, so that all of it can be recorded
as a CUDA graph. What does not fit into the arrays is reported, see ``GraphProblem``.

Shape letters as in ``rtmo_plugin.structures``; N here are the bytes of the images, and M is the capacity for people.
"""

from __future__ import annotations

from enum import IntFlag

import torch
from torch import Tensor, nn

from rtmo_plugin.export.export_options import ExportOptions
from rtmo_plugin.export.graphs import DecodedGraph
from rtmo_plugin.models.heads.dense import PriorCache, decode_dense
from rtmo_plugin.models.heads.rtmo_head import find_size_wh
from rtmo_plugin.models.heads.rtmo_head_module import RawMaps
from rtmo_plugin.ops.interpolation import interpolate_pixels
from rtmo_plugin.ops.nms import apply_nms_in_rounds
from rtmo_plugin.runtime.letterbox_samples import NUM_PLACEMENT

NUM_CANDIDATES = 512  # priors of an image that enter NMS, of 2,000 in 640 x 640 pixels
MAX_PEOPLE = 100
_NUM_ROUNDS = 12
NUM_COUNTS = 2  # first numbers of a result: of people, and of the problem


class GraphProblem(IntFlag):
    """Reason why the people of an image are not those that the model finds; several may apply."""

    MANY_CANDIDATES = 1
    LONG_CHAINS = 2
    MANY_PEOPLE = 4
    NOT_FINITE = 8

    def explain(self) -> str:
        """Return the first reason as the end of a sentence."""
        return {
            GraphProblem.NOT_FINITE: "numbers are not finite",
            GraphProblem.MANY_CANDIDATES: f"more than {NUM_CANDIDATES} priors are above the threshold",
            GraphProblem.LONG_CHAINS: f"NMS takes more than {_NUM_ROUNDS} rounds",
            GraphProblem.MANY_PEOPLE: f"there are more than {MAX_PEOPLE} people",
        }[next(each for each in reversed(GraphProblem) if each in self)]


class PeopleGraph(DecodedGraph):
    """Images in memory to their people.

    Args:
        model: Estimator with our head, in eval mode.
        options: Size of the input, thresholds, and whether there are standard deviations.
        dtype: Type in which convolutions and attention compute; letterbox, boxes and keypoints are float32.
        pad_value: BGR color around an image.
        nms_pre: Number of the best priors that enter NMS. Default: all above the threshold.
    """

    fill: Tensor

    def __init__(
        self,
        model: nn.Module,
        options: ExportOptions,
        *,
        dtype: torch.dtype = torch.float32,
        pad_value: tuple[int, int, int] = (114, 114, 114),
        nms_pre: int | None = None,
    ) -> None:
        super().__init__(model, options)
        self.set_precision(dtype)
        self.size_wh, self.nms_pre = options.size_wh, nms_pre
        self.score_thr, self.nms_thr = options.score_thr, options.nms_thr
        self.num_candidates, self.max_people = self.top_k, min(options.max_people, self.top_k)
        self.register_buffer("fill", torch.tensor(pad_value, dtype=torch.float32), persistent=False)
        self._priors: PriorCache = {}

    @property
    def num_values(self) -> int:
        """Number of values of a person: box, score, label, keypoints with scores, and deviations."""
        return 6 + int(self.head.dcc.num_keypoints) * (5 if self.has_uncertainty else 3)

    def forward(  # type: ignore[override]  # images of any sizes
        self, pixels: Tensor, numbers: Tensor
    ) -> tuple[Tensor, ...]:
        """Find the people in B images.

        Args:
            pixels: (N,) bytes of all images, BGR, row by row.
            numbers: (B, L) int32, ``describe_letterbox`` of each image, with offsets from the start of ``pixels``.

        Returns:
            (B, ``NUM_COUNTS`` + M x ``num_values``): the number of people, ``GraphProblem``, and the people, best
            first, in pixels of their images, padded with zeros; every eighth pixel of the letterboxes; and the head's
            maps, level by level.
        """
        images = self.make_input(pixels, numbers)
        maps = self.compute_maps(images)
        return (self.find_people(maps, numbers), thin_out(images), *(each for levels in maps for each in levels))

    def make_input(self, pixels: Tensor, numbers: Tensor) -> Tensor:
        """Return the letterboxes (B, H, W, 3) of the images, arguments as in ``forward``."""
        width, height = self.size_wh
        sides = [2 * height, 2 * width]
        parts = torch.split(numbers[:, :-NUM_PLACEMENT], [*sides, *sides], dim=1)
        rows, columns, *shares = (torch.unflatten(each, 1, (2, -1)) for each in parts)
        return interpolate_pixels(pixels, (rows, columns), (shares[0], shares[1]), self.fill)

    def find_people(self, maps: RawMaps, numbers: Tensor) -> Tensor:
        """Return the first of the results of ``forward`` for the head's maps."""
        predictions = decode_dense(maps, self.head.strides, self._priors)
        size_wh = find_size_wh(maps.class_logits, self.head.strides)
        scores, labels = predictions.class_logits.sigmoid().max(dim=-1)
        # Stable, so that of equal scores the first prior is the best one, as in select_priors.
        ranked, order = scores.sort(dim=1, descending=True, stable=True)
        best, candidates = ranked[:, : self.num_candidates], order[:, : self.num_candidates]
        num_above = (scores > self.score_thr).sum(dim=1)
        is_candidate = (best > self.score_thr)[:, : self.nms_pre]
        is_candidate = nn.functional.pad(is_candidate, (0, best.shape[1] - is_candidate.shape[1]))
        boxes = predictions.boxes.gather(1, candidates[..., None].expand(-1, -1, 4))
        is_kept, is_settled = apply_nms_in_rounds(boxes, is_candidate, self.nms_thr, _NUM_ROUNDS)
        rows, is_person = _take_first(is_kept, self.max_people)
        priors = candidates.gather(1, rows)
        dets, keypoints, *deviations = self.describe(predictions, best.gather(1, rows), priors, size_wh)
        people = self._restore(dets, labels.gather(1, priors), keypoints, deviations, numbers)
        people = people.masked_fill(~is_person[..., None], 0.0)
        num_people = is_kept.sum(dim=1)
        num_needed = num_above if self.nms_pre is None else num_above.clamp(max=self.nms_pre)
        is_finite = predictions.class_logits.isfinite().all(dim=2).all(dim=1) & people.isfinite().all(dim=2).all(dim=1)
        problem = (
            (num_needed > self.num_candidates) * GraphProblem.MANY_CANDIDATES.value
            + ~is_settled * GraphProblem.LONG_CHAINS.value
            + (num_people > self.max_people) * GraphProblem.MANY_PEOPLE.value
            + ~is_finite * GraphProblem.NOT_FINITE.value
        )
        return torch.cat([torch.stack([num_people, problem], dim=1).float(), people.flatten(1)], dim=1)

    def _restore(
        self, dets: Tensor, labels: Tensor, keypoints: Tensor, deviations: list[Tensor], numbers: Tensor
    ) -> Tensor:
        """Return (B, M, ``num_values``) people in pixels of their images, with boxes clipped to the input."""
        placement = numbers[:, -NUM_PLACEMENT:].view(torch.float32)[:, None, None]  # (B, 1, 1, 4)
        scale, corner = placement[..., :2], placement[..., 2:]
        corners = torch.stack([dets[..., axis : axis + 3 : 2].clamp(0, self.size_wh[axis]) for axis in (0, 1)], dim=-1)
        points = torch.cat([keypoints[..., :2] * scale + corner, keypoints[..., 2:]], dim=-1)
        values = [(corners * scale + corner).flatten(2), dets[..., 4:], labels[..., None].float(), points.flatten(2)]
        return torch.cat([*values, *((each * scale).flatten(2) for each in deviations)], dim=-1)


def thin_out(images: Tensor) -> Tensor:
    """Return every eighth pixel of (B, H, W, 3) images, which shows what a network was given."""
    return images[:, ::8, ::8].clone()


def _take_first(is_taken: Tensor, number: int) -> tuple[Tensor, Tensor]:
    """Return the places (B, ``number``) of the first true values of (B, N), and which of these places hold any."""
    size = is_taken.shape[1]
    order = torch.arange(size, 0, -1, device=is_taken.device)
    values, places = (is_taken * order).topk(number, dim=1)
    return places, values > 0
