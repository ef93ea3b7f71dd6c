from __future__ import annotations

import importlib.resources
import json
import os
import re
import subprocess
import sys
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qwenbelt.core import translation
from qwenbelt.core.errors import ConfigError, EndpointError, InputError
from qwenbelt.core.translation import in_language

ROWS: dict[str, str] = json.loads(
    importlib.resources.files("qwenbelt.core").joinpath("errors.zh.json").read_text("utf-8")
)


def test_message_and_mend_are_translated_apart_and_joined_without_a_space() -> None:
    error = ConfigError("qwenbelt.toml: unknown setting 'colour'.", fix="Known are: keys, rates.")
    assert in_language(error, "zh") == "qwenbelt.toml：未知的设置 'colour'。现有：keys, rates。"
    assert in_language(error, "en") == str(error)
    assert in_language(str(error), "zh") == in_language(error, "zh")  # after it became a text


def test_a_mend_of_the_catalogue_joins_a_message_from_elsewhere() -> None:
    error = EndpointError(
        "The endpoint http://a/v1 answered 401: bad key", fix="Check the API key."
    )
    assert in_language(error, "zh") == "端点 http://a/v1 返回 401：bad key。请检查 API 密钥。"
    assert (
        in_language(InputError("Odd!", fix="Check the API key."), "zh") == "Odd! 请检查 API 密钥。"
    )
    assert in_language(InputError("Odd", fix="More."), "zh") == "Odd。More."


@pytest.mark.parametrize(
    ("english", "chinese"),
    [
        (
            "MCP server web: The command 'x' was not found. Install it, or give its full path.",
            "MCP 服务器 web：找不到命令 'x'。请安装它，或给出完整路径。",
        ),
        (
            "MCP server a did not start: it ended with exit code 1: Traceback.",
            "MCP 服务器 a 未能启动：它已结束，退出码 1: Traceback。",
        ),
        (
            "a.md: cannot be read as an agent (a.md: the file is empty.).",
            "a.md：无法作为智能体读取（a.md：文件为空）。",
        ),
        (
            "s.yaml:3: turns[1]: unknown key 'cals'. Did you mean 'calls'?",
            "s.yaml:3：turns[1]：未知的键 'cals'。您是想用 'calls' 吗？",
        ),
        ("x: 3 vectors came for 4 texts.", "x：对 4 个文本返回了 3 个向量，数量不符。"),
        (
            "m could not be downloaded. modelscope: it does not answer as expected (HTTP 500).",
            "无法下载 m。modelscope：没有按预期响应（HTTP 500）。",
        ),
        ("/a b/c: Permission denied.", "/a b/c：权限不够。"),
    ],
)
def test_what_stands_inside_is_translated_too(english: str, chinese: str) -> None:
    assert in_language(english, "zh") == chinese


@pytest.mark.parametrize(
    "text",
    [
        *("", ".", ": ", "{}", "no such words", "https://a.b: c. d; e? f", "没有密钥。 请设置。"),
        "KeyError: 'name'",
    ],
)
def test_what_the_catalogue_does_not_know_stays_as_it_is(text: str) -> None:
    assert in_language(text, "zh") == text
    assert in_language(ValueError(text), "zh") == text


@pytest.mark.parametrize("english", ROWS, ids=range(len(ROWS)))
def test_every_row_translates_its_text_and_loses_nothing(english: str) -> None:
    values = [f"<{number}>" for number in range(english.count("{}"))]
    inserted, spots = iter(values), iter(values)
    text = re.sub(r"\{\}", lambda _: next(inserted), english)
    chinese = re.sub(
        r"\{~?(\d*)\}", lambda m: values[int(m[1])] if m[1] else next(spots), ROWS[english]
    )
    assert in_language(text, "zh") == chinese
    assert all(value in chinese for value in values)


def test_a_word_is_only_translated_where_it_is_no_name() -> None:
    assert in_language("none: is a folder; give a file.", "zh") == "none：是文件夹，请给出文件。"
    text = "There is no artifact 'a'. Known: none."
    assert in_language(text, "zh") == "没有产物 'a'。现有：无。"
    assert in_language("Set no and try again.", "zh") == "请设置 no 后重试。"


def test_the_order_of_rows_does_not_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    text = "mcpServers.a.cwd: x is not a folder."
    before = in_language(text, "zh")
    assert before == "mcpServers.a.cwd：x 不是文件夹。"
    backwards = json.dumps(dict(reversed(ROWS.items())))
    translation._catalogue.cache_clear()
    with monkeypatch.context() as patched:
        patched.setattr(translation.json, "loads", lambda _, loads=json.loads: loads(backwards))
        assert in_language(text, "zh") == before
    translation._catalogue.cache_clear()


@pytest.mark.parametrize(
    "text",
    [
        *("a: " * 700, "it ended; " * 200, "x failed: " * 200, "The endpoint reported: x. " * 80),
        *(" must be , not " * 130, "MCP server : " * 150, "(" * 2000, "{}" * 1000, ". " * 1000),
        " needs a URL. ".join(["The engine refused: {} failed: "] * 60),
    ],
    ids=range(10),
)
def test_a_hostile_text_takes_no_time(text: str) -> None:
    in_language("x", "zh")
    started = time.process_time()
    in_language(text[:2000], "zh")
    assert time.process_time() - started < 1


@given(st.text(max_size=500) | st.lists(st.sampled_from([*ROWS, ": ", ". ", "x"])).map("".join))
def test_any_text_comes_back_as_a_text(text: str) -> None:
    assert isinstance(in_language(text[:500], "zh"), str)


def test_nobody_who_reads_english_waits_for_the_catalogue() -> None:
    code = (
        "import sys; from qwenbelt.apps.cli import run; run(['trace', 'show', 'nothing']);"
        "assert 'qwenbelt.core.translation' not in sys.modules or not "
        "sys.modules['qwenbelt.core.translation']._catalogue.cache_info().currsize"
    )
    environment = {**os.environ, "QWENBELT_LANG": "en"}
    subprocess.run([sys.executable, "-c", code], check=True, env=environment, capture_output=True)
