"""What the client does when servers misbehave, each row with a real server process."""

from __future__ import annotations

import asyncio
import concurrent.futures
import json
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path

import pytest

from qwenbelt.core.errors import ConfigError, ToolCancelled, ToolError, ToolRefused, ToolTimeout
from qwenbelt.tools.base import ToolContext
from qwenbelt.tools.mcp import McpServers, mcp_tools
from qwenbelt.tools.mcp.stdio import telling_lines


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def gone(pid: int, seconds: float) -> bool:
    end = time.monotonic() + seconds
    while alive(pid) and time.monotonic() < end:
        time.sleep(0.02)
    return not alive(pid)


def test_a_server_that_is_silent_at_start_is_given_up_in_time(faulty) -> None:
    started = time.monotonic()
    with pytest.raises(
        ConfigError, match=r"quiet did not answer within 0.5 s.*raise start_timeout"
    ):
        mcp_tools({"mcpServers": {"quiet": faulty("deaf", start_timeout=0.5)}})
    assert time.monotonic() - started < 20


NODE = """node:internal/modules/cjs/loader:1228
  throw err;
  ^

Error: Cannot find module '/srv/index.js'
    at Module._resolveFilename (node:internal/modules/cjs/loader:1225:15)
    at node:internal/main/run_main_module:28:49 {
  code: 'MODULE_NOT_FOUND',
  requireStack: []
}

Node.js v20.20.2"""
NPM = """npm error code E404
npm error 404 Not Found - GET http://registry/@x%2fy - no such package
npm error 404
npm error 404  '@x/y@*' is not in this registry.
npm error 404
npm error 404 Note that you can also install from a
npm error A complete log of this run can be found in: /root/.npm/_logs/x.log"""
PYTHON = """Traceback (most recent call last):
  File "/srv/s.py", line 3, in <module>
    import left_pad
ModuleNotFoundError: No module named 'left_pad'"""
USAGE = """usage: server [-h] --db DB
server: error: the following arguments are required: --db"""


@pytest.mark.parametrize(
    ("output", "why", "noise"),
    [
        (NODE, "Cannot find module '/srv/index.js'", "Node.js v20"),
        (NPM, "'@x/y@*' is not in this registry", "complete log"),
        (PYTHON, "No module named 'left_pad'", "File"),
        (USAGE, "arguments are required: --db", "usage:"),
        ("Please set API_KEY\nbye", "bye", "\n"),
        ("Starting up\nAPI_KEY is missing\nGoodbye!", "API_KEY is missing", "Goodbye"),
    ],
)
def test_the_lines_that_say_why(output: str, why: str, noise: str) -> None:
    said = " / ".join(telling_lines(output.splitlines()))
    assert why in said
    assert noise not in said


def test_a_server_that_fails_is_left_out_and_said_so(faulty, caplog) -> None:
    config = {"mcpServers": {"bad": faulty("exit"), "good": faulty()}}
    tools = mcp_tools(config)
    assert {tool.name.split("-")[0] for tool in tools} == {"good"}
    assert "bad did not start: it ended with exit code 2: cannot open the database" in caplog.text
    with pytest.raises(ConfigError, match="cannot open the database"):
        mcp_tools(config, strict=True)


def test_a_silent_call_ends_at_its_limit_and_the_next_one_works(faulty, tools_of, tmp_path) -> None:
    log = tmp_path / "log"
    config = faulty(call_timeout=0.5, env={"FAULTY_LOG": str(log)})
    tools = tools_of(s=config)
    started = time.monotonic()
    with pytest.raises(ToolTimeout, match=r"s-silent gave no answer within 0.5 s"):
        tools["s-silent"].call({})
    assert time.monotonic() - started < 15
    assert tools["s-echo"].call({"text": "still here"}) == "still here"
    assert "cancelled" in log.read_text()


def test_death_in_mid_call_says_why(faulty, tools_of) -> None:
    tools = tools_of(s=faulty())
    with pytest.raises(ToolError, match=r"cut off: it ended with exit code 3: fatal: out of chees"):
        tools["s-die"].call({})
    assert tools["s-echo"].call({"text": "again"}) == "again"


def test_eight_calls_after_a_death_restart_it_once(faulty, tools_of, tmp_path) -> None:
    log = tmp_path / "log"
    tools = tools_of(s=faulty(env={"FAULTY_LOG": str(log)}))
    os.kill(int(tools["s-pid"].call({})), signal.SIGKILL)
    time.sleep(0.1)
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        found = set(pool.map(lambda _: tools["s-pid"].call({}), range(8)))
    assert len(found) == 1
    assert log.read_text().count("start") == 2


