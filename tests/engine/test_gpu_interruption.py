"""A run on a GPU that is killed and resumed; apart from the other tests for GPUs, because it is slow."""

import pytest
import torch

from tests.engine.test_interruption import assert_same_end, make_recipe, run

pytestmark = pytest.mark.gpu


@pytest.mark.parametrize("graphs", [None, False])
def test_a_run_killed_at_any_moment_ends_as_the_unbroken_one(data_root, tmp_path, graphs):
    recipe = make_recipe(stage_length=1)
    options = {"graphs": graphs, "amp": True, "deterministic": True, "method": "spawn"}
    assert not run(recipe, data_root, tmp_path / "unbroken", **options)
    for _ in range(2):  # in the second epoch, and in the third
        assert run(recipe, data_root, tmp_path / "killed", death=(torch.Tensor, "backward", 4), **options)
    assert not run(recipe, data_root, tmp_path / "killed", **options)
    assert_same_end(tmp_path / "killed", tmp_path / "unbroken")
    console = (tmp_path / "unbroken/console.txt").read_text()
    assert "CUDA graphs are not used" not in console
