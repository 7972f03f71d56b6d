"""Outputs that cannot be written are refused before any work."""

import pytest

from rtmo_plugin.api import evaluate
from rtmo_plugin.errors import OutputError


def test_folder_of_plots_is_checked_before_evaluation(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="file"):
        evaluate("rtmo-t_synthetic", "no-such.pth", show_dir=tmp_path / "file")
