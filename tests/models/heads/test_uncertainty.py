"""Standard deviations of keypoints are those of the mixture of Laplace densities that training fits."""

import pytest
import torch

from rtmo_plugin.models.heads.uncertainty import compute_deviations
from rtmo_plugin.models.losses.coordinates import MLECCLoss
from rtmo_plugin.structures import CoordinateDistribution

BOX = torch.tensor([[10.0, 20.0, 110.0, 220.0]])
AREA = 0.53 * 100 * 200


def make_distribution(sigma, num_bins=64, seed=0):
    generator = torch.Generator().manual_seed(seed)
    probs_x, probs_y = (torch.randn(1, 2, num_bins, generator=generator).mul(2).softmax(-1).double() for _ in range(2))
    bins_x = torch.linspace(0, 120, num_bins).double()[None]
    bins_y = torch.linspace(0, 240, num_bins).double()[None]
    means = torch.stack([(probs_x * bins_x[:, None]).sum(-1), (probs_y * bins_y[:, None]).sum(-1)], dim=-1)
    return CoordinateDistribution(probs_x, probs_y, bins_x, bins_y, torch.full((1, 2), sigma).double(), means)


@pytest.mark.parametrize("sigma", [0.005, 0.05])
def test_variance_is_that_of_the_likelihood_which_the_loss_computes(sigma):
    distribution = make_distribution(sigma)
    labels = torch.linspace(-2000, 2200, 400_001).double()
    scale = 2 * sigma * AREA**0.5
    for keypoint in range(2):
        density = sum(
            prob * torch.exp(-(labels - place).abs() / scale)
            for prob, place in zip(distribution.probs_x[0, keypoint], distribution.bins_x[0])
        )
        density /= density.sum()
        mean = (density * labels).sum()
        deviation = (density * (labels - mean).square()).sum().sqrt()
        found = compute_deviations(distribution, BOX.double())[0, keypoint, 0]
        torch.testing.assert_close(found, deviation, rtol=1e-4, atol=1e-4)


def test_density_is_the_one_of_the_loss():
    distribution, visible, areas = make_distribution(0.05), torch.ones(1, 2).double(), torch.tensor([AREA]).double()
    labels = torch.tensor([[[50.0, 100.0], [60.0, 90.0]]]).double()
    scale = 2 * 0.05 * AREA**0.5
    likelihood = 1.0
    for axis, (probs, bins) in enumerate(
        ((distribution.probs_x, distribution.bins_x), (distribution.probs_y, distribution.bins_y))
    ):
        density = torch.exp(-(labels[..., axis, None] - bins[:, None]).abs() / scale) / 0.05
        likelihood = likelihood * (probs * density).sum(-1)
    loss = MLECCLoss()(distribution, labels, visible, areas)
    torch.testing.assert_close(loss, -torch.log(likelihood + 1e-4).mean())


def test_it_grows_with_sigma_and_with_the_spread_of_the_bins_and_scales_with_the_image():
    small, large = (compute_deviations(make_distribution(sigma), BOX.double()) for sigma in (0.01, 0.05))
    assert (large > small).all()
    narrow = make_distribution(0.01)
    wide = CoordinateDistribution(
        narrow.probs_x, narrow.probs_y, narrow.bins_x * 3, narrow.bins_y * 3, narrow.sigmas, narrow.keypoints * 3
    )
    torch.testing.assert_close(compute_deviations(wide, BOX.double() * 3), 3 * small)


def test_nobody_has_none():
    probs, bins = torch.zeros(0, 2, 4), torch.zeros(0, 4)
    empty = CoordinateDistribution(probs, probs, bins, bins, torch.zeros(0, 2), torch.zeros(0, 2, 2))
    assert compute_deviations(empty, torch.zeros(0, 4)).shape == (0, 2, 2)
