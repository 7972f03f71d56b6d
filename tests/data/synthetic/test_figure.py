"""How people stand to the camera."""

import numpy as np
import pytest

from rtmo_plugin.data.synthetic.figure import sample_figures
from rtmo_plugin.data.synthetic.poses import LANDMARK_INDEX


@pytest.mark.parametrize(("turned", "low", "high"), [(0.0, 0.0, 0.02), (0.38, 0.2, 0.4), (1.0, 0.6, 1.0)])
def test_a_share_of_the_people_turns_away(turned, low, high):
    figures = sample_figures(np.random.default_rng(0), 500, turned, 1.0)
    left, right = (figures[:, LANDMARK_INDEX[f"{side}_shoulder"], 0] for side in ("left", "right"))
    # whoever faces the camera has the left shoulder on the right of the picture
    assert low <= np.mean(left < right) <= high


def find_share_of_raised_hands(motion):
    figures = sample_figures(np.random.default_rng(0), 500, 0.0, motion)
    wrists, shoulders = (
        np.stack([figures[:, LANDMARK_INDEX[f"{side}_{joint}"], 1] for side in ("left", "right")])
        for joint in ("wrist", "shoulder")
    )
    return np.mean(wrists < shoulders)


def test_less_motion_raises_fewer_hands_and_none_raises_none():
    many, some, none = map(find_share_of_raised_hands, (1.0, 0.6, 0.0))
    assert many > 2 * some > none == 0
