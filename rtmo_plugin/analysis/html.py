"""The few pieces of HTML that the page is made of; nothing is fetched from anywhere."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape

_STYLE = """
:root { color-scheme: light; --ink: #1c2430; --soft: #5c6675; --line: #dfe3e8; --back: #f6f7f9; --accent: #2f6db5; }
* { box-sizing: border-box; }
body { margin: 0; font: 15px/1.5 system-ui, "Segoe UI", Roboto, "DejaVu Sans", sans-serif; color: var(--ink);
  background: var(--back); }
header, section { max-width: 1080px; margin: 20px auto; padding: 20px 28px; background: #fff;
  border: 1px solid var(--line); border-radius: 8px; }
h1 { margin: 0 0 4px; font-size: 26px; } h2 { margin: 0 0 8px; font-size: 20px; }
p { max-width: 76ch; margin: 6px 0 12px; } .soft { color: var(--soft); }
nav { margin-top: 12px; } nav a { margin-right: 14px; color: var(--accent); text-decoration: none; }
nav a:hover { text-decoration: underline; }
.tiles { display: flex; flex-wrap: wrap; gap: 10px; margin-top: 14px; }
.tiles div { min-width: 92px; padding: 8px 12px; border: 1px solid var(--line); border-radius: 6px; }
.tiles b { display: block; font-size: 20px; font-variant-numeric: tabular-nums; }
.tiles span { color: var(--soft); font-size: 13px; }
ol.findings { padding-left: 22px; } ol.findings li { margin: 6px 0; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; margin: 10px 0; }
th, td { padding: 4px 12px 4px 0; text-align: left; border-bottom: 1px solid var(--line); vertical-align: top; }
th { color: var(--soft); font-weight: 600; font-size: 13px; } td.number, th.number { text-align: right; }
figure { margin: 12px 0; } figure svg, figure img { max-width: 100%; height: auto; display: block; }
figcaption { margin-top: 4px; color: var(--soft); font-size: 13px; }
.worst { display: grid; grid-template-columns: repeat(auto-fill, minmax(460px, 1fr)); gap: 18px; }
.worst img { width: 100%; border: 1px solid var(--line); }
code { padding: 2px 5px; background: var(--back); border: 1px solid var(--line); border-radius: 4px; font-size: 13px;
  overflow-wrap: anywhere; }
summary { cursor: pointer; color: var(--accent); }
"""


@dataclass(frozen=True)
class Section:
    """One section of the page: its anchor, its heading and what stands below, which is HTML already."""

    anchor: str
    title: str
    body: str


def make_page(title: str, subtitle: str, top: str, sections: Sequence[Section]) -> str:
    """Return a whole page, whose top holds a list of its sections.

    Args:
        title: Title in plain text.
        subtitle: Subtitle in plain text.
        top: HTML below the titles.
        sections: Sections in their order.
    """
    links = "".join(f'<a href="#{each.anchor}">{escape(each.title)}</a>' for each in sections)
    bodies = "\n".join(
        f'<section id="{each.anchor}"><h2>{escape(each.title)}</h2>\n{each.body}\n</section>' for each in sections
    )
    return (
        f'<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>{_STYLE}</style></head>\n<body>\n"
        f'<header><h1>{escape(title)}</h1><div class="soft">{escape(subtitle)}</div>{top}<nav>{links}</nav></header>\n'
        f"{bodies}\n</body></html>\n"
    )


def make_paragraph(text: str, kind: str = "") -> str:
    """Return a paragraph of plain text."""
    return f'<p class="{kind}">{escape(text)}</p>' if kind else f"<p>{escape(text)}</p>"


def make_tiles(values: Iterable[tuple[str, str]]) -> str:
    """Return numbers with their names below."""
    return (
        '<div class="tiles">'
        + "".join(f"<div><b>{escape(number)}</b><span>{escape(name)}</span></div>" for name, number in values)
        + "</div>"
    )


def make_table(head: Sequence[str], rows: Iterable[Sequence[str]], num_words: int = 1) -> str:
    """Return a table of plain text, whose first ``num_words`` columns are words and whose others are numbers."""

    def make_row(cells: Sequence[str], tag: str) -> str:
        kinds = [""] * num_words + [' class="number"'] * (len(cells) - num_words)
        return "<tr>" + "".join(f"<{tag}{kind}>{escape(cell)}</{tag}>" for cell, kind in zip(cells, kinds)) + "</tr>"

    body = "".join(make_row(row, "td") for row in rows)
    return f'<div class="scroll"><table><thead>{make_row(head, "th")}</thead><tbody>{body}</tbody></table></div>'


def make_figure(content: str, caption: str = "") -> str:
    """Return an SVG or an image tag with a caption of plain text."""
    words = f"<figcaption>{escape(caption)}</figcaption>" if caption else ""
    return f"<figure>{content}{words}</figure>"


def make_image(content: bytes, kind: str, text: str) -> str:
    """Return an image that is part of the page.

    Args:
        content: Content of the image file.
        kind: ``jpeg`` or ``png``.
        text: Description of the image, for readers who do not see it.
    """
    data = base64.b64encode(content).decode()
    return f'<img alt="{escape(text)}" loading="lazy" src="data:image/{kind};base64,{data}">'


def make_details(summary: str, body: str) -> str:
    """Return HTML that opens on a click."""
    return f"<details><summary>{escape(summary)}</summary>{body}</details>"
