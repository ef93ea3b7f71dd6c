"""qwen-agent's own agents on this pack; docs/compatibility.md lists exactly what runs here."""

from __future__ import annotations

import importlib.metadata
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from qwen_agent import agents as stock
from qwen_agent.agents.memo_assistant import MemoAssistant
from qwen_agent.tools.base import TOOL_REGISTRY, BaseTool

import qwenbelt.tools  # noqa: F401  registers our tools
from qwenbelt import agents as ours
from qwenbelt.testing import Scenario, ScriptedServer
from qwenbelt.tools.documents.stock import replace_stock_retrieval

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "compatibility.md"
CHINESE = ROOT / "docs" / "zh" / "compatibility.md"
DEMO_PDF = next((ROOT / "workflows" / "demo").glob("*.pdf"))
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


KEYWORDS = "Please extract keywords from the question"


def knowing(kind: Any) -> Scenario:
    """Answers when it knows the passage; stock retrieval asks for key words first."""
    script = Scenario()
    if kind is not ours.Assistant:
        script.conversation(KEYWORDS).answer('{"keywords_en": ["tower"]}')
    script.conversation(ASK[0]["content"])
    # ours puts passages beside the question: the beginning of requests stays as it is
    where = "user" if kind is ours.Assistant else "system"
    return script.answer("112 m.", expect={where: {"contains": "112 m tall"}})


def assistant(kind: Any, llm: Any, file: str) -> None:
    assert last(kind(llm=llm(knowing(kind))), with_file(file)) == "112 m."


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


def parallel_documents(kind: Any, llm: Any, file: str) -> None:
    """Members read the passages, one finds key words, one answers."""
    member = "Please provide your answer according to the answering rules:"
    found = '{"res": "ans", "content": "112 m"}'
    script = knowing(kind).conversation(member).answer(found)
    assert last(kind(llm=llm(script)), with_file(file)) == "112 m."


def virtual_memory(kind: Any, llm: Any, file: str) -> None:
    call = ("retrieval", {"query": "tower", "files": [file]})
    script = Scenario().turn(calls=[call])
    script.answer("112 m.", expect={"system": {"contains": "112 m tall"}})
    assert last(kind(llm=llm(script)), with_file(file)) == "112 m."


def long_dialogue(kind: Any, llm: Any, file: str) -> None:
    said = [{"role": "user", "content": f"Remark {n}: nothing much."} for n in range(40)]
    said[20]["content"] = "The tower of Lindau is 112 m tall."
    talk = [m for one in said for m in (one, {"role": "assistant", "content": "I see."})]
    (Path(file).parent / "workspace").mkdir()
    assert last(kind(llm=llm(knowing(kind))), [*talk, *ASK], session_id="s") == "112 m."


def several_questions(kind: Any, llm: Any, file: str) -> None:
    """A dialogue that goes on, as upstream's examples loop over `input()`."""
    script = measured().answer("112 m, too.", say="And the other?")
    agent = kind(function_list=[Measure()], llm=llm(script))
    messages = [dict(ASK[0])]
    for asked in (None, "And the other?"):
        if asked is not None:
            messages.append({"role": "user", "content": asked})
        *_, answer = agent.run(messages=messages)
        messages += answer
    assert messages[-1]["content"] == "112 m, too."


def web_ui(kind: Any, llm: Any, file: str) -> None:
    """`WebUI(bot).run()` serves a page that names the agent."""
    pytest.importorskip("gradio", reason='needs pip install "qwenbelt[gui]"')
    server = llm(Scenario())
    program = (
        "from qwenbelt.agents import Assistant\nfrom qwenbelt.apps.gui import WebUI\n"
        f"bot = Assistant(llm={server!r}, name='Surveyor', description='Measures.')\n"
        "WebUI(bot).run(server_port=0)\n"
    )
    folder = Path(file).parent
    env = {**os.environ, "QWENBELT_WORKSPACE": str(folder), "QWENBELT_LANG": "en"}
    process = subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, encoding="utf-8", env=env
    )
    try:
        assert process.stdout is not None
        words = process.stdout.readline().split()
        url = next(word for word in words if word.startswith("http"))
        assert "Surveyor" in httpx.get(f"{url}en/", timeout=60).text
    finally:
        process.kill()
        process.communicate()


