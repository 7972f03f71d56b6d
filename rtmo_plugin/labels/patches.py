"""What a conversion cannot hold, as a patch: the difference of two trees, and its way back.

A tree is what JSON holds.  With ``native`` what came back through the other format and ``wanted`` what
it was, ``patch = find_patch(native, wanted)`` and ``apply_patch(native, patch) == wanted``.  Where
someone edited the native side in the meantime, the edit wins: a value is replaced only where it is
still the one that the patch was made for, and values that the format cannot hold come back
with the entry they belong to.

A patch is ``{"now": value}`` (added), ``{"was": value, "now": value}`` (replaced), ``{"keys": {key:
patch}, "gone": [keys]}`` of an object, or ``{"items": [...]}`` of a list of objects: each item
``{"of": fingerprint, "patch": patch}`` (no patch: as it is), ``{"of": fingerprint, "gone": true}`` or
``{"now": value}``.
"""

from __future__ import annotations

import json
import zlib
from collections import defaultdict
from collections.abc import Callable, Hashable
from typing import Any

Patch = dict[str, Any]
Align = Callable[[Any], Hashable]


def align_by_order(item: Any) -> Hashable:
    """Say that all items of a list are of one sort: the first belongs to the first, and so on."""
    return None


def find_patch(native: Any, wanted: Any, align: Align = align_by_order) -> Patch | None:
    """Return what turns ``native`` into ``wanted``; None where they are equal.

    Args:
        native: A tree.
        wanted: Another.
        align: Sort of an item in a list of objects: items of one sort belong together in their order.
    """
    if native == wanted:
        return None
    if isinstance(native, dict) and isinstance(wanted, dict):
        keys = {key: _find_entry_patch(native, key, value, align) for key, value in wanted.items()}
        patch: Patch = {"keys": {key: value for key, value in keys.items() if value is not None}}
        gone = [key for key in native if key not in wanted]
        return {**patch, "gone": gone} if gone else patch
    if _are_objects(native) and _are_objects(wanted):
        return {"items": _find_item_patches(native, wanted, align)}
    return {"was": native, "now": wanted}


def apply_patch(native: Any, patch: Patch | None) -> Any:
    """Return ``native`` with a patch; what was edited since the patch was made stays edited."""
    if patch is None:
        return native
    if "keys" in patch:
        return _apply_keys(native, patch) if isinstance(native, dict) else native
    if "items" in patch:
        return _apply_items(native, patch["items"]) if _are_objects(native) else native
    return patch["now"] if "was" not in patch or patch["was"] == native else native


def fingerprint(tree: Any) -> str:
    """Return eight digits that tell trees apart."""
    return f"{zlib.crc32(json.dumps(tree, sort_keys=True).encode()):08x}"


def _find_entry_patch(native: dict[str, Any], key: str, value: Any, align: Align) -> Patch | None:
    return find_patch(native[key], value, align) if key in native else {"now": value}


def _are_objects(tree: Any) -> bool:
    return isinstance(tree, list) and all(isinstance(item, dict) for item in tree)


def _find_item_patches(native: list[Any], wanted: list[Any], align: Align) -> list[Patch]:
    waiting = defaultdict(list)
    for item in native:
        waiting[align(item)].append(item)
    patches: list[Patch] = []
    for item in wanted:
        sort = waiting[align(item)]
        if sort:
            partner = sort.pop(0)
            patch = find_patch(partner, item, align)
            patches.append({"of": fingerprint(partner), **({"patch": patch} if patch else {})})
        else:
            patches.append({"now": item})
    return patches + [{"of": fingerprint(item), "gone": True} for sort in waiting.values() for item in sort]


def _apply_keys(native: dict[str, Any], patch: Patch) -> dict[str, Any]:
    gone = set(patch.get("gone", ()))
    kept = {key: value for key, value in native.items() if key not in gone}
    for key, value in patch["keys"].items():
        if key in kept:
            kept[key] = apply_patch(kept[key], value)
        elif "was" not in value and "now" in value:  # of an entry that was taken away, nothing comes back
            kept[key] = value["now"]
    return kept


def _apply_items(native: list[Any], patches: list[Patch]) -> list[Any]:
    """Give each patch its item: the one with its fingerprint, else, where as many are left, the next."""
    waiting = defaultdict(list)
    for index, item in enumerate(native):
        waiting[fingerprint(item)].append(index)
    found = {
        place: waiting[patch["of"]].pop(0) for place, patch in enumerate(patches) if waiting.get(patch.get("of", ""))
    }
    unmatched = sorted(set(range(len(native))) - set(found.values()))
    orphans = [place for place, patch in enumerate(patches) if "of" in patch and place not in found]
    if len(unmatched) == len(orphans):  # edited, not added or removed
        found.update(zip(orphans, unmatched))
        unmatched = []
    result = []
    for place, patch in enumerate(patches):
        if "now" in patch:
            result.append(patch["now"])
        elif place in found and not patch.get("gone"):
            result.append(apply_patch(native[found[place]], patch.get("patch")))
    return result + [native[index] for index in unmatched]
