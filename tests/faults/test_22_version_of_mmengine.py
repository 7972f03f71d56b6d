"""The version of MMEngine in a checkpoint is shown without the revision that MMEngine appends to it."""

import pytest
import torch

from rtmo_plugin.config.describing import describe_checkpoint


@pytest.mark.parametrize(
    ("written", "shown"),
    [
        ("0.10.77cc7c2f", "0.10.7"),
        ("0.10.7", "0.10.7"),
        ("0.10.77cc7c2f6c23a8c8654651d99ddec00a51cf5aa5f", "0.10.7"),
        ("0.10.71234567", "0.10.7"),
        ("0.10.7abcdef0", "0.10.7"),
        ("0.10.7unknown", "0.10.7"),
        ("0.11.0rc17cc7c2f", "0.11.0rc1"),
        (None, None),
    ],
)
def test_revision_is_cut_from_the_version(tmp_path, written, shown):
    content = {"state_dict": {"weight": torch.zeros(2)}, "meta": {"mmengine_version": written}}
    torch.save(content, tmp_path / "a.pth")
    assert describe_checkpoint(tmp_path / "a.pth")["mmengine"] == shown