def test_a_server_that_cannot_come_back_fails_every_call_quickly(
    faulty, tools_of, tmp_path
) -> None:
    script = tmp_path / "server.py"
    script.write_text(Path(faulty()["args"][0]).read_text(encoding="utf-8"), encoding="utf-8")
    tools = tools_of(s={"command": sys.executable, "args": [str(script)]})
    script.unlink()
    with pytest.raises(ToolError):
        tools["s-die"].call({})
    started = time.monotonic()
    for _ in range(8):
        with pytest.raises(ToolError, match="did not start"):
            tools["s-echo"].call({"text": "x"})
    assert time.monotonic() - started < 20


def test_junk_on_stdout_does_no_harm(faulty, tools_of) -> None:
    tools = tools_of(s=faulty("junk"))
    assert [tools["s-echo"].call({"text": str(i)}) for i in range(5)] == list("01234")


def test_an_endless_line_is_not_kept(faulty, tools_of) -> None:
    tools = tools_of(s=faulty())
    with pytest.raises(ToolError, match="a line of more than 64 MiB"):
        tools["s-long_line"].call({})
    assert tools["s-echo"].call({"text": "again"}) == "again"


def test_an_image_becomes_a_file(faulty, tools_of, tmp_path) -> None:
    tools = tools_of(s=faulty())
    (item,) = tools["s-image"].call({}, context=ToolContext(folder=tmp_path))
    assert Path(item.image).parent == tmp_path
    assert Path(item.image).read_bytes().startswith(b"\x89PNG")
    assert tools["s-image"].call({}, context=ToolContext(folder=tmp_path))[0].image == item.image


def test_a_planted_link_is_not_written_through(faulty, tools_of, tmp_path) -> None:
    tools = tools_of(s=faulty())
    (item,) = tools["s-image"].call({}, context=ToolContext(folder=tmp_path / "a"))
    (tmp_path / "b").mkdir()
    outside = tmp_path / "outside"
    (tmp_path / "b" / Path(item.image).name).symlink_to(outside)
    (written,) = tools["s-image"].call({}, context=ToolContext(folder=tmp_path / "b"))
    assert not Path(written.image).is_symlink()
    assert not outside.exists()


def test_mixed_content_keeps_every_part_in_order(faulty, tools_of, tmp_path) -> None:
    tools = tools_of(s=faulty())
    items = tools["s-mixed"].call({}, context=ToolContext(folder=tmp_path))
    kinds = [item.get_type_and_value()[0] for item in items]
    assert kinds == ["text", "image", "text", "text", "file", "text", "audio", "text"]
    assert items[0].text == "before"
    assert items[3].text == "inside"
    assert items[4].file.endswith(".pdf")
    assert items[6].audio.endswith(".wav")
    assert items[7].text == "after"


def test_structured_content_and_nothing(faulty, tools_of) -> None:
    tools = tools_of(s=faulty())
    assert json.loads(tools["s-structured"].call({})) == {"n": 1}
    assert tools["s-nothing"].call({}) == "(the tool returned nothing)"
    assert "没有" in tools["s-nothing"].call({}, context=ToolContext(language="zh"))


IMPORTING = """
    import sys, threading

    class Spy:
        def find_spec(self, name, path=None, target=None):
            if name.startswith("jsonschema"):
                print(threading.current_thread().name)

    sys.meta_path.insert(0, Spy())
    from qwenbelt.tools.mcp import mcp_tools
    config = {"command": sys.executable, "args": [sys.argv[1]]}
    tools = {t.name: t for t in mcp_tools({"mcpServers": {"s": config}})}
    print("called:", tools["s-checked"].call({}))
"""


def test_the_shared_loop_never_waits_for_an_import(faulty) -> None:
    code = textwrap.dedent(IMPORTING)
    command = [sys.executable, "-c", code, faulty()["args"][0]]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    *threads, called = done.stdout.split("\n")[:-1]
    assert called == "called: {}", done.stderr
    assert threads
    assert "qwenbelt-mcp" not in threads


def test_an_error_result_is_an_error(faulty, tools_of) -> None:
    tools = tools_of(s=faulty())
    with pytest.raises(ToolError, match=r"^no such table: x$"):
        tools["s-fail"].call({})
    with pytest.raises(ToolError, match="bad arguments: x is missing"):
        tools["s-refuse"].call({})


