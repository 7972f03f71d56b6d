"""Difficulty of the synthetic images, and the address from which each can be drawn again."""

import re
from dataclasses import dataclass

from rtmo_plugin.errors import ConfigError, DataError

MAX_PEOPLE = 8  # what the 8-bit label map of ``rendering`` has room for
ADDRESS_SCHEME = "synthetic-people"
_MIN_SIDE = 32
_SHARES = ("occlusion", "truncation", "clutter", "turned", "motion")  # within 0..1
_ADDRESS = re.compile(
    rf"{ADDRESS_SCHEME}://(\d+)x(\d+)/people-(\d+)\.\.(\d+)/height-([\d.e-]+?)\.\.([\d.e-]+)/"
    + "/".join(rf"{name}-([\d.e-]+)" for name in _SHARES)
    + r"/seed-(\d+)/(\d+)\.png"
)


@dataclass(frozen=True)
class SceneSettings:
    """Settings of a series of synthetic images.

    Attributes:
        size_wh: Width and height in pixels, each at least 32.
        num_people: Smallest and largest number of people in an image, within 0..8; one to four are the
            most frequent.  A person who is almost completely hidden is left out.
        height_range: Smallest and largest standing height, in shares of the image's shorter side.
        occlusion: Overlap, from 0, people avoid one another, to 1, they may hide one another and things
            stand before them.
        truncation: Share of the people, 0..1, who are pushed over an image border.
        clutter: Amount of things, from 0, plain walls and empty floors, to 1, full of things.
        turned: Share of the people, 0..1, who are seen from the side or from behind.
        motion: Variety of poses, from 0, all stand straight with hanging arms, to 1, they wave, walk, sit and kneel;
            scales the angles of all joints.

    Raises:
        ConfigError: A value outside its range (a ``ValueError``).
    """

    size_wh: tuple[int, int] = (320, 320)
    num_people: tuple[int, int] = (0, MAX_PEOPLE)
    height_range: tuple[float, float] = (0.2, 0.95)
    occlusion: float = 0.4
    truncation: float = 0.15
    clutter: float = 0.5
    turned: float = 0.38
    motion: float = 1.0

    def __post_init__(self) -> None:
        for name in ("size_wh", "num_people", "height_range"):
            pair = tuple(getattr(self, name))
            if len(pair) != 2:
                raise ConfigError(f"{name} of synthetic people must be two numbers, got {pair}.")
            object.__setattr__(self, name, pair)  # lists, as configs give them, become hashable
        self._check_pairs()
        for name in _SHARES:
            if not 0 <= getattr(self, name) <= 1:
                raise ConfigError(f"{name} of synthetic people must lie within 0..1, got {getattr(self, name)}.")

    def _check_pairs(self) -> None:
        """Raise ``ConfigError`` on a pair outside its range."""
        if any(not isinstance(value, int) for value in self.size_wh + self.num_people):
            raise ConfigError(f"size_wh {self.size_wh} and num_people {self.num_people} must be whole numbers.")
        if min(self.size_wh) < _MIN_SIDE:
            raise ConfigError(f"size_wh of synthetic people must be at least {_MIN_SIDE} each, got {self.size_wh}.")
        if not 0 <= self.num_people[0] <= self.num_people[1] <= MAX_PEOPLE:
            raise ConfigError(f"num_people must be (fewest, most) within 0..{MAX_PEOPLE}, got {self.num_people}.")
        if not 0.05 <= self.height_range[0] <= self.height_range[1] <= 2:
            raise ConfigError(f"height_range must be (smallest, largest) within 0.05..2, got {self.height_range}.")


def format_address(settings: SceneSettings, seed: int, index: int) -> str:
    """Return the address of an image: everything that is needed to draw it again.

    Examples:
        >>> format_address(SceneSettings(), 7, 12)[-18:]
        '/seed-7/000012.png'
    """
    (width, height), (fewest, most), (smallest, largest) = settings.size_wh, settings.num_people, settings.height_range
    shares = "/".join(f"{name}-{float(getattr(settings, name))!r}" for name in _SHARES)
    return (
        f"{ADDRESS_SCHEME}://{width}x{height}/people-{fewest}..{most}/height-{float(smallest)!r}..{float(largest)!r}"
        f"/{shares}/seed-{seed}/{index:06d}.png"
    )


def parse_address(address: str) -> tuple[SceneSettings, int, int]:
    """Return settings, seed and index of an address that ``format_address`` made.

    Raises:
        DataError: The address is not one of a synthetic image, or its settings are out of range (a ``ValueError``).
    """
    match = _ADDRESS.fullmatch(address)
    if not match:
        raise DataError(
            f"{address!r} is not the address of a synthetic image: DrawSyntheticImage works on records of "
            "rtmo_plugin.SyntheticPeople; use LoadImage for images in files."
        )
    width, height, fewest, most = (int(number) for number in match.group(1, 2, 3, 4))
    smallest, largest, *shares = (float(number) for number in match.groups()[4:-2])
    settings = SceneSettings((width, height), (fewest, most), (smallest, largest), **dict(zip(_SHARES, shares)))
    return settings, int(match.groups()[-2]), int(match.groups()[-1])
