"""Every page of the documentation can be found: in the navigation of the site, and from its front page."""

import re

from tests.conftest import ROOT

DOCS = ROOT / "docs"
PAGES = {str(page.relative_to(DOCS)) for page in DOCS.rglob("*.md")}


def test_every_page_is_in_the_navigation():
    assert set(re.findall(r"(\S+\.md)$", (ROOT / "mkdocs.yml").read_text(), re.MULTILINE)) == PAGES


def test_every_page_is_linked_from_the_front_page():
    assert set(re.findall(r"\]\(([^)#]+\.md)", (DOCS / "index.md").read_text())) == PAGES - {"index.md"}


def test_links_lead_to_files():
    links = {(page, link) for page in PAGES for link in re.findall(r"\]\(([^)#:]+)\)", (DOCS / page).read_text())}
    assert [(page, link) for page, link in links if not (DOCS / page).parent.joinpath(link).is_file()] == []
    assert len(links) > 20
