"""Settings say what is wrong, and addresses say everything that is needed to draw again."""

import pytest

from rtmo_plugin.data.synthetic.settings import SceneSettings, format_address, parse_address
from rtmo_plugin.errors import UserError


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"size_wh": (320, 16)}, "size_wh"),
        ({"size_wh": (320.5, 320)}, "whole numbers"),
        ({"size_wh": (320, 320, 3)}, "two numbers"),
        ({"num_people": (0, 9)}, "0..8"),
        ({"num_people": (3, 2)}, "num_people"),
        ({"num_people": (-1, 2)}, "num_people"),
        ({"height_range": (0.0, 0.5)}, "height_range"),
        ({"height_range": (0.9, 0.5)}, "height_range"),
        ({"occlusion": 1.1}, "occlusion"),
        ({"truncation": -0.1}, "truncation"),
        ({"clutter": float("nan")}, "clutter"),
        ({"motion": 1.5}, "motion"),
    ],
)
def test_settings_out_of_range_are_named(options, named):
    with pytest.raises(ValueError, match=named) as caught:
        SceneSettings(**options)
    assert isinstance(caught.value, UserError)


@pytest.mark.parametrize(
    "settings",
    [
        SceneSettings(),
        SceneSettings([64, 48], [1, 1], [0.1, 1 / 3], 0, 1, 1e-7),
        SceneSettings(occlusion=0.1 + 0.2, height_range=(1e-1, 2), turned=0.25, motion=0.75),
    ],
)
def test_an_address_can_be_read_back(settings):
    assert parse_address(format_address(settings, 7, 1234567)) == (settings, 7, 1234567)


@pytest.mark.parametrize("address", ["data/coco/000000000139.jpg", "synthetic-people://320x320/0.png", ""])
def test_other_paths_are_refused_with_advice(address):
    with pytest.raises(ValueError, match="LoadImage"):
        parse_address(address)
