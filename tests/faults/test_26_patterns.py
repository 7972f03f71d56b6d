"""Patterns mean what they mean in a shell, and a link in a circle changes nothing."""

import glob
import os
import time
from pathlib import Path

import pytest

from rtmo_plugin.errors import MissingFileError
from rtmo_plugin.media.file_patterns import find_by_pattern
from rtmo_plugin.media.sources import expand

FILES = ("a/1.jpg", "a/b/2.jpg", "a/b/.h/3.jpg", "a/.x.jpg", "c/4.jpg", "5.jpg", "c/[z]/6.jpg", "d.jpg/7.jpg")


@pytest.fixture
def tree(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in FILES:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("")
    return tmp_path


@pytest.mark.parametrize(
    "pattern",
    [
        *("*.jpg", "a/*.jpg", "**/*.jpg", "a/**", "**", "*/*.jpg", "./a/../a/*.jpg", "a/**/b/*.jpg", "a/.*.jpg"),
        *("c/[[]z]/*.jpg", "a/b", "**/b/**/*.jpg", "nowhere/*.jpg", "?.jpg", "[!5]/*.jpg", "{tree}/**/*.jpg"),
    ],
)
def test_patterns_name_what_glob_names(tree, pattern):
    pattern = pattern.replace("{tree}", str(tree))
    expected = {Path(name) for name in glob.glob(pattern, recursive=True) if Path(name).is_file()}
    assert find_by_pattern(pattern) == sorted(expected)


def test_links_in_circles_are_entered_once(tree):
    """Two links to a folder above them are 2 to the power of 40 paths to ``glob``."""
    expected = find_by_pattern("**/*.jpg")
    for name in ("a/self", "a/b/up", "c/also"):
        os.symlink(tree, tree / name)
    os.symlink("nothing", tree / "a" / "broken")
    os.symlink("itself", tree / "itself")
    start = time.monotonic()
    assert expand("**/*.jpg") == find_by_pattern(f"{tree}/**/*.jpg".replace(f"{tree}/", "")) == expected
    assert time.monotonic() - start < 60


def test_links_to_other_folders_are_followed(tree, tmp_path_factory):
    other = tmp_path_factory.mktemp("other")
    (other / "8.jpg").write_text("")
    os.symlink(other, tree / "a" / "other")
    assert Path("a/other/8.jpg") in find_by_pattern("**/*.jpg")


def test_a_pattern_of_nothing_is_one_sentence(tree):
    with pytest.raises(MissingFileError, match=r"No file matches the pattern x/\*\*/\*\.jpg\."):
        expand("x/**/*.jpg")
