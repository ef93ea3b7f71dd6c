"""Resources as files and prompts as commands, with a real server."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from qwenbelt.core.errors import InputError, QwenbeltError
from qwenbelt.tools.mcp.offered import Offered

SERVER = str(Path(__file__).with_name("sdk_server.py"))


@pytest.fixture
def offered(tools_of: Callable[..., dict[str, Any]]) -> Offered:
    tools = tools_of(notes={"command": sys.executable, "args": [SERVER, "stdio"]})
    return Offered([*tools.values(), object()])


def test_resources_become_files(offered: Offered, tmp_path: Path) -> None:
    assert {r.reference for r in offered.resources()} == {
        "@notes:note://today",
        "@notes:note://{day}/picture",
    }
    text = "Compare @notes:note://today, (@notes:note://monday/picture) and mail me@notes:x or @a:b"
    note, picture = offered.take(text, tmp_path)
    assert note.read_text() == "Buy milk."
    assert (note.suffix, picture.suffix) == (".txt", ".png")
    assert picture.read_bytes() == b"\x89PNGmonday"
    assert sorted(tmp_path.iterdir()) == sorted([note, picture])
    with pytest.raises(QwenbeltError, match="note://none"):
        offered.take("@notes:note://none", tmp_path)


def test_prompts_become_questions(offered: Offered) -> None:
    (prompt,) = offered.prompts()
    assert (prompt.command, prompt.required) == ("/notes:review", ("code",))
    assert offered.fill("/notes:review code='a b' style=strict") == "Review in a strict style: a b"
    assert offered.fill("/notes:review x=1") == "Review in a kind style: x=1"
    assert offered.fill("/help") is None
    for line, said in (
        ("/notes:review", r"needs code.*code=… \[style=…\]"),
        ("/notes:review a b c", "takes no argument"),
        ("/notes:nothing", "/notes:review"),
        ("/notes:review 'a", "No closing"),
    ):
        with pytest.raises(InputError, match=said):
            offered.fill(line)


def test_lines_are_completed(offered: Offered) -> None:
    assert offered.complete("/no") == ["/notes:review"]
    assert offered.complete("read @notes:note://t") == ["@notes:note://today"]
    assert offered.complete("/notes:review ") == ["code=", "style="]
    assert offered.complete("/notes:review style=k") == ["style=kind", "style=kurt"]
    assert offered.complete("hello") == []