def readme(kind: Any, llm: Any, file: str) -> None:
    """The example of qwen-agent's own README; only an import and the model differ."""
    text = importlib.metadata.metadata("qwen-agent").get_payload()
    code = next(c for c in re.findall(r"```py\n(.*?)```", text, re.S) if "my_image_gen" in c)
    code = code.replace("from qwen_agent.agents import", "from qwenbelt.agents import")
    model = llm(
        Scenario()
        .turn(calls=[("my_image_gen", {"prompt": "a dog"})])
        .turn(calls=[("code_interpreter", {"code": "print(6 * 7)"})])
        .answer("Turned by 90°.", expect={"results": {"code_interpreter": {"contains": "42"}}})
    )
    code = re.sub(r"^llm_cfg = \{.*?^\}", f"llm_cfg = {model!r}", code, flags=re.S | re.M)
    folder = Path(file).parent
    (folder / "examples" / "resource").mkdir(parents=True)
    shutil.copy(DEMO_PDF, folder / "examples" / "resource" / "doc.pdf")
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=folder,
        input="draw a dog and rotate it 90 degrees\n",
        env={**os.environ, "QWENBELT_ALLOW_UNSANDBOXED": "1"},
        capture_output=True,
        encoding="utf-8",
        timeout=240,
        check=False,
    )
    assert "[ANSWER]" in done.stdout, done.stderr
    assert "Turned by 90°." in done.stdout
    assert done.stderr.rstrip().endswith("EOFError: EOF when reading a line"), "its loop asks on"


def with_file(file: str) -> list[dict[str, Any]]:
    return [{"role": "user", "content": [{"text": ASK[0]["content"]}, {"file": file}]}]


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
    ("`Assistant` with a file, our index", "qwen-agent's", stock.Assistant, assistant),
    ("`ParallelDocQA`, our index", "qwen-agent's", stock.ParallelDocQA, parallel_documents),
    ("`VirtualMemoryAgent`, our index", "qwen-agent's", stock.VirtualMemoryAgent, virtual_memory),
    (
        "a long dialogue: `DialogueRetrievalAgent`, our index",
        "qwen-agent's",
        stock.DialogueRetrievalAgent,
        long_dialogue,
    ),
    ("a dialogue of several questions", "ours", ours.Assistant, several_questions),
    ("a dialogue of several questions", "qwen-agent's", stock.Assistant, several_questions),
    ("`WebUI(bot).run()`", "ours", None, web_ui),
    ("the example of qwen-agent's README, imports changed", "ours", None, readme),
]


@pytest.mark.parametrize("row", ROWS, ids=[f"{row[0]}-{row[1]}" for row in ROWS])
def test_it_runs(row: Any, llm: Any, text_file: str, monkeypatch: pytest.MonkeyPatch) -> None:
    title, _, kind, run = row
    if title.endswith("our index"):
        for name in ("retrieval", "doc_parser"):
            monkeypatch.setitem(TOOL_REGISTRY, name, TOOL_REGISTRY[name])
        replace_stock_retrieval()
    run(kind, llm, text_file)


def test_the_page_lists_what_is_tested() -> None:
    text = PAGE.read_text(encoding="utf-8")
    listed = [line for line in text.splitlines() if line.endswith("| runs |")]
    assert listed == [f"| {title} | {whose} | runs |" for title, whose, _, _ in ROWS]


def test_the_chinese_page_lists_the_same() -> None:
    """The same rows in the same order, by the names in them and by whose class it is."""
    whose = {"ours": "我们的", "qwen-agent's": "qwen-agent 的"}
    text = CHINESE.read_text(encoding="utf-8")
    listed = [line.split(" | ") for line in text.splitlines() if line.endswith(" | 可运行 |")]
    names = [(re.findall("`[^`]+`", title), owner) for title, owner, _ in listed]
    assert names == [(re.findall("`[^`]+`", row[0]), whose[row[1]]) for row in ROWS]