def test_schemas_stay_whole(faulty, tools_of) -> None:
    tools = tools_of(s=faulty())
    tree = tools["s-tree"].function["parameters"]
    assert tree["properties"]["node"] == {"$ref": "#/$defs/Node"}
    assert tree["$defs"]["Node"]["properties"]["kids"]["items"] == {"$ref": "#/$defs/Node"}
    assert tree["additionalProperties"] is False
    bare = tools["s-bare"].function["parameters"]
    assert bare == {"type": "object", "properties": {}, "required": []}
    assert tools["s-bare"].call("") == "ok"


def test_arguments_may_be_text_or_a_dict(faulty, tools_of) -> None:
    echo = tools_of(s=faulty())["s-echo"]
    assert echo.call({"text": "a"}) == echo.call('{"text": "a"}') == "a"
    with pytest.raises(ToolError, match="not valid JSON"):
        echo.call('{"text": "a')


def test_hints_become_flags(faulty, tools_of) -> None:
    tools = tools_of(s=faulty())
    echo, tree, bare = (tools[f"s-{name}"] for name in ("echo", "tree", "bare"))
    assert (echo.read_only, echo.idempotent, echo.destructive, echo.open_world) == (1, 1, 0, 0)
    assert (tree.read_only, tree.idempotent, tree.destructive, tree.open_world) == (0, 1, 0, 1)
    assert (bare.read_only, bare.idempotent, bare.destructive, bare.open_world) == (0, 0, 1, 1)
    assert echo.resources({}) == ({"mcp:s"}, set())
    assert tree.resources({}) == (set(), {"mcp:s"})
    assert bare.resources({}) == (set(), set())


def test_a_slow_and_a_quick_call_run_at_once(faulty, tools_of) -> None:
    tools = tools_of(s=faulty())
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        slow = pool.submit(tools["s-slow"].call, {"seconds": 5})
        time.sleep(0.1)
        assert tools["s-echo"].call({"text": "quick"}) == "quick"
        assert not slow.done()
        assert slow.result() == "slow done"


def test_cancel_reaches_the_server(faulty, tools_of, tmp_path) -> None:
    log = tmp_path / "log"
    tools = tools_of(s=faulty(env={"FAULTY_LOG": str(log)}))

    async def run() -> float:
        task = asyncio.create_task(tools["s-silent"].acall({}))
        await asyncio.sleep(0.2)
        started = time.monotonic()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        return time.monotonic() - started

    assert asyncio.run(run()) < 5
    end = time.monotonic() + 20
    while "cancelled" not in log.read_text() and time.monotonic() < end:
        time.sleep(0.02)
    assert "cancelled" in log.read_text()


def test_a_sync_call_ends_when_the_run_is_cancelled(faulty, tools_of) -> None:
    tools = tools_of(s=faulty())
    context = ToolContext()
    threading.Timer(0.2, context.cancelled.set).start()
    started = time.monotonic()
    with pytest.raises(ToolCancelled):
        tools["s-silent"].call({}, context=context)
    assert time.monotonic() - started < 10


def test_fifty_tools_in_pages(faulty, tools_of) -> None:
    tools = tools_of(s=faulty("many"))
    assert sorted(tools) == sorted(f"s-tool_{i}" for i in range(50))


def test_a_slow_start_holds_up_nobody_else(faulty) -> None:
    config = {"mcpServers": {"late": faulty("late", 4), "now": faulty()}}
    started = time.monotonic()
    with McpServers(config) as servers:
        while "now" not in servers.ready():
            time.sleep(0.01)
        assert "late" not in servers.ready()
        assert set(servers.ready(None)) == {"late", "now"}
        assert time.monotonic() - started >= 4
        assert servers.failures() == {}


@pytest.mark.slow
def test_a_server_that_needs_twenty_seconds_is_waited_for(faulty, tools_of) -> None:
    started = time.monotonic()
    tools = tools_of(late=faulty("late", 20), now=faulty())
    assert 20 <= time.monotonic() - started < 40
    assert tools["late-echo"].call({"text": "at last"}) == "at last"


def test_progress_and_log_lines_are_reported(faulty, tools_of) -> None:
    tools = tools_of(s=faulty())
    told: list[tuple[str, float | None]] = []
    context = ToolContext(report=lambda text, fraction=None: told.append((text, fraction)))
    assert tools["s-progress"].call({}, context=context) == "progressed"
    assert told[:3] == [("step 1", 0.25), ("step 2", 0.5), ("step 3", 0.75)]
    assert ("a log line", None) in told


