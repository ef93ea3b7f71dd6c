"""A small PDF with text, a ruled table and Chinese, set by typst."""

from __future__ import annotations

from pathlib import Path

import pytest
import typst

from qwenbelt.tools.plot.fonts import cjk_font

STEEL = """
#set page(width: 16cm, height: 20cm, margin: 2cm)
#set text(font: ("Libertinus Serif", "Noto Sans SC"), size: 11pt)
= Tensile tests of rebar
The bars were tested at 23 °C. The mean tensile strength of lot A is 412 MPa.
Lot B was rolled a week later and reached 398 MPa on average.

The yield point was not measured.
#pagebreak()
= Results by lot
Table 1 gives all values.

#table(columns: (4cm, 4cm, 4cm),
  [Lot], [Strength MPa], [Elongation %],
  [A1], [410], [12.5], [A2], [414], [12.1], [B1], [396], [14.0], [B2], [400], [13.2],
)
#pagebreak()
= 试验说明
钢筋的平均抗拉强度为 405 兆帕，断后伸长率合格。本批次未测定屈服强度。
"""


@pytest.fixture(scope="session")
def steel_source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("steel")
    font = cjk_font()
    assert font is not None
    (folder / "steel.pdf").write_bytes(
        typst.Compiler(font_paths=[font.folder]).compile(STEEL.encode(), format="pdf")
    )
    return folder / "steel.pdf"


@pytest.fixture
def steel(steel_source: Path, tmp_path: Path) -> Path:
    target = tmp_path / "in" / "steel.pdf"
    target.parent.mkdir()
    target.write_bytes(steel_source.read_bytes())
    return target


@pytest.fixture(autouse=True)
def _alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No endpoint, no settings and no workspace of the person who runs the tests."""
    for name in ("QWENBELT_ENDPOINT", "DASHSCOPE_API_KEY", "OPENAI_API_KEY", "QWENBELT_CONFIG"):
        monkeypatch.delenv(name, raising=False)
    for name in ("OLLAMA", "VLLM", "LLAMACPP", "SGLANG"):
        monkeypatch.setenv(f"{name}_BASE_URL", "http://127.0.0.1:9/v1")
    monkeypatch.setenv("QWENBELT_WORKSPACE", str(tmp_path / "workspace"))
    monkeypatch.setenv("QWENBELT_LANG", "en")
