"""Copies of configs after an edit."""

import copy


def edit_copy(edit, cfg, *values):
    """Return a copy of ``cfg`` after one edit, which changes configs in place."""
    changed = copy.deepcopy(cfg)
    edit(changed, *values)
    return changed
