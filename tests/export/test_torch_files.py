"""TorchScript and exported programs say what PyTorch says, and their engine finds the same people."""

import numpy as np
import pytest

from rtmo_plugin.errors import ConfigError, DataError
from rtmo_plugin.export.writers.torch_files import write_program, write_torchscript
from rtmo_plugin.runtime.exported_model import ExportedModel
from tests.export.conftest import IMAGE
from tests.export.test_onnx_file import make_info, make_options

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def folder(tiny, tmp_path_factory):
    """Return a folder with a TorchScript file of any size and batch, and a program with the head's maps."""
    folder = tmp_path_factory.mktemp("torch")
    script = make_options(cut="decoded", dynamic=("batch", "size"), top_k=30)
    found = write_torchscript(tiny, folder / "model.pt", script, make_info(tiny, script))
    assert (found.num_images, found.num_people) == (15, 15 * 30)
    program = make_options(cut="raw", input="uint8")
    info = make_info(tiny, program)
    found = write_program(tiny, folder / "model.pt2", program, type(info)(**{**vars(info), "input": "uint8"}))
    assert 0 < found.maps < 1
    assert sorted(each.name for each in folder.iterdir()) == ["model.npz", "model.pt", "model.pt2"]
    return folder


def test_both_find_the_same_people(folder):
    script, program = ExportedModel(folder / "model.pt"), ExportedModel(folder / "model.pt2")
    assert ExportedModel(folder / "model.pt", streams=None).streams == 1  # this runtime has no others
    ours, others = script.predict(IMAGE), program.predict(IMAGE)
    assert len(ours) > 0
    np.testing.assert_allclose(ours.scores, others.scores, rtol=0, atol=1e-4)
    np.testing.assert_allclose(ours.keypoints, others.keypoints, rtol=0, atol=0.1)
    together = program.predict_batch([IMAGE, IMAGE[:30]])
    np.testing.assert_allclose(together[0].keypoints, others.keypoints, rtol=0, atol=0.1)


def test_what_cannot_be_is_refused(tiny, folder, tmp_path):
    options = make_options()
    with pytest.raises(ConfigError, match=r"model\.pt cannot hold NMS: export it with --cut decoded"):
        write_torchscript(tiny, tmp_path / "model.pt", options, make_info(tiny, options))
    options = make_options(cut="raw", dynamic=("size",))
    with pytest.raises(ConfigError, match="takes one size"):
        write_program(tiny, tmp_path / "model.pt2", options, make_info(tiny, options))
    for name in ("junk.pt", "junk.pt2"):
        (tmp_path / name).write_bytes(b"junk")
        with pytest.raises(DataError, match="cannot be read as a file of PyTorch"):
            ExportedModel(tmp_path / name)
    with pytest.raises(ConfigError, match="The precision int4 is unknown"):
        ExportedModel(folder / "model.pt", precision="int4")
    with pytest.raises(ConfigError, match="The device cuda:99 cannot be used"):
        ExportedModel(folder / "model.pt", device="cuda:99", runtime="torch")
