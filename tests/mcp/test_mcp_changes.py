"""Resources that change under a conversation, replies that are kept, titles and icons."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mcp_types import Icon

from qwenbelt.core.errors import InputError
from qwenbelt.tools.mcp.changes import FollowedResources
from qwenbelt.tools.mcp.connection import in_known_order
from qwenbelt.tools.mcp.icons import own_icon
from qwenbelt.tools.mcp.leniency import Mender
from qwenbelt.tools.mcp.offered import Offered, Refreshed
from qwenbelt.tools.mcp.templates import typed_variable

SERVER = str(Path(__file__).with_name("changing_server.py"))
ASKED = "What does @c:note://today say?"
DOT = "data:image/svg+xml;base64,PHN2ZyB4bWxucz0iaHR0cDovL3d3dy53My5vcmcvMjAwMC9zdmciLz4="


@pytest.fixture
def tools(tools_of: Callable[..., dict[str, Any]]) -> dict[str, Any]:
    return tools_of(c={"command": sys.executable, "args": [SERVER]})


def until(looked: Callable[[], Any]) -> Any:
    end = time.monotonic() + 30
    while not (found := looked()) and time.monotonic() < end:
        time.sleep(0.02)
    return found


def test_a_resource_that_changes_comes_along_with_the_next_question(
    tools: dict[str, Any], tmp_path: Path
) -> None:
    offered = Offered(tools.values())
    (first,) = offered.take(ASKED, tmp_path)
    assert offered.refreshed([ASKED], tmp_path) == Refreshed()
    tools["c-write"].call({"text": "Buy bread."})
    again = until(lambda: offered.refreshed([ASKED, "and @c:note://nowhere?"], tmp_path).files)
    ((reference, (second,)),) = again.items()
    assert (reference, second.read_text()) == ("@c:note://today", "Buy bread.")
    assert first.read_text() == "Buy milk."  # what was answered from it stays
    assert second.name in Refreshed(again).told()
    assert offered.refreshed([ASKED], tmp_path).files == {}
    # the same words again are no new version
    tools["c-write"].call({"text": "Buy bread."})
    assert until(lambda: offered._connections["c"].followed.is_new(str(tmp_path), "note://today"))
    assert Offered(tools.values()).refreshed([ASKED], tmp_path).files == {}
    # taken out of the conversation, it does not come back
    for path in tmp_path.iterdir():
        path.unlink()
    tools["c-write"].call({"text": "Buy tea."})
    assert until(lambda: offered._connections["c"].followed.is_new(str(tmp_path), "note://today"))
    assert offered.refreshed([ASKED], tmp_path).files == {}


def test_after_a_start_the_resources_of_a_conversation_are_looked_at(
    tools: dict[str, Any], tmp_path: Path
) -> None:
    offered = Offered(tools.values())
    (first,) = offered.take(ASKED, tmp_path)
    first.write_text("What it said yesterday.")
    elsewhere = tmp_path.rename(tmp_path.with_name("elsewhere"))  # a holder nobody knows yet
    (new,) = Offered(tools.values()).refreshed([ASKED], elsewhere).files["@c:note://today"]
    assert new.read_text() == "Buy milk."


def test_replies_are_kept_for_as_long_as_the_server_says(tools: dict[str, Any]) -> None:
    def reads() -> str:
        return str(tools["c-count_reads"].call({}))

    def read() -> str:
        return str(tools["c-read_resource"].call({"uri": "note://today"}))

    assert [read(), read(), read()] == ["Buy milk."] * 3
    assert reads() == "1"  # the others within its `ttlMs`
    offered = Offered(tools.values())
    offered._connections["c"].loop.submit(offered._connections["c"].follow("note://today")).result()
    assert until(lambda: offered._connections["c"].followed.number("note://today"))
    tools["c-write"].call({"text": "Buy bread."})
    assert until(lambda: read() == "Buy bread.")  # a change ends it early
    assert reads() == "2"


def test_titles_and_icons_and_values_of_templates(tools: dict[str, Any]) -> None:
    write = tools["c-write"]
    assert (write.title, write.icon) == ("Write the note", DOT)
    offered = Offered(tools.values())
    (prompt,) = offered.prompts()
    assert (prompt.title, prompt.icon) == ("Ask kindly", DOT)
    today, template = offered.resources()
    assert (today.title, today.icon, template.icon) == ("Today's note", DOT, "")
    assert offered.complete("@c:note://w") == ["@c:note://work"]
    assert offered.complete("@c:note://home/a%20") == ["@c:note://home/a%20b"]
    assert offered.complete("read @c:note://work/of/m") == ["@c:note://work/of/monday%20of%20work"]
    assert offered.complete("/c:ask to") == ["tone="]
    assert offered.complete("/c:ask tone=v") == ["tone='very kind'"]
    assert offered.complete("/c:ask tone='very kind' day=m") == ["day='monday of very kind'"]
    with pytest.raises(InputError, match="template"):
        offered.take("@c:note://{+folder}/of/{day}", Path())


def test_only_whole_small_pictures_are_icons() -> None:
    png = "data:image/png;base64,iVBORw0KGgo="
    refused = (
        "https://example.org/a.png",
        "http://127.0.0.1/a.png",
        "javascript:alert(1)",
        "data:text/html;base64,PGI+",
        "data:image/png;base64,PHN2Zz4=",  # not what it says
        "data:image/svg+xml,<svg/>",
        f"data:image/png;base64,iVBORw0KGgo{'A' * 99_997}",
        'data:image/png;base64,iVBORw0KGgo="onerror="x',
    )
    assert own_icon([Icon(src=one) for one in refused]) == ("", len(refused))
    assert own_icon([Icon(src=DOT, theme="dark"), Icon(src=png, theme="light")]) == (png, 0)
    assert own_icon(None) == ("", 0)


def test_notices_of_a_part_reach_who_holds_the_whole() -> None:
    followed = FollowedResources()
    for uri in ("a://x", "a://xy", "a://b/"):
        assert followed.follow(uri)
    followed.seen("me", "a://x", followed.number("a://x"))
    followed.changed("a://xy/part")
    followed.changed("a://b/c")
    assert [followed.number(u) for u in followed.uris()] == [0, 1, 1]
    assert not followed.is_new("me", "a://x")
    assert followed.is_new("you", "a://x")
    assert sum(followed.follow(f"many://{n}") for n in range(300)) == 197


def test_a_ttl_that_is_none_is_passed_over() -> None:
    mender = Mender()
    found = {}
    for number, ttl in enumerate(("soon", -1, True, None, 10**15, 1500)):
        result = {"tools": [], "ttlMs": ttl}
        mender._list("tools/list", result)
        found[number] = result.get("ttlMs")
    assert found == {4: 24 * 3600 * 1000, 5: 1500} | dict.fromkeys(range(4))
    assert (len(mender.notes), mender.lasting()) == (4, 1.5)


@given(st.permutations([*"abcdef"]), st.permutations([*"bcdxyz"]))
def test_known_tools_keep_their_order(known: list[str], listed: list[str]) -> None:
    from mcp_types import Tool

    def tools(names: list[str]) -> list[Tool]:
        return [Tool(name=name, input_schema={}) for name in names]

    found = [tool.name for tool in in_known_order(tools(listed), tools(known))]
    assert found == [n for n in known if n in listed] + [n for n in listed if n not in known]


@given(st.text(alphabet="ab/%{}+", max_size=12), st.text(alphabet="ab/%{}+", max_size=12))
def test_templates_of_any_kind_are_read(template: str, written: str) -> None:
    typed = typed_variable(template, written)
    if typed is not None:
        assert written.startswith(typed.before)
        assert "{" in template
