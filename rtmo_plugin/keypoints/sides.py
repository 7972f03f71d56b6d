"""Left and right in the names of keypoints: which side a name is on, and which name a flip exchanges it with.

The side may stand at the start, in the middle or at the end, as a word or as one letter, in brackets,
before a number, in camel case or glued to the rest: ``left_eye``, ``front_left_paw``, ``eye (left)``,
``RShoulder``, ``eyeL``, ``forelegL1``, ``lefteye``.  What a name alone cannot tell, the other names do:
``rwrist`` is on the right if there is an ``lwrist``, and ``FL`` on the left if there is an ``FR``.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

_CERTAIN = {"left": "right", "左": "右", "왼": "오른", "왼쪽": "오른쪽"}  # a name with one of these needs a partner
_LIKELY = {
    "lt": "rt", "lft": "rgt", "links": "rechts", "gauche": "droite", "izq": "der", "izquierda": "derecha",
    "izquierdo": "derecho", "esquerda": "direita", "esquerdo": "direito", "sinistra": "destra",
    "sinistro": "destro", "sx": "dx", "esq": "dir", "linke": "rechte", "linker": "rechter", "linkes": "rechtes",
    "lewy": "prawy", "lewa": "prawa", "lewe": "prawe", "левый": "правый", "левая": "правая", "левое": "правое",
}  # fmt: skip
_PAIRS = {**_CERTAIN, **_LIKELY, "l": "r"}
_OTHER_FORMS = {"droit": "gauche"}  # right words beside those above
_SWAPS = {**_OTHER_FORMS, **_PAIRS, **{right: left for left, right in _PAIRS.items()}}
_SIDES = {**dict.fromkeys(_PAIRS, "left"), **dict.fromkeys([*_PAIRS.values(), *_OTHER_FORMS], "right")}
_WORDS = {*_CERTAIN, *_CERTAIN.values()}
_PLAIN = {*_WORDS, "l", "r"}
_NO_SIDES = {
    "aright", "bright", "cleft", "copyright", "forthright", "fright", "leftover", "leftovers", "outright", "upright",
    "uprights", "wright",
}  # fmt: skip
_SAME = {"top_head": "head", "head_top": "head"}  # of CrowdPose: its files say one, its users another
_TOKEN = re.compile(
    r"왼쪽|오른쪽|[左右왼]|오른|[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+|(?:(?![左右왼]|오른)[^\W\d_A-Za-z])+"
)  # fmt: skip
_GLUED = re.compile(r"left|right")
_GLUED_AT_END = re.compile(r"^(left|right)|(left|right)$", re.IGNORECASE)
_BY_SIDE = "fbhrtm"  # front, back, hind, rear, top, middle, beside the letter of the side, as in `flpaw`
_CODE_LENGTH = 3  # of abbreviations such as FL and LFP, in which every letter may be the side
_MIDLINE = {"spine", "tail", "back", "backbone", "vertebra", "vertebrae", "midline", "trunk", "tongue", "neck"}
_MIN_SERIES = 10  # fingers, legs and tails have fewer parts than that
_NUMBERED = {"", "keypoint", "keypoints", "kpt", "kp", "point", "pt", "landmark", "joint", "marker", "node"}

_Reading = tuple[tuple[str, ...], str]  # the sides of a name, and what remains of it


class _Token(NamedTuple):
    """A piece of a name: a run of letters as camel case divides them, or of digits."""

    start: int
    end: int
    text: str  # in lower case
    is_apart: bool  # between marks or ends, not between letters or digits


class Sides(NamedTuple):
    """What the names of a keypoint set tell about left and right.

    Attributes:
        parts: Side (``left``, ``right`` or nothing) and part of each name.
        partners: Index of the keypoint that a flip exchanges each one with: its own where it stays.
        faults: Reasons why a flip cannot exchange keypoints, such as ``left_x has no partner right_x``.
        doubts: Reasons why it may not, such as ``eyeL has no partner eyeR``.
    """

    parts: tuple[tuple[str, str], ...]
    partners: tuple[int, ...]
    faults: tuple[str, ...]
    doubts: tuple[str, ...]


def split_side(name: str) -> tuple[str, str]:
    """Return side (``left``, ``right`` or nothing) and part of a name by itself, whatever its spelling.

    Examples:
        >>> split_side("left_eye") == split_side("Eye-L") == split_side("LeftEye") == ("left", "eye")
        True
        >>> split_side("front_left_paw"), split_side("RShoulder"), split_side("upright")
        (('left', 'front_paw'), ('right', 'shoulder'), ('', 'upright'))
    """
    tokens = _split(name)
    plain = [place for place, token in enumerate(tokens) if token.text in _PLAIN]
    glued = [place for place, token in enumerate(tokens) if _find_glued(token.text)]
    rest = "_".join(token.text for place, token in enumerate(tokens) if place not in plain)
    if plain and not (rest.replace("_", "").isdigit() and tokens[plain[0]].text not in _WORDS):  # L1 is a vertebra
        return _spell([_SIDES[tokens[place].text] for place in plain], rest)
    if glued and not plain:
        found = _find_glued(tokens[glued[0]].text)
        return found, _replace(tokens, glued[0], _GLUED_AT_END.sub("", tokens[glued[0]].text))
    whole = "_".join(token.text for token in tokens) or name
    return "", _SAME.get(whole, whole)


def swap_side(name: str) -> str:
    """Return the name of the same keypoint on the other side; the name itself where it has no side.

    Examples:
        >>> swap_side("left_eye"), swap_side("frontPawR"), swap_side("LEFTEYE"), swap_side("nose")
        ('right_eye', 'frontPawL', 'RIGHTEYE', 'nose')
    """
    if not split_side(name)[0]:
        return name
    tokens = _split(name)
    for token in reversed([each for each in tokens if each.text in _PLAIN] or tokens):
        word = name[token.start : token.end]
        if token.text in _PLAIN:
            word = _swap_word(word)
        elif _find_glued(token.text):
            word = _GLUED_AT_END.sub(lambda found: _swap_word(found[0]), word)
        name = name[: token.start] + word + name[token.end :]
    return name


def put_left_first(pairs: Iterable[Sequence[int]], names: Sequence[str] | Mapping[int, str]) -> list[tuple[int, int]]:
    """Return flip pairs with the left keypoint of each first, by the names of the keypoints.

    Examples:
        >>> put_left_first([(0, 1)], ["right_eye", "left_eye"])
        [(1, 0)]
    """
    ordered = (sorted(map(int, pair), key=lambda index: split_side(names[index])[0] != "left") for pair in pairs)
    return [(left, right) for left, right in ordered]


def read_sides(names: Sequence[str]) -> Sides:
    """Return what the names of a keypoint set tell about left and right.

    Args:
        names: K names.

    Examples:
        >>> read_sides(["nose", "rwrist", "lwrist"]).partners
        (0, 2, 1)
        >>> read_sides(["left_eye", "tail"]).faults
        ('left_eye has no partner right_eye',)
    """
    parts, candidates = _look_up(names)
    partners, faults = list(range(len(names))), []
    for index, others in enumerate(candidates):
        rivals = sorted(other for other in others if index in candidates[other])
        if len(rivals) > 1:
            faults.append(f"{names[index]} has the partners {' and '.join(names[each] for each in rivals)}")
        elif rivals and candidates[rivals[0]] == {index}:
            partners[index] = rivals[0]
    alone = [name for index, name in enumerate(names) if partners[index] == index and not candidates[index]]
    sided = [name for name in alone if split_side(name)[0]]
    for name in sided:  # some are on a side beyond doubt: by a word, or by a letter between marks
        if any(each.text in _WORDS or (each.text in ("l", "r") and each.is_apart) for each in _split(name)):
            faults.append(f"{name} has no partner {swap_side(name)}")
    faults += _find_series(alone)
    has_both = {"left", "right"} <= {side for side, _ in parts}
    doubts = [f"{name} has no partner {swap_side(name)}" for name in sided if has_both]
    if len(names) > 1 and all(_drop_digits(name) in _NUMBERED for name in names):
        doubts.append(f"numbers such as {names[0]} do not tell left from right")
    return Sides(tuple(parts), tuple(partners), tuple(faults), () if faults else tuple(doubts))


def find_flip_pairs(names: Sequence[str]) -> tuple[tuple[int, int], ...]:
    """Return the pairs of indices that a flip exchanges, as far as the names tell.

    Examples:
        >>> find_flip_pairs(["nose", "left_eye", "right_eye"])
        ((1, 2),)
    """
    return tuple((a, b) for a, b in enumerate(read_sides(names).partners) if a < b)


def _look_up(names: Sequence[str]) -> tuple[list[tuple[str, str]], list[set[int]]]:
    """Return side and part of each name, and the indices of those that it may change places with."""
    levels = [list(_list_readings(_split(name))) for name in names]
    places: dict[_Reading, set[int]] = defaultdict(set)
    for index, readings in enumerate(levels):
        for reading in (each for level in readings for each in level):
            places[reading].add(index)
    parts, candidates = [], []
    for index, name in enumerate(names):
        other_side = swap_side(name)
        if other_side != name and other_side in names:
            parts.append(split_side(name))
            candidates.append({place for place, other in enumerate(names) if other == other_side})
            continue
        found: dict[int, _Reading] = {}
        for level in levels[index]:
            mirrored = [(each, (tuple(_SWAPS[side] for side in each[0]), each[1])) for each in level]
            found = {other: each for each, mirror in mirrored for other in places.get(mirror, ()) if other != index}
            if found:
                break
        sides, rest = next(iter(found.values()), ((), ""))
        parts.append(_spell(sides, rest) if sides else split_side(name))
        candidates.append(set(found))
    return parts, candidates


def _list_readings(tokens: list[_Token]) -> Iterator[list[_Reading]]:
    """Yield ways to read the sides of a name, the surest first; only a partner makes the later ones likely."""
    texts = [token.text for token in tokens]
    words = [place for place, text in enumerate(texts) if text in _SIDES and text not in ("l", "r")]
    letters = [place for place, text in enumerate(texts) if text in ("l", "r")]
    for chosen in ([*sorted(words + letters)], words if letters else []):
        if chosen:
            rest = "_".join(text for place, text in enumerate(texts) if place not in chosen)
            yield [(tuple(_SIDES[texts[place]] for place in chosen), rest)]
    if len(words + letters) > 1:
        yield [((_SIDES[texts[place]],), _replace(tokens, place, "*")) for place in words + letters]
    if _WORDS.intersection(texts):
        return
    yield [
        ((found[0],), _replace(tokens, place, text[: found.start()] + text[found.end() :]))
        for place, text in enumerate(texts)
        for found in _GLUED.finditer(text)
    ]
    yield [
        ((_SIDES[text[at]],), _replace(tokens, place, f"{text[:at]}*{text[at + 1 :]}"))
        for place, text in enumerate(texts)
        for at in _list_letters(text)
    ]


def _spell(sides: Sequence[str], rest: str) -> tuple[str, str]:
    """Return the first side and the part; a second side is the same or the other one, as the eyes' corners are."""
    more = ["same" if side == sides[0] else "other" for side in sides[1:]]
    part = "_".join(filter(None, [*rest.replace("*", "").split("_"), *more]))
    return sides[0], _SAME.get(part, part)


