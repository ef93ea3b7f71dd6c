"""qwen-agent's `retrieval` and `doc_parser` by our index, on request."""

from __future__ import annotations

from pathlib import Path

import pytest
from qwen_agent.memory import Memory
from qwen_agent.tools.base import TOOL_REGISTRY

from qwenbelt.core.errors import ToolError
from qwenbelt.tools.documents.stock import DocParser, Retrieval, replace_stock_retrieval


@pytest.fixture
def ours(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setenv("QWENBELT_WORKSPACE", str(tmp_path / "w"))
    for name in ("retrieval", "doc_parser"):
        monkeypatch.setitem(TOOL_REGISTRY, name, TOOL_REGISTRY[name])
    return tmp_path / "i.db"


def test_upstreams_memory_searches_our_index(ours: Path, report_pdf: Path) -> None:
    replace_stock_retrieval()
    memory = Memory(files=[str(report_pdf)], rag_cfg={"rag_keygen_strategy": "none"})
    tool = memory.function_map["retrieval"]
    assert isinstance(tool, Retrieval)
    tool.cfg["index"] = str(ours)
    *_, reply = memory.run([{"role": "user", "content": "When were the river works finished?"}])
    assert "[page: 1]" in str(reply)
    assert "1912" in str(reply)


def test_both_give_upstreams_form(ours: Path, report_pdf: Path) -> None:
    cfg = {"index": str(ours)}
    (found,) = Retrieval(cfg).call({"query": "tons of grain", "files": [str(report_pdf)]})
    assert found["url"] == str(report_pdf)
    assert found["text"][0].startswith("[page: 2]")
    parsed = DocParser(cfg).call({"url": str(report_pdf)})
    assert {"content", "token", "metadata"} == set(parsed["raw"][0])
    assert parsed["raw"][0]["metadata"]["page"] == 1
    with pytest.raises(ToolError, match=r"missing\.pdf"):
        Retrieval(cfg).call({"query": "x", "files": ["missing.pdf"]})
