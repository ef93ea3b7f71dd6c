"""Errors of real calls, as a person with a Chinese locale sees them."""

from __future__ import annotations

import contextlib
import json
import re
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from qwenbelt.apps import cli
from qwenbelt.apps.gui.drawing.turn_view import RenderContext, TurnView
from qwenbelt.apps.gui.strings import PageError, explain_on_page
from qwenbelt.core.errors import EndpointError, QwenbeltError
from qwenbelt.core.translation import in_language

HAN = re.compile(r"[\u4e00-\u9fff]")


@pytest.fixture
def _chinese(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("QWENBELT_LANG", "zh")
    monkeypatch.setenv("QWENBELT_WORKSPACE", str(tmp_path / "work"))
    monkeypatch.chdir(tmp_path)


def an_index(folder: Path) -> None:
    from qwenbelt.tools.documents.index import DocumentIndex

    (folder / "other.db").write_bytes(b"no database at all, " * 100)
    DocumentIndex(folder / "other.db")


def a_pdf(folder: Path) -> None:
    from qwenbelt.tools.documents.parsing.pdf.pdfium import open_pdf

    (folder / "a.pdf").write_text("plain text", encoding="utf-8")
    open_pdf(folder / "a.pdf")


def a_scenario(folder: Path) -> None:
    from qwenbelt.testing import parse_scenario

    parse_scenario("say: x\nturns:\n  - cals: [a]\n", name="play.yaml")


def a_server(folder: Path) -> None:
    from qwenbelt.tools.mcp import mcp_tools

    mcp_tools({"mcpServers": {"web": {"command": "no-such-program-7"}}})


def a_query(folder: Path) -> None:
    from qwenbelt.tools.sqlite.engine import Database

    with contextlib.closing(sqlite3.connect(folder / "d.db")) as connection:
        connection.execute("CREATE TABLE planets (name)")
    Database(folder / "d.db").query("DELETE FROM planets")


def settings(folder: Path) -> None:
    from qwenbelt.core.settings import load_settings

    (folder / "qwenbelt.toml").write_text("max_model_calls = 0\n", encoding="utf-8")
    load_settings()


def an_endpoint(folder: Path) -> None:
    from qwenbelt.agents import endpoint

    endpoint("gpt:x")


def a_download(folder: Path) -> None:
    from qwenbelt.core.urls import check_url

    check_url("http://127.0.0.1/x", allow_private=False)


def a_chart(folder: Path) -> None:
    from qwenbelt.tools.plot.tool import Plot

    Plot().call({"kind": "pie", "labels": ["a", "b"], "series": [{"values": [1, 2, 3]}]})


def a_folder(folder: Path) -> None:
    from qwenbelt.core.files import output_folder

    (folder / "file").touch()
    output_folder(folder / "file" / "inner")


def an_argument(folder: Path) -> None:
    from qwenbelt.tools.plot.tool import Plot

    Plot().call({"kind": "cake", "series": [{"values": [1]}]})


def an_agent(folder: Path) -> None:
    from qwenbelt.agents.agent_files import read_agent

    (folder / "helper.md").write_text("---\ntols: [plot]\n---\nHelp.\n", encoding="utf-8")
    read_agent(folder / "helper.md")


CALLS: dict[Callable[[Path], None], tuple[str, ...]] = {
    an_index: ("other.db：无法用作文档索引",),
    a_pdf: ("a.pdf：不是 PDF。",),
    a_scenario: ("play.yaml:3：", "未知的键 'cals'。您是想用 'calls' 吗？"),
    a_server: ("MCP 服务器 web：找不到命令 'no-such-program-7'。请安装它，或给出完整路径。",),
    a_query: ("此处不允许：", "数据库是只读的：请使用一条 SELECT 语句。"),
    settings: ("max_model_calls 必须是不小于 1 的整数，不能是 0。",),
    an_endpoint: ("无法理解端点 'gpt:x'。形式：", "openai:MODEL[@URL]"),
    a_download: (
        "127.0.0.1 指向内网地址，工具不得访问。如需允许，请设置 allow_private_urls = true。",
    ),
    a_chart: ("有 3 个值，而标签有 2 个，两者长度必须相等。",),
    a_folder: ("inner：无法写入（不是目录）。",),
    an_argument: ("plot 的参数有误：kind：必须是 'line', 'bar'",),
    an_agent: ("helper.md：tols：不接受此项。",),
}


@pytest.mark.usefixtures("_chinese")
@pytest.mark.parametrize("call", CALLS, ids=lambda call: call.__name__)
def test_errors_of_real_calls_lose_nothing(call: Callable[[Path], None], tmp_path: Path) -> None:
    with pytest.raises(QwenbeltError) as raised:
        call(tmp_path)
    assert not HAN.search(str(raised.value))  # what logs and programs get
    chinese = in_language(raised.value, "zh")
    for text in CALLS[call]:
        assert text in chinese
    for number in re.findall(r"\d+", str(raised.value)):
        assert number in chinese


@pytest.mark.usefixtures("_chinese")
@pytest.mark.parametrize(
    ("words", "line"),
    [
        (
            ["tools", "call", "plot", "[1]"],
            "错误：ARGUMENTS 必须是 JSON 对象，不能是 list。",
        ),
        (["replay", "none.cassette"], "错误：none.cassette：没有这个文件。"),
        (["trace", "show", "none"], "错误：none：没有这个文件，或无法访问。"),
        (["run", "-e", "gpt:x", "hello"], "错误：无法理解端点 'gpt:x'。形式："),
    ],
)
def test_the_command_line_speaks_chinese(
    words: list[str], line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.run(words) != 0
    told = capsys.readouterr().err
    assert told.startswith(line)
    assert HAN.search(told)


@pytest.mark.usefixtures("_chinese")
def test_what_programs_read_stays_english(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "notes.odd").write_text("x", encoding="utf-8")
    cli.run(["docs", "add", "notes.odd", "--index", "i.db", "--json"])
    printed = capsys.readouterr().out
    assert "this format is not read" in printed
    assert not HAN.search(printed)
    cli.run(["docs", "add", "notes.odd", "--index", "i.db"])
    assert "notes.odd：不支持读取这种格式。" in capsys.readouterr().err


@pytest.mark.usefixtures("_chinese")
def test_doctor_speaks_chinese_and_its_json_english(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from qwenbelt.apps import doctor

    monkeypatch.setattr(doctor, "CHECKS", [doctor.settings])
    (tmp_path / "qwenbelt.toml").write_text("endpont = 'x'\n", encoding="utf-8")
    cli.run(["doctor"])
    told = capsys.readouterr().out
    assert "未知的设置 'endpont'。" in told
    assert "-> 现有：endpoint," in told
    cli.run(["doctor", "--json"])
    (check,) = json.loads(capsys.readouterr().out)["checks"]
    assert "unknown setting 'endpont'." in check["detail"]


def test_the_chat_page_follows_its_own_language() -> None:
    error = EndpointError("The reply was cut off in the middle.")
    assert explain_on_page(error, "zh") == "回复中途被截断。"
    assert explain_on_page(error, "en") == str(error)
    assert explain_on_page(PageError("busy"), "zh") == "回答仍在进行，请先停止。"


def test_a_turn_tells_failures_and_limits_in_chinese() -> None:
    view = TurnView("t", RenderContext(language="zh"))
    view.feed({"event": "retrying", "reason": "http://a does not answer (x).", "delay": 1.0})
    view.feed(
        {"event": "failed", "text": "The question is empty. Say what the report should answer."}
    )
    view.feed({"event": "done", "reason": "tokens", "detail": "the budget of 9 tokens is used up"})
    html = view.html()
    assert "http://a 没有响应（x）" in html
    assert "问题为空。请说明报告要回答什么。" in html
    assert "预算已用完（token：9）" in html