def test_a_server_of_the_old_protocol_that_ends_on_a_probe(faulty, tools_of) -> None:
    assert tools_of(s=faulty("strict"))["s-echo"].call({"text": "old"}) == "old"


def test_resources_are_tools_and_prompts_are_reachable(faulty, tools_of) -> None:
    tools = tools_of(s=faulty("resources"))
    assert json.loads(tools["s-list_resources"].call({}))["resources"][0]["uri"] == "x://a"
    assert tools["s-read_resource"].call({"uri": "x://a"}) == "at x://a"
    with McpServers({"mcpServers": {"s": faulty("resources")}}) as servers:
        assert [prompt.name for prompt in servers.prompts("s")] == ["greet"]
        assert servers.prompt("s", "greet", {}).messages[0].content.text == "hello"


def test_only_allowed_tools(faulty, tools_of) -> None:
    assert set(tools_of(s=faulty(tools=["echo", "env"]))) == {"s-echo", "s-env"}
    with pytest.raises(
        ConfigError, match=r"tools names 'ehco', which it does not have. It has: ec"
    ):
        tools_of(s=faulty(tools=["ehco"]))


def test_never_means_only_reading(faulty, tools_of) -> None:
    tools = tools_of(s=faulty(approve="never"))
    assert tools["s-echo"].call({"text": "reads"}) == "reads"
    with pytest.raises(ToolRefused, match="is not read-only"):
        tools["s-tree"].call({"node": {}})


def test_our_environment_does_not_leak(faulty, tools_of, monkeypatch) -> None:
    monkeypatch.setenv("DASHSCOPE_API_KEY", "sk-this-must-not-leak")
    monkeypatch.setenv("WANTED", "given")
    tools = tools_of(s=faulty(env={"NAMED": "${WANTED}", "OTHER": "${UNSET:-fallback}"}))
    seen = json.loads(tools["s-env"].call({}))
    assert "DASHSCOPE_API_KEY" not in seen
    assert "WANTED" not in seen
    assert (seen["NAMED"], seen["OTHER"]) == ("given", "fallback")


def test_tools_work_from_any_loop_and_thread(faulty, tools_of) -> None:
    echo = tools_of(s=faulty())["s-echo"]

    async def many() -> list[str]:
        return await asyncio.gather(*(echo.acall({"text": str(i)}) for i in range(20)))

    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda _: asyncio.run(many()), range(4)))
    assert found == [[str(i) for i in range(20)]] * 4


def test_servers_end_when_nobody_has_their_tools(faulty) -> None:
    tools = mcp_tools({"mcpServers": {"s": faulty()}})
    pid = int({t.name: t for t in tools}["s-pid"].call({}))
    assert alive(pid)
    del tools
    assert gone(pid, 3)


def test_a_server_that_ignores_everything_is_killed(faulty) -> None:
    servers = McpServers({"mcpServers": {"s": faulty("stubborn")}})
    offers = servers.ready(None)
    assert "s" in offers
    from qwenbelt.tools.mcp.tool import server_tools

    tools = {tool.name: tool for tool in server_tools(servers, "s", offers["s"])}
    pid = int(tools["s-pid"].call({}))
    servers.close()
    assert gone(pid, 1)
    with pytest.raises(ToolError, match="was closed"):
        tools["s-pid"].call({})


OWNER = """
    import sys, time
    from qwenbelt.tools.mcp import McpServers
    config = {"command": sys.executable, "args": [sys.argv[1], "stubborn"]}
    servers = McpServers({"mcpServers": {"a": config, "b": config}})
    servers.ready(None)
    async def pid(client):
        return (await client.call_tool("pid")).content[0].text
    for connection in servers.connections.values():
        print(connection.loop.submit(connection.request(pid, "pid")).result(), flush=True)
    if sys.argv[2] == "wait":
        time.sleep(60)
"""


@pytest.mark.parametrize("end", ["exit", "wait"])
def test_servers_end_with_us_even_by_kill(faulty, tmp_path, end) -> None:
    script = tmp_path / "owner.py"
    script.write_text(textwrap.dedent(OWNER), encoding="utf-8")
    command = [sys.executable, str(script), faulty()["args"][0], end]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as owner:
        assert owner.stdout is not None
        pids = [int(owner.stdout.readline()) for _ in range(2)]
        if end == "wait":
            assert all(alive(pid) for pid in pids)
            owner.kill()
        owner.wait(15)
    assert all(gone(pid, 3) for pid in pids)
