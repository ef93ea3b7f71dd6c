"""Mermaid of a stranger becomes a picture, or stays a text with the reason."""

from __future__ import annotations

import asyncio
import base64
import dataclasses
import datetime
import importlib.util
import re
from pathlib import Path

import pytest

from qwenbelt.apps.gui.drawing.code_html import diagram_drawer
from qwenbelt.apps.gui.drawing.safe_html import RenderContext, markdown_html
from qwenbelt.core.errors import ConfigError, InputError
from qwenbelt.tools.diagrams import MOST_SOURCE, DiagramRenderer
from qwenbelt.workflows.report.document import ReportDocument
from qwenbelt.workflows.report.figures import Gallery
from qwenbelt.workflows.report.page import html_page
from qwenbelt.workflows.report.pdf import pdf_bytes
from qwenbelt.workflows.report.prose import parse_prose


def test_diagrams_are_drawn_and_what_cannot_be_is_told() -> None:
    pytest.importorskip("mmdr")

    async def walk() -> None:
        draw = DiagramRenderer().svg
        flow = 'graph LR\n A["褐煤 <img src=x onerror=alert(1)>"] --> B\n click A "javascript:x()"'
        svg, pie, *wrong = await asyncio.gather(
            draw(flow),
            draw('pie title Mix\n "coal" : 40\n "wind" : 60'),
            draw("graph LR\n A[[[ -->"),
            draw("sequenceDiagram\n" + "".join(f"A{n}->>A{n + 1}: x\n" for n in range(1200))),
            draw(""),
            draw("graph LR\n" * MOST_SOURCE),
            return_exceptions=True,
        )
        assert isinstance(svg, str)
        assert svg.startswith("<svg")
        assert "褐煤" in svg
        assert "<img" not in svg
        assert "<script" not in svg
        assert "javascript:" not in svg
        assert isinstance(pie, str)
        assert "coal" in pie
        for one in (wrong[0], wrong[2], wrong[3]):
            assert isinstance(one, InputError), one
            assert "\n" not in str(one)
        # a very large one is drawn or refused, within the limits
        assert isinstance(wrong[1], (str, InputError))

    asyncio.run(walk())


def test_without_the_renderer_the_source_stays_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"qwenbelt\[charts\]"):
        asyncio.run(DiagramRenderer().svg("graph LR\n A-->B"))


def test_only_mermaid_that_is_complete_asks_for_a_drawing() -> None:
    around = RenderContext(language="en")
    assert "data-diagram" in markdown_html("```mermaid\ngraph LR\n A-->B\n```\n", around)
    assert "data-diagram" not in markdown_html("```python\nx = 1\n```\n", around)
    hostile = markdown_html("```mermaid\n<script>alert(1)</script>\n```\n", around)
    assert "<script" not in hostile


def test_pages_without_scripts_and_reports_hold_the_drawing(tmp_path: Path) -> None:
    pytest.importorskip("mmdr")
    text = "```mermaid\ngraph LR\n A[褐煤] --> B\n```\n\n```mermaid\ngraph LR\n A[[[ -->\n```\n"
    html = markdown_html(text, RenderContext("en", diagram=diagram_drawer()))
    drawn = re.findall(r'src="data:image/svg\+xml;base64,([^"]+)"', html)
    assert len(drawn) == 1
    assert "褐煤" in base64.b64decode(drawn[0]).decode()
    assert html.count("A[[[") == 1  # what cannot be drawn is there as it was written
    gallery = Gallery({}, tmp_path, "en")
    figure, source = gallery.place(parse_prose(text))
    assert (figure["kind"], source["kind"]) == ("figure", "code")
    report = ReportDocument(
        question="Which?",
        title="Fuels",
        language="en",
        date=datetime.date(2026, 1, 1),
        blocks=[figure, source],
        citations=[],
        files=[],
    )
    page = html_page(report, tmp_path)
    assert "data:image/svg+xml;base64," in page
    with_it = pdf_bytes(report, tmp_path)
    without = pdf_bytes(dataclasses.replace(report, blocks=[source]), tmp_path)
    assert len(with_it) > len(without) + 1000
