from __future__ import annotations

import contextlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qwenbelt.core.errors import ConfigError
from qwenbelt.tools.mcp.config import ServerConfig, read_config
from qwenbelt.tools.mcp.tool import tool_name


def test_the_keys_of_qwen_agent_and_ours(tmp_path) -> None:
    config = {
        "mcpServers": {
            "a": {
                "command": "npx",
                "args": ["-y", "x"],
                "env": {"A": "b"},
                "cwd": str(tmp_path),
                "start_timeout": 3,
                "call_timeout": 4.5,
                "tools": ["t"],
                "approve": "ask",
            },
            "b": {"url": "http://h/sse", "type": "sse", "headers": {}, "sse_read_timeout": 9},
            "c": {"url": "http://h/mcp", "type": "streamable-http"},
            "d": {"url": "http://h/mcp"},
            "e": {"command": "x", "disabled": True},
            "f": {"command": "x", "autoApprove": ["t"], "description": "another client's keys"},
        }
    }
    a, b, c, d, f = read_config(config)
    assert (a.kind, a.command, a.args, a.tools, a.approve) == (
        "stdio",
        "npx",
        ("-y", "x"),
        ("t",),
        "ask",
    )
    assert (a.start_timeout, a.call_timeout, a.cwd) == (3, 4.5, str(tmp_path))
    assert (b.kind, b.sse_read_timeout, c.kind, d.kind, f.kind) == (
        "sse",
        9,
        "http",
        "auto",
        "stdio",
    )
    file = tmp_path / "mcp.json"
    file.write_text(json.dumps(config), encoding="utf-8")
    assert read_config(file) == read_config(str(file)) == [a, b, c, d, f]


def one(entry: object) -> ServerConfig:
    (server,) = read_config({"mcpServers": {"s": entry}})
    return server


@pytest.mark.parametrize(
    "off",
    [
        {"disabled": True},
        {"Disabled": "true"},
        {"isDisabled": 1},
        {"enabled": False},
        {"enabled": "false"},
        {"isActive": False},
        {"is_active": 0},
        {"active": "no"},
        {"enabled": True, "disabled": True},
    ],
)
def test_a_server_that_is_switched_off_in_any_spelling(off) -> None:
    assert read_config({"mcpServers": {"s": {"command": "x", **off}}}) == []
    on = {key: {"true": "false", "false": "true"}.get(v, not v) for key, v in off.items()}
    if len(off) == 1 and off != {"active": "no"}:
        assert one({"command": "x", **on}).command == "x"


@pytest.mark.parametrize(
    ("entry", "found"),
    [
        (
            {"includeTools": ["a"], "excludeTools": ["b"]},
            {"tools": ("a",), "exclude_tools": ("b",)},
        ),
        ({"allowed_tools": ["a"]}, {"tools": ("a",)}),
        ({"disabledTools": ["a"]}, {"exclude_tools": ("a",)}),
        ({"tools": ["*"]}, {"tools": None}),
        ({"timeout": 60}, {"call_timeout": 60}),
        ({"timeout": 1500}, {"call_timeout": 1.5}),
        ({"timeout": 500, "trust": False}, {"call_timeout": 0.5, "approve": "ask"}),
        ({"trust": True}, {"approve": "auto"}),
        ({"trust": True, "approve": "never"}, {"approve": "never"}),
        (
            {"tool_timeout_sec": 7, "startup_timeout_sec": 8},
            {"call_timeout": 7, "start_timeout": 8},
        ),
        (
            {"env": {"A": 1, "B": True, "C": None, "D": 2.0}},
            {"env": {"A": "1", "B": "true", "D": "2"}},
        ),
        ({"args": ["--port", 80]}, {"args": ("--port", "80")}),
        ({"command": "npx -y pkg", "args": ["x"]}, {"command": "npx", "args": ("-y", "pkg", "x")}),
        (
            {"command": ["npx", "-y", "pkg"], "type": "local"},
            {"command": "npx", "args": ("-y", "pkg")},
        ),
        ({"args": ["${NAMED}", "${UNSET_X}"]}, {"args": ("value", "${UNSET_X}")}),
        ({"env": {"A": "${env:NAMED}"}}, {"env": {"A": "value"}}),
        ({"icon": "i.png", "alwaysAllow": ["a"], "gallery": True}, {"command": "x"}),
    ],
)
def test_other_clients_keys(entry, found, monkeypatch) -> None:
    monkeypatch.setenv("NAMED", "value")
    server = one({"command": "x", **entry})
    assert {key: getattr(server, key) for key in found} == found


