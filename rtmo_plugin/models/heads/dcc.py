"""The Dynamic Coordinate Classifier: pose vectors and boxes in, distributions of keypoints out.

          pose vector (D)                        box x 1.25, X or Y bins
               |                                          |
          K keypoint features (F)                 coordinate of each bin
               |                                  relative to the prior
       gated attention between keypoints                  |
               |                                    sine encoding (E)
          projection F -> E                               |
               |__________________ dot product ___________|
                                       |
                               softmax over the bins

Paper (arXiv 2312.07526), section 3.2.  There the encodings are projected, E -> F, before the dot
product.  (k, W e + b) = (W^T k, e) + (k, b), and the softmax over the bins ignores (k, b), which no
bin changes: projecting the K keypoints instead of the X + Y encodings gives the same distribution,
and so does encoding an eighth of the bins alone (``match_bins``): 3.7 million multiplications a person
instead of 11, and an eighth of the sines.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
from mmcv.cnn import Scale
from mmengine.model import BaseModule
from torch import Tensor, nn

from rtmo_plugin.models.layers.blocks import apply_in_blocks
from rtmo_plugin.models.layers.gau import GatedAttentionUnit
from rtmo_plugin.models.layers.norm import PersonBatchNorm1d
from rtmo_plugin.ops.encoding import match_bins
from rtmo_plugin.ops.geometry import allocate_bins, get_centers_and_sizes
from rtmo_plugin.registry import MODELS
from rtmo_plugin.structures import CoordinateDistribution


@MODELS.register_module(name=["DynamicCoordinateClassifier", "DCC"])
class DynamicCoordinateClassifier(BaseModule):
    """Classify each keypoint's x and y over bins that follow the predicted box.

    Args:
        num_keypoints: K.
        in_channels: D, width of the pose vectors.
        feat_channels: F, width of a keypoint's features.
        num_bins: Number of bins in x and in y.
        encoding_channels: E, width of a bin's sine encoding.
        temperature: Longest period of the sine encoding is about 2 pi times this, in pixels.
        attention_channels: Width of the gated attention's queries and keys; 0 leaves the attention
            out, for ablation.
        expansion: Width of the gated attention's values, relative to F.
        box_padding: The bins cover this times the box.
        bin_layout: ``"dynamic"``: over the padded box; ``"image"``: over the whole input, for ablation.
        bin_encoding: ``"sine"``: of the bin's coordinate; ``"learned"``: one vector per bin, whatever
            its coordinate, for ablation.
        initial_gain: Scales the initial weights that match keypoints with bins. At 1, as in MMPose 1.3,
            training starts from random spikes, and the steep sines send noise into the boxes; well
            below 1 it starts from even distributions, which matters where training is short.

    Raises:
        ValueError: An unknown layout or encoding, or fewer than two bins.
    """

    def __init__(  # noqa: PLR0913  (the schema of a config: every field has a default)
        self,
        *,
        num_keypoints: int,
        in_channels: int,
        feat_channels: int = 128,
        num_bins: tuple[int, int] = (192, 256),
        encoding_channels: int = 128,
        temperature: float = 300.0,
        attention_channels: int = 128,
        expansion: int = 2,
        box_padding: float = 1.25,
        bin_layout: str = "dynamic",
        bin_encoding: str = "sine",
        initial_gain: float = 1.0,
    ) -> None:
        super().__init__()
        if bin_layout not in ("dynamic", "image"):
            raise ValueError(f"bin_layout is 'dynamic' or 'image', got {bin_layout!r}.")
        if bin_encoding not in ("sine", "learned"):
            raise ValueError(f"bin_encoding is 'sine' or 'learned', got {bin_encoding!r}.")
        if min(num_bins) < 2:
            raise ValueError(f"A coordinate needs at least two bins, got num_bins={tuple(num_bins)}.")
        self.num_keypoints, self.feat_channels = num_keypoints, feat_channels
        self.num_bins, self.temperature = tuple(num_bins), temperature
        self.box_padding, self.bin_layout, self.bin_encoding = box_padding, bin_layout, bin_encoding
        self.has_attention = attention_channels > 0
        if self.has_attention:
            self.gau = GatedAttentionUnit(feat_channels, attention_channels, expansion)
            self.pos_enc = nn.Parameter(torch.randn(num_keypoints, attention_channels))
        num_features = num_keypoints * feat_channels
        self.pose_to_kpts = nn.Sequential(nn.Linear(in_channels, num_features), PersonBatchNorm1d(num_features))
        self.x_fc = nn.Linear(encoding_channels, feat_channels)
        self.y_fc = nn.Linear(encoding_channels, feat_channels)
        for fc in (self.x_fc, self.y_fc):
            fc.weight.data.mul_(initial_gain)
            fc.bias.requires_grad_(False)  # cannot change a distribution; kept for the checkpoints' sake
        self.sigma_fc = nn.Sequential(nn.Linear(in_channels, num_keypoints), nn.Sigmoid(), Scale(0.1))
        if bin_encoding == "learned":
            self.x_encodings = nn.Parameter(torch.randn(num_bins[0], encoding_channels))
            self.y_encodings = nn.Parameter(torch.randn(num_bins[1], encoding_channels))

    def forward(
        self, pose_vectors: Tensor, boxes: Tensor, prior_centers: Tensor, size_wh: tuple[int, int] | None = None
    ) -> CoordinateDistribution:
        """Locate the keypoints of N people.

        Args:
            pose_vectors: (N, D).
            boxes: (N, 4) predicted x1, y1, x2, y2 in pixels, not padded.
            prior_centers: (N, 2) pixels.
            size_wh: Width and height of the input in pixels; only ``bin_layout="image"`` needs them.

        Returns:
            Distributions over (N, K, X) and (N, K, Y) bins, and their expectation.

        Raises:
            ValueError: ``bin_layout="image"`` and no ``size_wh``.
        """
        centers, sizes = self._place_bins(boxes, size_wh)
        features = self.compute_keypoint_features(pose_vectors)
        with torch.autocast(pose_vectors.device.type, enabled=False):
            features = features.to(boxes.dtype)
            sides = [self._classify(axis, features, centers, sizes, prior_centers) for axis in (0, 1)]
            expectation = torch.stack([(probs * bins[:, None]).sum(dim=-1) for probs, bins in sides], dim=-1)
        sigmas = self._run(self.sigma_fc, pose_vectors).to(boxes.dtype)
        (probs_x, bins_x), (probs_y, bins_y) = sides
        return CoordinateDistribution(probs_x, probs_y, bins_x, bins_y, sigmas, expectation)

    def compute_keypoint_features(self, pose_vectors: Tensor) -> Tensor:
        """Turn (N, D) pose vectors into (N, K, F) features that know of each other."""
        linear, norm = self.pose_to_kpts
        features = norm(self._run(linear, pose_vectors)).reshape(-1, self.num_keypoints, self.feat_channels)
        return self._run(partial(self.gau, position=self.pos_enc), features) if self.has_attention else features

    def _run(self, function: Callable[[Tensor], Tensor], people: Tensor) -> Tensor:
        """Apply a function to (N, ...) people; in training to a whole number of blocks."""
        return apply_in_blocks(function, people) if self.training else function(people)

    def _place_bins(self, boxes: Tensor, size_wh: tuple[int, int] | None) -> tuple[Tensor, Tensor]:
        """Return (N, 2) middles and (N, 2) lengths of the intervals that the bins cover."""
        if self.bin_layout == "dynamic":
            centers, sizes = get_centers_and_sizes(boxes)
            return centers, sizes * self.box_padding
        if size_wh is None:
            raise ValueError("Bins over the whole image need its size: pass size_wh.")
        # Not from numbers in Python's memory, whose copy a CUDA graph cannot contain.
        sizes = torch.stack([torch.full_like(boxes[:, 0], side) for side in size_wh], dim=-1)
        return sizes / 2, sizes

    def _classify(
        self, axis: int, features: Tensor, centers: Tensor, sizes: Tensor, prior_centers: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Return (N, K, X) probabilities and (N, X) coordinates of the bins along one axis."""
        center, size, num_bins = centers[:, axis], sizes[:, axis], self.num_bins[axis]
        queries = features @ (self.x_fc, self.y_fc)[axis].weight.to(features.dtype)
        if self.bin_encoding == "learned":
            logits = queries @ (self.x_encodings, self.y_encodings)[axis].to(queries.dtype).T
        else:
            # relative to the prior: absolute coordinates would lose digits where the sines are steep
            logits = match_bins(queries, center - prior_centers[:, axis], size, num_bins, self.temperature)
        return logits.softmax(dim=-1), allocate_bins(center, size, num_bins)
