"""A tiny RTMO with untrained weights whose scores differ, which the tests of files share."""

import pytest
import torch

from tests.oracle import build_model, load_ours, randomize, spread_scores
from tests.tiny import shrink


def build_tiny(recipe="rtmo-t_coco", seed=0, **changes):
    """Return a narrow model of a recipe in eval mode, with options of its head or preprocessor changed."""
    torch.manual_seed(seed)
    config = load_ours(recipe)
    config.model = shrink(config.model)
    for part, options in changes.items():
        config.model[part].update(options)
    model = build_model(config)
    randomize(model, seed)
    spread_scores(model.head, std=1.0)
    return model.eval()


@pytest.fixture(scope="session")
def tiny():
    return build_tiny()
