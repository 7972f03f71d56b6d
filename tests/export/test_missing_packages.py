"""Each format of phones says in one sentence which package writes it, if that is missing."""

from importlib import import_module

import pytest

from rtmo_plugin.errors import ConfigError
from rtmo_plugin.export.export_options import FORMATS
from rtmo_plugin.export.exporting import find_writer
from tests.export.test_onnx_file import make_info, make_options


@pytest.mark.parametrize(
    ("name", "package"), [("litert", "litert-torch"), ("coreml", "coremltools"), ("executorch", "executorch")]
)
def test_a_missing_package_is_named(tiny, tmp_path, monkeypatch, name, package):
    monkeypatch.setattr(import_module(f"rtmo_plugin.export.writers.{name}_file"), "find_spec", lambda name: None)
    path, options = tmp_path / f"model{FORMATS[name]}", make_options(cut="raw", dynamic=())
    with pytest.raises(ConfigError, match=rf'needs the package {package}: pip install ".*\[{name}\]"$'):
        find_writer(name, path).write(tiny, path, options, make_info(tiny, options))
    assert list(tmp_path.iterdir()) == []
