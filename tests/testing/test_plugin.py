"""The pytest plugin in runs of its own: scenario files, fixtures, options, accounts."""

import json
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

# pytester forgets modules between runs, and numpy cannot be imported twice
import qwenbelt.agents.assistant
import qwenbelt.agents.react  # noqa: F401

QUICK = (
    *("-p", "no:cacheprovider", "-p", "no:hypothesispytest", "-p", "no:anyio"),
    *("-o", "pythonpath=."),
)
pytest_plugins = ["pytester"]

CONFTEST = """
import json, time, httpx

class Tiny:
    # an agent in ten lines: quick to import, talks native tool calls
    def __init__(self, llm):
        self.url = llm["model_server"] + "/chat/completions"
        self.body = {"model": llm["model"], "tools": [{"type": "function", "function": {
            "name": "adder", "parameters": {"type": "object", "properties": {}}}}]}

    def run_nonstream(self, messages):
        begun = len(messages)
        while True:
            body = {**self.body, "messages": messages}
            reply = httpx.post(self.url, json=body, timeout=60).json()
            message = reply["choices"][0]["message"]
            messages.append(message)
            for call in message.get("tool_calls") or ():
                text = str(json.loads(call["function"]["arguments"])["a"] + 1)
                messages.append({"role": "tool", "tool_call_id": call["id"], "content": text})
            if not message.get("tool_calls"):
                return messages[begun:]

def make(llm):
    return Tiny(llm)
"""
OURS = """
import json, time
from qwen_agent.tools.base import BaseTool, register_tool

@register_tool("adder", allow_overwrite=True)
class Adder(BaseTool):
    name = "adder"
    description = "Adds."
    parameters = {"type": "object", "properties": {"a": {"type": "number"}}, "required": ["a"]}

    def call(self, params, **kwargs):
        time.sleep(0.02)
        return str(json.loads(params)["a"] + 1)
"""
GOOD = """
say: What is 41 + 1?
turns:
  - calls: [{adder: {a: 41}}, {adder: {a: 1}}]
  - expect: {results: {adder: ["42", "2"]}}
    answer: It is ${adder#1}.
then:
  calls: [adder, adder]
  answer: {contains: "42"}
  budget: {turns: 2}
"""


@pytest.fixture
def run(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., pytest.RunResult]:
    pytester.makeconftest(CONFTEST)
    pytester.makeini("[pytest]\nfilterwarnings = ignore\nqwenbelt_agent = conftest:make")
    monkeypatch.delenv("CI", raising=False)

    def go(*arguments: str, **files: str) -> pytest.RunResult:
        for name, text in files.items():
            (pytester.path / name.replace("_DOT_", ".")).write_text(text, encoding="utf-8")
        return pytester.runpytest_inprocess(*QUICK, *arguments)

    return go


def scenario(name: str, text: str) -> dict[str, str]:
    return {f"{name}_DOT_scenario_DOT_yaml": text}


def test_scenario_files_are_tests_and_failures_are_plain(run: Any) -> None:
    wrong = GOOD.replace('contains: "42"', 'contains: "43"')
    broken = "turns:\n  - anser: x\n"
    done = run(**scenario("good", GOOD), **scenario("wrong", wrong), **scenario("broken", broken))
    done.assert_outcomes(passed=1, failed=2)
    text = done.stdout.str()
    assert "the answer: '43' is not in 'It is 42.'" in text
    assert "what ran (2 calls in 2 turns, ended with 'answer'):" in text
    assert "broken.scenario.yaml:2: turns[1].anser: unknown key 'anser'" in text
    assert "Traceback" not in text
    assert "player.py" not in text