def _list_letters(text: str) -> list[int]:
    """Return the places in a word at which an ``l`` or ``r`` may be a side."""
    places = {0, len(text) - 1, *range(len(text) if len(text) <= _CODE_LENGTH else 0)}
    if text[0] in _BY_SIDE:
        places.add(1)
    if text[-1] in _BY_SIDE:
        places.add(len(text) - 2)
    return sorted(at for at in places if 0 <= at < len(text) and text[at] in "lr")


def _find_series(names: Sequence[str]) -> Iterator[str]:
    """Yield sentences on long series of names that differ in their numbers only."""
    series: dict[str, list[str]] = defaultdict(list)
    for name in names:
        if any(token.text.isdigit() for token in _split(name)):
            series[_drop_digits(name)].append(name)
    for stem, members in series.items():
        if len(members) >= _MIN_SERIES and not _MIDLINE.intersection(stem.split("_")):
            yield (
                f"the numbers of {members[0]} to {members[-1]} do not tell left from right: "
                "give the category flip_pairs, [] if nothing changes places"
            )


def _drop_digits(name: str) -> str:
    return "_".join(token.text for token in _split(name) if not token.text.isdigit())


def _find_glued(text: str) -> str:
    """Return the side that a word begins or ends with, or nothing."""
    found = None if text in _NO_SIDES or text in _WORDS else _GLUED_AT_END.search(text)
    return found[0] if found else ""


def _replace(tokens: list[_Token], place: int, text: str) -> str:
    texts = [text if at == place else token.text for at, token in enumerate(tokens)]
    return "_".join(filter(None, texts))


def _swap_word(word: str) -> str:
    """Return the word of the other side in the same case."""
    other = _SWAPS[word.lower()]
    return other.upper() if word.isupper() else other.capitalize() if word[0].isupper() else other


def _split(name: str) -> list[_Token]:
    def is_mark(place: int) -> bool:
        return not 0 <= place < len(name) or not name[place].isalnum()

    found = _TOKEN.finditer(name)
    return [
        _Token(each.start(), each.end(), each[0].lower(), is_mark(each.start() - 1) and is_mark(each.end()))
        for each in found
    ]
