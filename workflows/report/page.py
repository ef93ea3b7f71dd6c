"""The report as one HTML page: everything is inside it, and nothing in it runs.

A citation shows its quote and the picture of its passage when the pointer or the keyboard is on
it. Every word is escaped; a content security policy forbids scripts and whatever is elsewhere.
"""

from __future__ import annotations

import base64
import functools
from collections.abc import Callable, Sequence
from html import escape
from importlib import resources
from pathlib import Path

from qwenbelt.workflows.report.digest import KeyFigure, digest, sources
from qwenbelt.workflows.report.document import ReportCitation, ReportDocument
from qwenbelt.workflows.report.prose import Node
from qwenbelt.workflows.report.strings import say
from qwenbelt.workflows.report.summary import banner, facts, method
from qwenbelt.workflows.report.web_fonts import font_faces

_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; font-src data:"
PIXELS = 1.45  # for a point of the page, at most
WIDEST_BESIDE = 250.0  # points of a page; wider crops are shown below their words
_MARKS = {"strong": "strong", "emph": "em", "strike": "s"}


def html_page(report: ReportDocument, folder: Path) -> str:
    """Returns the page.

    Args:
        report: the report.
        folder: the report's folder; figures and crops are found in it.
    """
    return _Page(report, folder).text()


@functools.cache
def _style() -> str:
    return resources.files("qwenbelt.workflows.report").joinpath("page.css").read_text("utf-8")


