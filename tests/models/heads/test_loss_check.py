"""A loss that is NaN or infinite stops training, at once or when the next batch comes."""

import math

import pytest
import torch

from rtmo_plugin.models.heads.loss_check import LateLossCheck, LossCheck
from tests.oracle import make_samples

GOOD = {"loss_cls": torch.tensor(1.0), "loss_mle": torch.tensor(-3.0)}
BAD = {"loss_cls": torch.tensor(math.nan), "loss_mle": torch.tensor(1.0)}
WORDS = r"^loss_cls is not finite for the batch of image0.jpg: lower"


def name(*images):
    samples = make_samples([0] * len(images))
    for sample, image in zip(samples, images):
        sample.set_metainfo({"img_path": image})
    return samples


def test_finite_losses_pass():
    LossCheck()(GOOD, make_samples([0]))


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_losses_that_are_not_finite_are_named(bad):
    losses = {"loss_cls": torch.tensor(bad), "loss_vis": torch.tensor(1.0), "loss_mle": torch.tensor(bad)}
    with pytest.raises(
        FloatingPointError, match=r"^loss_cls, loss_mle is not finite for the batch of image0.jpg, image1.jpg"
    ):
        LossCheck()(losses, make_samples([0, 0]))


def test_late_check_names_the_batch_before_the_next_is_checked():
    check = LateLossCheck()
    check(GOOD, name("first"))
    check(BAD, name("second"))
    with pytest.raises(FloatingPointError, match=r"loss_cls is not finite for the batch of second:"):
        check(GOOD, name("third"))


def test_late_check_is_finished_on_demand_and_only_once():
    check = LateLossCheck()
    check.finish()
    check(BAD, make_samples([0]))
    with pytest.raises(FloatingPointError, match=WORDS):
        check.finish()
    check.finish()


def test_losses_may_change_after_a_late_check_has_taken_them():
    check = LateLossCheck()
    losses = {"loss_cls": torch.tensor(math.nan)}
    check(losses, make_samples([0]))
    losses["loss_cls"].zero_()
    with pytest.raises(FloatingPointError, match=WORDS):
        check.finish()


@pytest.mark.gpu
def test_late_check_does_not_wait_for_the_gpu():
    losses = {name: value.cuda() for name, value in BAD.items()}
    check, samples = LateLossCheck(), make_samples([0])
    torch.cuda.set_sync_debug_mode("error")
    try:
        check(losses, samples)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    with pytest.raises(FloatingPointError, match=WORDS):
        check.finish()