def test_repeat_report_results_and_comparison(run: Any, pytester: pytest.Pytester) -> None:
    script = GOOD.replace("say:", "rate: 0.5\nsay:")
    done = run(
        "--qwenbelt-repeat", "3", "--qwenbelt-results", "r.json",
        "--qwenbelt-html-report", "r.html", "--junitxml", "r.xml",
        **scenario("good", script),
    )  # fmt: skip
    done.assert_outcomes(passed=1)
    done.stdout.fnmatch_lines(["*good on scripted: 3/3 passed (100%, 95% 44%-100%)*"])
    results = json.loads((pytester.path / "r.json").read_text(encoding="utf-8"))
    assert results["outcomes"][0]["rate"] == 1.0
    page = (pytester.path / "r.html").read_text(encoding="utf-8")
    assert "<td>good</td>" in page
    assert "100% (44% to 100%)" in page
    assert 'name="pass_rate" value="1.0000"' in (pytester.path / "r.xml").read_text("utf-8")

    trials = results["outcomes"][0]["trials"]
    results["outcomes"][0]["trials"] = trials * 10
    (pytester.path / "before.json").write_text(json.dumps(results), encoding="utf-8")
    worse = GOOD.replace("budget: {turns: 2}", "budget: {turns: 1}").replace(
        "say:", "rate: 0.001\nsay:"
    )
    options = ("--qwenbelt-repeat", "10", "--qwenbelt-against", "before.json")
    done = run(*options, **scenario("good", worse))
    assert done.ret == pytest.ExitCode.TESTS_FAILED
    done.stdout.fnmatch_lines(["*good: 100% on scripted -> 0% on scripted*: worse)*"])


def test_a_real_endpoint_is_held_only_to_the_checks(run: Any, pytester: pytest.Pytester) -> None:
    from qwenbelt.testing import Scenario, ScriptedServer

    other = Scenario(model="real").turn(calls=[("adder", {"a": 41}), ("adder", {"a": 9})])
    other.turn(calls=[("adder", {"a": 0})]).answer("42 it is")
    with ScriptedServer(other, plays=None) as server:
        spec = f"openai:real@{server.url}"
        os.environ["OPENAI_API_KEY"] = "EMPTY"
        try:
            text = GOOD.replace("turns: 2", "turns: 3").replace("calls: [adder,", "called: [adder,")
            pytester.makeconftest(OURS)
            script = scenario("good", text)
            options = ("--qwenbelt-endpoint", spec, "--qwenbelt-repeat", "2")
            done = run("-o", "qwenbelt_agent=", *options, **script)
        finally:
            del os.environ["OPENAI_API_KEY"]
        done.assert_outcomes(passed=1)
        assert re.search(r"good on openai:real@\S+: 2/2 passed", done.stdout.str())


def test_our_agents_play_by_name_with_registered_tools(run: Any, pytester: Any) -> None:
    pytester.makeconftest(OURS)
    overlap = GOOD.replace("calls: [adder, adder]", "overlap: [adder, adder]")
    unknown = overlap.replace("adder", "addr")
    react = "agent: react" + overlap
    done = run(
        "-o", "qwenbelt_agent=", **scenario("a", overlap), **scenario("b", react),
        **scenario("unknown", unknown),
    )  # fmt: skip
    done.assert_outcomes(passed=2, failed=1)
    done.stdout.fnmatch_lines(["*There is no tool 'addr'. Did you mean 'adder'?*"])


def test_fixtures_scripted_golden_and_cassette(run: Any, pytester: pytest.Pytester) -> None:
    body = """
from conftest import Tiny
from qwenbelt.testing import Scenario, record, called

def scenario():
    return Scenario("sum?").turn(calls=[("adder", {"a": 1})]).answer("2")

def test_run(scripted, golden):
    server = scripted(scenario())
    golden.check(record(Tiny(server.llm), "sum?", server=server).check(called("adder")))

def test_left_over(scripted):
    scripted(scenario())
"""
    done = run("--qwenbelt-golden", "update", test_a_DOT_py=body)
    done.assert_outcomes(passed=2, errors=1)
    done.stdout.fnmatch_lines(["*turn 1 was never asked for*"])
    kept = pytester.path / "golden" / "test_a" / "test_run.md"
    assert "### adder" in kept.read_text(encoding="utf-8")
    run("--deselect", "test_a.py::test_left_over").assert_outcomes(passed=1, deselected=1)
    kept.write_text(kept.read_text(encoding="utf-8").replace("2", "3"), encoding="utf-8")
    done = run()
    done.stdout.fnmatch_lines(["*The run differs from *golden update*"])


