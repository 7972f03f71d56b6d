"""What is installed, and what may import what: comparisons and studies stay in the clone."""

import ast
import sys

import pytest
from setuptools import find_packages

from tests.conftest import ROOT

FOLDERS = ("benchmarks", "studies")

if sys.version_info >= (3, 11):
    import tomllib
else:
    tomllib = pytest.importorskip("tomli", reason="tomli, of the extra `dev`, is missing")


def test_only_the_package_is_installed():
    options = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"]["find"]
    found = {name.partition(".")[0] for name in find_packages(str(ROOT), **options)}
    assert found == {"rtmo_plugin"}
    assert {name for name in find_packages(str(ROOT)) if "." not in name} >= set(FOLDERS)


def test_every_folder_with_modules_is_a_package():
    folders = {path.parent for path in (ROOT / "rtmo_plugin").rglob("*.py") if "_configs" not in path.parts}
    assert [folder for folder in folders if not (folder / "__init__.py").is_file()] == []
    assert ROOT / "rtmo_plugin/data/synthetic" in folders


def test_nothing_of_the_package_imports_comparisons_or_studies():
    importers = []
    for path in (ROOT / "rtmo_plugin").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            importers += [path for name in names if name.partition(".")[0] in FOLDERS]
    assert importers == []


def test_no_module_of_comparisons_or_studies_has_the_name_of_another():
    stems = [path.stem for folder in FOLDERS for path in (ROOT / folder).glob("*.py") if path.stem[0] != "_"]
    package = {path.stem for path in (ROOT / "rtmo_plugin").rglob("*.py")}
    assert len(set(stems)) == len(stems) > 20
    assert package & set(stems) == set()