class _Page:
    """Writes one report."""

    def __init__(self, report: ReportDocument, folder: Path) -> None:
        self._report = report
        self._folder = folder
        self._language = report.language
        self._cited = {citation.n: citation for citation in report.citations}
        self._blocks: dict[str, Callable[[Node], str]] = {
            "heading": self._heading,
            "paragraph": lambda node: f"<p>{self._inline(node['inline'])}</p>",
            "list": self._list,
            "quote": lambda node: f"<blockquote>{self._all(node['blocks'])}</blockquote>",
            "code": lambda node: f"<pre><code>{escape(node['text'])}</code></pre>",
            "table": self._table,
            "rule": lambda node: "<hr>",
            "figure": self._figure,
        }

    def _say(self, key: str, **values: object) -> str:
        return escape(say(key, self._language, **values))

    def text(self) -> str:
        """Returns the whole page."""
        report = self._report
        title = escape(report.title or report.question)
        lang = "zh-CN" if self._language == "zh" else "en"
        body = (
            f'<body><main><p class="kind">{self._say("report")}</p><h1>{title}</h1>{self._facts()}'
            f"{self._parts()}{self._references()}{self._notes()}{self._method()}</main></body>"
        )
        return (
            f'<!doctype html>\n<html lang="{lang}"><head><meta charset="utf-8">'
            f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'
            '<meta name="viewport" content="width=device-width, initial-scale=1">'
            f"<title>{title}</title><style>{font_faces(body)}{_style()}</style></head>\n{body}"
            "</html>\n"
        )

    def _facts(self) -> str:
        rows = "".join(
            f"<dt>{escape(name)}</dt><dd>{escape(value)}</dd>"
            for name, value in facts(self._report)
        )
        said = banner(self._report)
        kind = "banner" if self._report.grounded else "banner alarm"
        box = f'<p class="{kind}">{escape(said)}</p>' if said else ""
        return f'<dl class="facts">{rows}</dl>{box}'

    def _parts(self) -> str:
        parts = digest(self._report)
        out = ""
        if parts.lead:
            head = f"<h2>{self._say('summary')}</h2>"
            out += f'<section class="lead">{head}{self._all(parts.lead)}</section>'
        if parts.tiles:
            out += f'<div class="tiles">{"".join(map(self._tile, parts.tiles))}</div>'
        out += self._all(parts.rest)
        for name, sentences in (("disagree", parts.disagree), ("missing", parts.missing)):
            if sentences:
                items = "".join(map(self._said, sentences))
                head = f"<h2>{self._say(name)}</h2>"
                out += f'<section class="said {name}">{head}{items}</section>'
        return out

    def _said(self, sentence: list[Node]) -> str:
        rows = "".join(
            f"<dt>{self._cite({'n': c.n})} <b>{self._place(c)}</b></dt><dd>{self._quote(c)}</dd>"
            for c in sources(sentence, self._report)
        )
        shown = f"<dl>{rows}</dl>" if rows else ""
        return f"<div><p>{self._inline(sentence)}</p>{shown}</div>"

    def _place(self, citation: ReportCitation) -> str:
        return f"{escape(citation.file)}, {escape(citation.place(self._language))}"

    def _tile(self, figure: KeyFigure) -> str:
        marks = "".join(self._cite({"n": n}) for n in figure.cites)
        return (
            f"<div><b>{escape(figure.value)}</b><span>{escape(figure.label)} {marks}</span></div>"
        )

    # -- blocks ---------------------------------------------------------------------------------

    def _all(self, blocks: Sequence[Node]) -> str:
        return "\n".join(self._blocks[block["kind"]](block) for block in blocks)

    def _heading(self, node: Node) -> str:
        level = min(node["level"] + 1, 5) if node["level"] == 1 else min(node["level"], 5)
        return f"<h{level}>{self._inline(node['inline'])}</h{level}>"

    def _list(self, node: Node) -> str:
        items = "".join(f"<li>{self._all(item)}</li>" for item in node["items"])
        if node["ordered"]:
            return f'<ol start="{int(node["start"])}">{items}</ol>'
        return f"<ul>{items}</ul>"

    def _table(self, node: Node) -> str:
        align = node["align"]

        def row(cells: Sequence[list[Node]], tag: str) -> str:
            made = "".join(
                f'<{tag} class="{side}">{self._inline(cell)}</{tag}>'
                for cell, side in zip([*cells, *([[]] * len(align))], align, strict=False)
            )
            return f"<tr>{made}</tr>"

        body = "".join(row(cells, "td") for cells in node["rows"])
        head = row(node["head"], "th")
        return f'<div class="wide"><table><thead>{head}</thead><tbody>{body}</tbody></table></div>'

    def _figure(self, node: Node) -> str:
        picture = self._picture(node["path"], str(node.get("alt", node["label"])))
        caption = f"<b>{escape(node['label'])}</b> {self._inline(node['caption'])}"
        return f"<figure>{picture}<figcaption>{caption}</figcaption></figure>"

    def _picture(self, path: str, alt: str) -> str:
        data = base64.b64encode((self._folder / path).read_bytes()).decode()
        kind = "svg+xml" if path.endswith(".svg") else "png"
        return f'<img src="data:image/{kind};base64,{data}" alt="{escape(alt)}">'

    # -- inline ---------------------------------------------------------------------------------

    def _inline(self, nodes: Sequence[Node]) -> str:
        return "".join(map(self._node, nodes))

    def _node(self, node: Node) -> str:
        kind = node["kind"]
        if kind == "text":
            return escape(node["text"])
        if kind == "code":
            return f"<code>{escape(node['text'])}</code>"
        if kind == "break":
            return "<br>"
        if kind == "cite":
            return self._cite(node)
        if kind == "link":
            href = escape(node["url"])
            return f'<a href="{href}" rel="noopener noreferrer">{self._inline(node["inline"])}</a>'
        mark = _MARKS.get(kind, "span")
        return f"<{mark}>{self._inline(node['inline'])}</{mark}>"

    def _cite(self, node: Node) -> str:
        citation = self._cited.get(node["n"])
        if citation is None:
            return f"[{int(node['n'])}]"
        kind = "cite" if citation.verified else "cite alarm"
        # the picture itself is in the page once, with the reference: here a background shows it
        crop = f'<i class="crop crop-{citation.n}"></i>' if citation.crop else ""
        words = f"<b>{self._place(citation)}</b>{self._quote(citation)}{crop}"
        return (
            f'<a class="{kind}" href="#reference-{citation.n}">[{citation.n}]'
            f'<span class="tip" role="tooltip">{words}</span></a>'
        )

    def _quote(self, citation: ReportCitation) -> str:
        warning = f"<em>{self._say('unverified')}</em>" if not citation.verified else ""
        return f"<q>{escape(citation.quote)}</q>{warning}"

    # -- the end --------------------------------------------------------------------------------

    def _references(self) -> str:
        if not self._cited:
            return ""
        items = "".join(map(self._reference, self._report.citations))
        shown = "".join(self._background(c) for c in self._report.citations if c.crop)
        head = f"<h2>{self._say('references')}</h2>"
        return f'<style>{shown}</style><section class="references">{head}<ol>{items}</ol></section>'

    def _background(self, citation: ReportCitation) -> str:
        left, top, right, bottom = citation.crop_box or (0, 0, 4, 1)
        ratio = max(0.05, (right - left) / max(bottom - top, 1.0))
        data = base64.b64encode((self._folder / citation.crop).read_bytes()).decode()
        return (
            f".crop-{citation.n}{{background-image:url(data:image/png;base64,{data});"
            f"aspect-ratio:{ratio:.3f};max-width:{(right - left) * PIXELS:.0f}px}}"
        )

    def _reference(self, citation: ReportCitation) -> str:
        alt = self._say("crop_alt", file=citation.file, page=citation.page)
        crop = ""
        if citation.crop:
            crop = f'<i class="crop crop-{citation.n}" role="img" aria-label="{alt}"></i>'
        words = f"<div><b>{self._place(citation)}</b>{self._quote(citation)}</div>"
        left, _, right, _ = citation.crop_box or (0, 0, 0, 0)
        kind = ' class="below"' if right - left > WIDEST_BESIDE else ""
        return f'<li{kind} id="reference-{citation.n}" value="{citation.n}">{words}{crop}</li>'

    def _notes(self) -> str:
        if not self._report.notes:
            return ""
        items = "".join(f"<li>{escape(note)}</li>" for note in self._report.notes)
        return f"<section><h2>{self._say('notes')}</h2><ul>{items}</ul></section>"

    def _method(self) -> str:
        steps = self._report.steps
        rows = "".join(
            f"<tr><td>{number}</td><td>{escape(step.name)}</td><td>{escape(step.arguments)}</td>"
            f'<td class="right">{self._time(step.finished - step.started, step.ok)}</td></tr>'
            for number, step in enumerate(steps, 1)
        )
        names = "".join(f"<th>{self._say(name)}</th>" for name in ("call", "with", "time"))
        table = f'<div class="wide"><table><tr><th>#</th>{names}</tr>{rows}</table></div>'
        text = f"<p>{escape(method(self._report))}</p>"
        inner = text + (table if steps else "")
        return f"<details><summary>{self._say('method')}</summary>{inner}</details>"

    def _time(self, seconds: float, ok: bool) -> str:
        return f"{seconds:.2f} s" if ok else f"<em>{self._say('failed')}</em>"
