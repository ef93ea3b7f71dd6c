"""Skills are read, told to the model, loaded, searched, and their scripts run in the sandbox."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import Any

import pytest

from qwenbelt import FnCallAgent, load_agent
from qwenbelt.apps import cli
from qwenbelt.core.errors import ConfigError, ToolError
from qwenbelt.core.events import ToolFinished
from qwenbelt.testing import Scenario, ScriptedServer
from qwenbelt.tools.base import ToolContext
from qwenbelt.tools.skills import SkillLibrary, examine, new_skill
from qwenbelt.tools.skills.tool import SkillScriptArguments


@pytest.fixture(autouse=True)
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The user's folder of skills."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("QWENBELT_LANG", "en")
    return tmp_path / "config" / "qwenbelt" / "skills"


def agent_before(scenario: Scenario, **settings: Any) -> tuple[FnCallAgent, ScriptedServer]:
    server = ScriptedServer(scenario, plays=1)
    server.start()
    llm = {"model": "m", "model_server": server.url, "api_key": "k"}
    return FnCallAgent(llm=llm, **settings), server


def told(server: ScriptedServer) -> str:
    return json.dumps(server.requests[0].request.messages, ensure_ascii=False)


def test_a_model_loads_a_skill_and_runs_its_script(tmp_path: Path) -> None:
    new_skill(tmp_path / "skills" / "line-count", "Counts lines: of files.")
    (tmp_path / "a.txt").write_text("1\n2\n3\n")
    run = {"skill": "line-count", "script": "count_lines.py", "arguments": ["a.txt"]}
    scenario = (
        Scenario()
        .turn(calls=[("load_skill", {"name": "line-count"})])
        .turn(calls=[("run_skill_script", run)])
        .answer("Three.")
    )
    agent, server = agent_before(scenario, skills=[str(tmp_path / "skills")], folder=tmp_path / "w")
    finished: list[ToolFinished] = []
    with contextlib.ExitStack() as stack:
        stack.callback(server.stop)
        for event in agent.events("How many lines?", files=[str(tmp_path / "a.txt")]):
            if isinstance(event, ToolFinished):
                finished.append(event)
    assert "- line-count: Counts lines: of files." in told(server)
    assert "step by step" not in told(server)  # the body only when it is loaded
    assert [event.status for event in finished] == ["ok", "ok"]
    assert "scripts/count_lines.py" in str(finished[0].result)
    assert "a.txt: 3 lines" in str(finished[1].result)


def test_of_many_skills_the_model_searches(tmp_path: Path) -> None:
    for number in range(60):
        new_skill(tmp_path / "all" / f"skill-{number}", f"Makes charts of kind {number}.")
    new_skill(tmp_path / "all" / "tax-form", "Fills in a tax declaration.")
    library = SkillLibrary([tmp_path / "all"])
    assert library.search("declare my taxes")[0] == "tax-form"
    scenario = Scenario().turn(calls=[("search_skills", {"query": "tax declaration"})]).answer("x")
    agent, server = agent_before(scenario, skills=library)
    with contextlib.ExitStack() as stack:
        stack.callback(server.stop)
        events = list(agent.events("Do my taxes."))
    assert "tax-form" not in told(server)
    found = next(event for event in events if isinstance(event, ToolFinished))
    assert "- tax-form: Fills in a tax declaration." in str(found.result)
    with pytest.raises(ToolError, match="no skill 'taxform'"):
        library.get("taxform")


def test_public_spellings_are_taken_with_advice(tmp_path: Path) -> None:
    place = tmp_path / "pdf"
    place.mkdir()
    text = (
        "---\nname: pdf\ndescription: Use when: a PDF comes\nversion: 1\n"
        "allowed-tools: Read, Bash(git:*)\nmetadata: {author: me, n: 1}\n---\n"
        "See [more](more.md) and [out](../x.md), [web](https://a.b).\n"
    )
    (place / "SKILL.md").write_text(text)
    examined = examine(place)
    skill = examined.skill
    assert skill is not None
    assert skill.description == "Use when: a PDF comes"
    assert skill.allowed_tools == ("Read", "Bash(git:*)")
    assert skill.metadata == {"author": "me", "n": "1"}
    told = " ".join(str(finding.error) for finding in examined.findings)
    for words in ("needs quotes", "'version'", "no 'more.md'", "'../x.md' leads out"):
        assert words in told


def test_sources_by_name_folder_and_network(tmp_path: Path, own: Path) -> None:
    new_skill(own / "xlsx-report", "Mine.")
    new_skill(tmp_path / "repo" / "skills" / "deep-one", "Deep.")
    (tmp_path / "empty").mkdir()
    library = SkillLibrary(
        ["xlsx-report", "shipped", {"folder": str(tmp_path / "repo"), "network": ["a.example"]}]
    )
    assert library.get("xlsx-report").description == "Mine."  # the user's own before the shipped
    assert {"pdf-form", "deep-one"} <= set(library.names)
    assert library.network("deep-one") == ["a.example"]
    assert library.network("pdf-form") is False
    assert SkillLibrary(["user"]).names == ["xlsx-report"]
    for wrong in (["no-such"], [str(tmp_path / "empty")], [{"folder": "x", "net": 1}]):
        with pytest.raises(ConfigError):
            SkillLibrary(wrong)
    assert FnCallAgent(llm={"model": "m", "model_server": "http://x/v1"}).skills is None


def test_arguments_as_models_write_them() -> None:
    def words(given: Any) -> list[str]:
        return SkillScriptArguments(skill="a", script="b", arguments=given).arguments

    assert words('a.csv --title "Two words"') == ["a.csv", "--title", "Two words"]
    assert words({"out": "x.csv", "check": True, "no": False}) == ["--out", "x.csv", "--check"]
    assert words(["a", 3]) == ["a", "3"]


def test_agents_files_name_skills_hooks_and_subagents(tmp_path: Path) -> None:
    new_skill(tmp_path / "skills" / "own-skill", "Mine.")
    (tmp_path / "boss.md").write_text(
        "---\nskills: [./skills]\nhooks: ['qwenbelt.agents.hooks:Hook']\nsubagents: [digger.md]\n"
        "---\nYou lead.\n"
    )
    (tmp_path / "digger.md").write_text("---\ndescription: Digs.\n---\nYou dig.\n")
    llm = {"model": "m", "model_server": "http://127.0.0.1:9/v1"}
    agent = load_agent(tmp_path / "boss.md", llm=llm)
    assert list(agent.function_map) == ["digger", "load_skill", "run_skill_script"]
    assert agent.function_map["digger"].description == "Digs."
    assert agent.skills is not None
    assert agent.skills.names == ["own-skill"]
    assert agent.hooks
    (tmp_path / "digger.md").write_text("---\nsubagents: [boss.md]\n---\nYou dig.\n")
    with pytest.raises(ConfigError, match="its own subagent"):
        load_agent(tmp_path / "boss.md", llm=llm)


def test_the_command(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert cli.run(["skills", "new", "skills/my-skill", "--description", "Does: things"]) == 0
    assert cli.run(["skills", "new", "skills/My Skill"]) == 2
    assert "lower-case letters" in capsys.readouterr().err
    assert cli.run(["skills", "lint", "skills"]) == 0
    assert "1 of 1 skills are fine" in capsys.readouterr().out
    assert cli.run(["skills", "list", "--json"]) == 0
    rows = {row["name"]: row for row in json.loads(capsys.readouterr().out)}
    assert rows["my-skill"]["scripts"] == ["scripts/count_lines.py"]
    assert set(rows) >= {"xlsx-report", "pptx-deck", "data-cleaning", "pdf-form"}
    assert cli.run(["skills", "show", "my-skill", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["description"] == "Does: things"
    (tmp_path / "skills" / "my-skill").rename(tmp_path / "skills" / "other")
    assert cli.run(["skills", "lint", "skills", "--json"]) == 1
    (row,) = json.loads(capsys.readouterr().out)
    assert (row["ok"], row["findings"][0]["level"]) == (False, "error")
    assert cli.run(["skills", "list", "skills"]) == 0
    assert "other/SKILL.md: name: 'my-skill'" in capsys.readouterr().out
    assert cli.run(["skills", "show", "no-such"]) == 2


def test_shell_runs_in_the_folder_and_keeps_to_its_time(tmp_path: Path) -> None:
    from qwenbelt.tools.code_interpreter.command import ShellTool

    shell = ShellTool()
    context = ToolContext(session=f"shell-{tmp_path.name}", folder=tmp_path / "w")
    done = shell.call({"command": "echo one | tee a.txt; sleep 60 & exit 3"}, context=context)
    assert done[0].text == "one\nExit status: 3."
    assert (done.status, Path(done[1].file).read_text()) == ("raised", "one\n")
    late = shell.call({"command": "echo begun; sleep 60", "timeout": 0.5}, context=context)
    assert late.status == "timeout"
    assert late[0].text.startswith("begun")
    shell.close()


def test_a_plan_is_a_list_with_boxes() -> None:
    from qwenbelt.tools.todo import TodoList

    items = [{"text": "Read\nit", "status": "done"}, {"text": "Write", "status": "doing"}]
    result = TodoList().call({"items": [*items, {"text": "Send"}]})
    assert result == "- [x] Read it\n- [~] Write\n- [ ] Send"
    with pytest.raises(ToolError, match="status"):
        TodoList().call({"items": [{"text": "x", "status": "never"}]})