@pytest.mark.parametrize(
    ("entry", "kind"),
    [
        ({"httpUrl": "http://h/x"}, "http"),
        ({"serverUrl": "http://h/x"}, "auto"),
        ({"baseUrl": "http://h/sse"}, "sse"),
        ({"url": "http://h/x", "type": "streamableHttp"}, "http"),
        ({"url": "http://h/x", "type": "remote"}, "auto"),
    ],
)
def test_other_clients_urls(entry, kind) -> None:
    assert (one(entry).kind, one(entry).url[:8]) == (kind, "http://h")


@pytest.mark.parametrize(
    "config",
    [
        {"servers": {"s": {"type": "stdio", "command": "x"}}, "inputs": []},
        {"mcp": {"servers": {"s": {"command": "x"}}}, "editor.fontSize": 12},
        {"$schema": "u", "mcp": {"s": {"type": "local", "command": ["x"]}}},
        {"mcpServers": [{"name": "s", "command": "x"}]},
        {"s": {"command": "x"}},
    ],
)
def test_other_clients_files(config) -> None:
    (server,) = read_config(config)
    assert (server.name, server.command, server.kind) == ("s", "x", "stdio")


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_files_with_comments_and_any_mark(tmp_path, encoding) -> None:
    file = tmp_path / "mcp.json"
    text = """{ // our servers
      "mcpServers": {"s": {"command": "x", /* "url": "no" */ "args": ["http://a, ]", "b",],},}, //
    }"""
    file.write_text(text, encoding=encoding)
    assert read_config(file)[0].args == ("http://a, ]", "b")


@pytest.mark.parametrize("key", ["allowList", "readOnly", "denyTools", "toolFilter", "sandboxed"])
def test_an_unknown_key_that_restricts_is_refused_by_name(key) -> None:
    with pytest.raises(ConfigError, match=rf"s.{key} is not known, and seems to restrict"):
        one({"command": "x", key: True})


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        ({}, "mcpServers.s needs a command or a url"),
        (7, "must be an object"),
        ({"command": ""}, "s.command must be a text"),
        ({"command": "x\0"}, "s.command must be a text"),
        ({"command": "x", "args": "y"}, "s.args must be a list of texts"),
        ({"command": "x", "args": [[]]}, "s.args must be a list of texts"),
        ({"command": "x", "env": {"A": []}}, "s.env.A must be a text"),
        (
            {"command": "x", "env": {"A": "${NO_SUCH_NAME}"}},
            "uses .{NO_SUCH_NAME}, which is not set",
        ),
        ({"command": "x", "cwd": "/no/such"}, "is not a folder"),
        ({"command": "x", "start_timeout": 0}, "start_timeout must be a number of seconds above 0"),
        ({"command": "x", "call_timeout": "5"}, "call_timeout must be a number"),
        ({"command": "x", "call_timout": 5}, "call_timout is not known. Is call_timeout meant"),
        ({"command": "x", "approve": True}, "approve is True. Use ask, auto or never"),
        ({"command": "x", "enabled": "perhaps"}, "s.enabled must be true or false"),
        ({"command": "x", "envFile": ".env"}, "envFile is not read. Write the variables into"),
        ({"url": "http://h", "headers": {"A": "${input:token}"}}, "asks for 'token' at start"),
        ({"url": "ftp://h"}, "url must begin with http"),
        ({"url": "http://h", "type": "carrier pigeon"}, "Use stdio, streamable-http or sse"),
    ],
)
def test_mistakes_are_named(entry, said) -> None:
    with pytest.raises(ConfigError, match=said):
        read_config({"mcpServers": {"s": entry}})


def test_no_servers_and_bad_files(tmp_path) -> None:
    for config in ({}, {"mcpServers": {}}, {"mcpServers": []}):
        with pytest.raises(ConfigError, match="needs servers"):
            read_config(config)
    with pytest.raises(ConfigError, match="No such file"):
        read_config(tmp_path / "none.json")
    bad = tmp_path / "bad.json"
    bad.write_text("{", encoding="utf-8")
    with pytest.raises(ConfigError, match="cannot be read as JSON"):
        read_config(bad)


def test_a_missing_program_is_named() -> None:
    from qwenbelt.tools.mcp import mcp_tools

    with pytest.raises(
        ConfigError, match=r"MCP server s: The command 'no-such-program' was not fo"
    ):
        mcp_tools({"mcpServers": {"s": {"command": "no-such-program"}}})


def test_names_are_those_of_qwen_agent() -> None:
    assert tool_name("memory", "read_graph") == "memory-read_graph"


@given(st.text(min_size=1), st.text(min_size=1))
def test_names_always_fit_endpoints(server: str, tool: str) -> None:
    import re

    assert re.fullmatch(r"[A-Za-z0-9_-]{1,64}", tool_name(server, tool))


@given(
    st.recursive(
        st.none() | st.booleans() | st.floats() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    )
)
def test_any_json_gives_servers_or_a_config_error(value: object) -> None:
    with contextlib.suppress(ConfigError):
        read_config({"mcpServers": value})
