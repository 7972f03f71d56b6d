"""Copy-paste: people of another image, pasted into a sample."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from mmcv.transforms import BaseTransform

from rtmo_plugin.data.transforms.collage import Collage, find_fit
from rtmo_plugin.data.transforms.covering import find_labeled, hide_keypoints
from rtmo_plugin.data.transforms.global_rng import coin_flip, draw_integer, draw_order, draw_uniform
from rtmo_plugin.data.transforms.mix_sampler import MixSampler
from rtmo_plugin.data.transforms.person_cutouts import Cutout, View, cut_out, list_pasteable
from rtmo_plugin.data.transforms.person_labels import clip_people, join_people
from rtmo_plugin.errors import ConfigError
from rtmo_plugin.number_ranges import COUNT, FRACTION
from rtmo_plugin.registry import TRANSFORMS

_NUM_TRIES = 4  # places for a person
_LEAST_INSIDE = 0.5  # of the labeled keypoints of a pasted person


@TRANSFORMS.register_module()
class CopyPaste(BaseTransform):
    """Paste labeled people of another image of the dataset at random places (Ghiasi et al., arXiv 2012.07177).

    A person is cut out along the segmentation of the annotation; without one, along the convex hull of the labeled
    keypoints with a margin, within the box, with soft edges. People without labels and crowds are not pasted.  At least
    half of the labeled keypoints lie in the image, and no person who is there loses more than ``max_covered`` of the
    labeled ones: after four places without success the person is left out.  Covered keypoints stay labeled, as
    hidden (``covering``). Boxes and areas of pasted people are scaled like their pixels.

    Args:
        ratio_range: Smallest and largest scale, relative to the scale at which the other image fits into the sample.
        flip_ratio: Probability that the people are mirrored.
        max_people: Largest number of people to paste; the number is drawn from 1 to it.
        max_covered: Largest share of a person's labeled keypoints that a pasted person may cover.
        pre_transform: Configs of the transforms that load the other image. Default: ``rtmo_plugin.LoadImage``.
        prob: Probability of pasting.

    Raises:
        ConfigError: A value is outside its range.
    """

    num_aux_image = 1

    def __init__(
        self,
        ratio_range: tuple[float, float] = (0.6, 1.4),
        flip_ratio: float = 0.5,
        max_people: int = 3,
        max_covered: float = 0.5,
        pre_transform: Sequence[Mapping[str, Any]] | None = None,
        prob: float = 0.5,
    ) -> None:
        if not 0 < ratio_range[0] <= ratio_range[1]:
            raise ConfigError(
                f"ratio_range of CopyPaste must be two positive numbers, the smaller first, got {ratio_range}."
            )
        COUNT.check("max_people", max_people)
        FRACTION.check("flip_ratio", flip_ratio)
        FRACTION.check("max_covered", max_covered)
        self.ratio_range, self.flip_ratio = tuple(ratio_range), flip_ratio
        self.max_people, self.max_covered = max_people, max_covered
        self.mix_sampler = MixSampler(pre_transform, prob, self.num_aux_image)
        self.pre_transform, self.prob = self.mix_sampler.load, prob

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Return the record with people of another image, or unchanged (see ``prob``).

        Args:
            results: Record with ``dataset``, and ``img`` of (H, W, 3) uint8.

        Raises:
            ConfigError: ``img`` is a mosaic that is not drawn yet.
        """
        if not self.mix_sampler.should_mix():
            return results
        return self.apply_mix({**results, "mixed_data_list": self.mix_sampler.draw(results["dataset"])})

    def apply_mix(self, results: dict[str, Any]) -> dict[str, Any]:
        """Return the record with people of another image.

        Args:
            results: Record with ``img`` of (H, W, 3) uint8, and with one other record in ``mixed_data_list``.

        Raises:
            ConfigError: ``img`` is a mosaic that is not drawn yet.
        """
        results = dict(results)
        (other,) = results.pop("mixed_data_list")
        if isinstance(results["img"], Collage):
            raise ConfigError("CopyPaste needs pixels: put it after BottomupRandomAffine, which draws the mosaic.")
        candidates = list_pasteable(other)
        if not candidates:
            return results
        other = other if "img" in other else self.mix_sampler.load(other)
        results["img"] = results["img"].copy()
        fit = find_fit(other["img"], results["img"].shape[1::-1])
        is_flipped = coin_flip(self.flip_ratio)
        number = 1 + draw_integer(self.max_people)
        for place in draw_order(len(candidates))[:number]:
            cutout = cut_out(other, candidates[place])
            if cutout is not None:
                self._paste(results, cutout.flip(other["flip_indices"]) if is_flipped else cutout, fit)
        return results

    def _paste(self, results: dict[str, Any], cutout: Cutout, fit: float) -> None:
        """Paste a person into a record in place, if one of a few places is right for that."""
        size_wh = results["img"].shape[1::-1]
        for _ in range(_NUM_TRIES):
            view = self._draw_view(cutout, fit, size_wh)
            if view is None:
                continue
            pasted = clip_people(view.labels, size_wh)
            before, after = (find_labeled(each["keypoints_visible"]).sum() for each in (view.labels, pasted))
            hidden = hide_keypoints(results, view.alpha, view.corner_xy, self.max_covered)
            if after >= _LEAST_INSIDE * before and hidden is not None:
                view.paste(results["img"])
                results.update(join_people([{**results, **hidden}, pasted]))
                return

    def _draw_view(self, cutout: Cutout, fit: float, size_wh: Sequence[int]) -> View | None:
        """Return a person at a random scale, with the middle of the box at a random place."""
        scale = fit * draw_uniform(*self.ratio_range)
        left, top, right, bottom = cutout.labels["bbox"][0]
        middle = np.array([left + right, top + bottom]) / 2
        place = np.array([draw_uniform(0, size) for size in size_wh])
        matrix = np.diag([scale, scale, 1.0])
        matrix[:2, 2] = place - scale * middle
        return cutout.draw(matrix, size_wh)

    def __repr__(self) -> str:
        return f"{type(self).__name__}(ratio_range={self.ratio_range}, max_people={self.max_people}, prob={self.prob})"