def test_unused_golden_files_fail_in_ci(
    run: Any, pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    body = "def test_a(golden):\n    golden.check('x')\ndef test_b():\n    pass\n"
    run("--qwenbelt-golden", "update", test_a_DOT_py=body)
    (pytester.path / "golden" / "test_a" / "old.md").write_text("x", encoding="utf-8")
    done = run()
    assert done.ret == pytest.ExitCode.OK
    done.stdout.fnmatch_lines(["*old.md: no test used it; remove it"])
    monkeypatch.setenv("CI", "1")
    assert run().ret == pytest.ExitCode.TESTS_FAILED
    assert run("test_a.py::test_a").ret == pytest.ExitCode.OK
    assert run("-k", "not test_b").ret == pytest.ExitCode.OK


def test_cassettes_by_fixture(run: Any, pytester: pytest.Pytester) -> None:
    from qwenbelt.testing import Scenario, ScriptedServer

    body = """
import httpx, pytest

@pytest.mark.cassette("talk")
def test_talk(cassette):
    body = {"model": "m", "messages": [{"role": "user", "content": "hello"}]}
    reply = httpx.post(cassette.url + "/chat/completions", json=body, timeout=60).json()
    assert reply["choices"][0]["message"]["content"] == "hi"
"""
    with ScriptedServer(Scenario().answer("hi")) as real:
        options = ("--qwenbelt-record", "new", "--qwenbelt-endpoint", real.url)
        run(*options, test_a_DOT_py=body).assert_outcomes(passed=1)
    assert (pytester.path / "cassettes" / "test_a" / "talk.cassette.yaml").is_file()
    run("--qwenbelt-network", "loopback").assert_outcomes(passed=1)
    (pytester.path / "test_a.py").write_text(body.replace("hello", "bye"), encoding="utf-8")
    done = run()
    done.assert_outcomes(failed=1, errors=1)
    done.stdout.fnmatch_lines(["*recorded 'hello', asked 'bye'*"])


def test_the_network_guard_by_option_and_mark(run: Any) -> None:
    body = """
import socket, pytest
from qwenbelt.testing import NetworkBlocked

def test_closed():
    with pytest.raises(NetworkBlocked):
        socket.getaddrinfo("example.com", 80)

@pytest.mark.network
def test_open():
    with pytest.raises(OSError) as caught:
        socket.create_connection(("192.0.2.1", 80), timeout=0.01)
    assert not isinstance(caught.value, NetworkBlocked)
"""
    run("--qwenbelt-network", "loopback", test_a_DOT_py=body).assert_outcomes(passed=2)


def test_workers_share_their_accounts(run: Any, pytester: pytest.Pytester) -> None:
    pytest.importorskip("xdist")
    names = {f"s{i}_DOT_scenario_DOT_yaml": GOOD for i in range(3)}
    body = "def test_a(golden):\n    golden.check('x')\n"
    run("--qwenbelt-golden", "update", test_a_DOT_py=body, **names)
    Path(pytester.path / "golden" / "test_a" / "old.md").write_text("x", encoding="utf-8")
    done = pytester.runpytest_subprocess(*QUICK, "-n", "2", "--qwenbelt-results", "r.json")
    done.assert_outcomes(passed=4)
    done.stdout.fnmatch_lines(["*old.md: no test used it; remove it"])
    results = json.loads((pytester.path / "r.json").read_text(encoding="utf-8"))
    assert sorted(entry["scenario"] for entry in results["outcomes"]) == ["s0", "s1", "s2"]


NAMES = (
    *("--endpoint", "--record", "--repeat", "--network", "--results"),
    *("--golden", "--prompt", "--html-report", "--against"),
)


def test_other_projects_may_have_options_of_any_short_name(pytester: pytest.Pytester) -> None:
    body = "".join(f"    parser.addoption({name!r})\n" for name in NAMES)
    pytester.makeconftest(f"def pytest_addoption(parser):\n{body}")
    pytester.makepyfile(
        "def test_a(golden, pytestconfig):\n"
        "    assert pytestconfig.getoption('--golden') == 'z'\n"
        "    golden.check('x')\n"
    )
    done = pytester.runpytest_subprocess("--golden", "z", "--qwenbelt-golden", "update")
    done.assert_outcomes(passed=1)


def test_a_project_may_ask_for_short_names(pytester: pytest.Pytester) -> None:
    pytester.makeini("[pytest]\naddopts = -p qwenbelt.testing.short_options\n")
    pytester.makepyfile("def test_a(golden):\n    golden.check('x')\n")
    pytester.runpytest_subprocess("--golden", "update").assert_outcomes(passed=1)
    pytester.runpytest_subprocess("--qwenbelt-golden", "check").assert_outcomes(passed=1)
