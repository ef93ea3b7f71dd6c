"""qwen-agent's own agents on this pack; docs/compatibility.md lists exactly what runs here."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from qwen_agent import agents as stock
from qwen_agent.agents.memo_assistant import MemoAssistant
from qwen_agent.tools.base import BaseTool

import qwenbelt.tools  # noqa: F401  registers our tools
from qwenbelt import agents as ours
from qwenbelt.testing import Scenario, ScriptedServer

PAGE = Path(__file__).resolve().parents[2] / "docs" / "compatibility.md"
ASK = [{"role": "user", "content": "How tall is the tower?"}]


class Measure(BaseTool):  # type: ignore[misc]
    name = "measure"
    description = "Measures a thing."
    parameters = [  # noqa: RUF012  qwen-agent's older form of a declaration
        {"name": "thing", "type": "string", "description": "what", "required": True}
    ]

    def call(self, params: str, **kwargs: Any) -> str:
        return f"{json.loads(params)['thing']}: 112 m"


@pytest.fixture
def llm() -> Iterator[Callable[..., dict[str, Any]]]:
    servers: list[ScriptedServer] = []

    def serve(scenario: Scenario, **options: Any) -> dict[str, Any]:
        server = ScriptedServer(scenario, **options).start()
        servers.append(server)
        return {**server.llm, "model_type": "qwenbelt"}

    yield serve
    for server in servers:
        server.stop()
        assert server.problems == []


@pytest.fixture
def text_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("QWEN_AGENT_DEFAULT_WORKSPACE", str(tmp_path))
    path = tmp_path / "tower.txt"
    path.write_text("The tower of Lindau is 112 m tall.\n" * 3, encoding="utf-8")
    return str(path)


def last(agent: Any, messages: list[dict[str, Any]] = ASK, **kwargs: Any) -> str:
    """The text of the last message of a run."""
    *_, final = agent.run(messages=[dict(m) for m in messages], **kwargs)
    return str(final[-1]["content"])


def measured(count: int = 1) -> Scenario:
    calls = [("measure", {"thing": f"tower {n}"}) for n in range(count)]
    script = Scenario().turn(calls=calls)
    return script.answer("112 m.", expect={"results": {"measure": [{"contains": "112 m"}] * count}})


def assistant(kind: Any, llm: Any, file: str) -> None:
    script = Scenario().answer("112 m.", expect={"system": {"contains": "112 m tall"}})
    message = [{"role": "user", "content": [{"text": ASK[0]["content"]}, {"file": file}]}]
    assert last(kind(llm=llm(script)), message) == "112 m."


def calling(kind: Any, llm: Any, file: str) -> None:
    assert last(kind(function_list=[Measure()], llm=llm(measured()))) == "112 m."


def parallel(kind: Any, llm: Any, file: str) -> None:
    settings = {"generate_cfg": {"parallel_function_calls": True}}
    agent = kind(function_list=[Measure()], llm={**llm(measured(3)), **settings})
    assert last(agent) == "112 m."


def react(kind: Any, llm: Any, file: str) -> None:
    text = last(kind(function_list=[Measure()], llm=llm(measured())))
    assert "Observation: tower 0: 112 m" in text
    assert text.endswith("112 m.")


def analysis(kind: Any, llm: Any, file: str) -> None:
    code = "len(('The tower of Lindau is 112 m tall. ' * 3).split())"
    if kind is not stock.Assistant:
        code = "len(open('tower.txt').read().split())"
    script = Scenario().turn(calls=[("code_interpreter", {"code": code})])
    script.answer("It has 24 words.", expect={"results": {"code_interpreter": {"contains": "24"}}})
    tool = {"name": "code_interpreter", "allow_unsandboxed": True}
    agent = kind(function_list=[tool], llm=llm(script))
    # a stock Assistant asks its own retrieval first when a message holds a file
    extra = [] if kind is stock.Assistant else [{"file": file}]
    message = [{"role": "user", "content": [{"text": "How many words?"}, *extra]}]
    assert last(agent, message).endswith("It has 24 words.")


def mcp(kind: Any, llm: Any, file: str) -> None:
    server = ["-m", "qwenbelt.mcp_servers.sqlite", "--db-path", f"{file}.db", "--write"]
    config = {"mcpServers": {"db": {"command": sys.executable, "args": server}}}
    create = {"query": "CREATE TABLE towers (name TEXT, metres INTEGER)"}
    script = Scenario().turn(calls=[("db-create_table", create)])
    script.turn(calls=[("db-list_tables", {})])
    script.answer("One.", expect={"results": {"db-list_tables": {"contains": "towers"}}})
    agent = kind(function_list=[config], llm=llm(script), approve="auto")
    assert last(agent) == "One."


def router(kind: Any, llm: Any, file: str) -> None:
    member = ours.FnCallAgent(
        [Measure()], llm=llm(measured()), name="measurer", description="Measures."
    )
    other = ours.Assistant(llm=llm(Scenario()), name="talker", description="Talks.")
    chooser = Scenario().answer("Call: measurer\nReply: 112 m.")
    assert last(kind(llm=llm(chooser), agents=[member, other])) == "112 m."


def group(kind: Any, llm: Any, file: str) -> None:
    one = ours.Assistant(llm=llm(Scenario().answer("A.")), name="one", description="a")
    two = ours.FnCallAgent([Measure()], llm=llm(measured()), name="two", description="b")
    chat = kind(agents=[one, two], agent_selection_method="round_robin", llm=llm(Scenario()))
    messages = [{**ASK[0], "name": "user"}]
    *_, final = chat.run(messages=messages, max_round=2)
    assert final[-1]["content"] == "112 m."


def memo(kind: Any, llm: Any, file: str) -> None:
    note = {"operate": "put", "key": "tower", "value": "112 m"}
    script = Scenario().turn(calls=[("storage", note)]).answer("Noted.")
    assert last(kind(llm=llm(script))) == "Noted."


ROWS: list[tuple[str, str, Any, Callable[[Any, Any, str], None]]] = [
    ("`Assistant` with a file", "ours", ours.Assistant, assistant),
    ("`FnCallAgent`, a tool of one's own", "ours", ours.FnCallAgent, calling),
    ("`FnCallAgent`, a tool of one's own", "qwen-agent's", stock.FnCallAgent, calling),
    ("parallel function calls", "ours", ours.Assistant, parallel),
    ("parallel function calls", "qwen-agent's", stock.Assistant, parallel),
    ("`ReActChat`", "ours", ours.ReActChat, react),
    ("`ReActChat`", "qwen-agent's", stock.ReActChat, react),
    ("data analysis by ReAct and `code_interpreter`", "ours", ours.ReActChat, analysis),
    (
        "data analysis by `Assistant` and `code_interpreter`",
        "qwen-agent's",
        stock.Assistant,
        analysis,
    ),
    ("a SQLite bot over MCP", "ours", ours.Assistant, mcp),
    ("`Router` with members of ours", "qwen-agent's", stock.Router, router),
    ("`GroupChat` with members of ours", "qwen-agent's", stock.GroupChat, group),
    ("`MemoAssistant`", "qwen-agent's", MemoAssistant, memo),
]


@pytest.mark.parametrize("row", ROWS, ids=[f"{row[3].__name__}-{row[1]}" for row in ROWS])
def test_it_runs(row: Any, llm: Any, text_file: str) -> None:
    _, _, kind, run = row
    run(kind, llm, text_file)


def test_the_page_lists_what_is_tested() -> None:
    text = PAGE.read_text(encoding="utf-8")
    listed = [line for line in text.splitlines() if line.endswith("| runs |")]
    assert listed == [f"| {title} | {whose} | runs |" for title, whose, _, _ in ROWS]
