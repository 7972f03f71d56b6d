"""Every page of the documentation can be found: in the navigation of the site, and from its front page."""

import pkgutil
import re

import pytest

from tests.conftest import ROOT

DOCS = ROOT / "docs"
PAGES = {str(page.relative_to(DOCS)) for page in DOCS.rglob("*.md")}
GUIDES = ["README.md", "CONTRIBUTING.md", *sorted(f"docs/{page}" for page in PAGES)]


def test_every_page_is_in_the_navigation():
    assert set(re.findall(r"(\S+\.md)$", (ROOT / "mkdocs.yml").read_text(), re.MULTILINE)) == PAGES


def test_every_page_is_linked_from_the_front_page():
    assert set(re.findall(r"\]\(([^)#]+\.md)", (DOCS / "index.md").read_text())) == PAGES - {"index.md"}


def test_links_lead_to_files():
    links = {(page, link) for page in PAGES for link in re.findall(r"\]\(([^)#:]+)\)", (DOCS / page).read_text())}
    assert [(page, link) for page, link in links if not (DOCS / page).parent.joinpath(link).is_file()] == []
    assert len(links) > 20


@pytest.mark.parametrize("guide", GUIDES)
def test_modules_and_files_that_a_guide_names_exist(guide):
    text = (ROOT / guide).read_text()
    names = set(re.findall(r"\brtmo_plugin(?:\.[a-z_]\w*)+(?:\.[A-Z]\w*)*", text))
    for name in names:
        assert pkgutil.resolve_name(name), name
    paths = re.findall(r"`(?:pytest )?((?:tests|rtmo_plugin|configs|tools|docs|examples|requirements)/[\w./-]+)", text)
    assert [path for path in paths if not (ROOT / path).exists() and not path.startswith("configs/my")] == []


def test_new_import_paths_in_the_changelog_exist():
    moved = re.search(r"^### Moved\n(.*?)^###", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE | re.DOTALL)[1]
    rows = [row.split("|")[2] for row in re.findall(r"^\|.*`.*\|$", moved, re.MULTILINE)]
    names = [name for row in rows for name in re.findall(r"rtmo_plugin(?:\.\w+)+", row)]
    assert len(names) > 15
    for name in names:
        assert pkgutil.resolve_name(name), name
