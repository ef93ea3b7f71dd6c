"""Skills are switched on and off in the chat's settings."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("gradio", reason='needs pip install "qwenbelt[gui]"')

from qwenbelt.agents import FnCallAgent
from qwenbelt.apps.agent_choice import AgentChoice, skill_sources
from qwenbelt.apps.gui.asking import TurnStarter
from qwenbelt.apps.gui.hub import SessionRegistry
from qwenbelt.apps.gui.kept.store import ChatStore
from qwenbelt.apps.gui.setting_fields import save_field, shown_fields
from qwenbelt.apps.gui.strings import PageError
from qwenbelt.tools.skills import SkillLibrary


@pytest.fixture
def asker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> TurnStarter:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    for name in ("tables", "letters", "maps"):
        folder = tmp_path / "skills" / name
        folder.mkdir(parents=True)
        head = f"---\nname: {name}\ndescription: Does {name}.\n---\n"
        (folder / "SKILL.md").write_text(f"{head}Do it.\n", encoding="utf-8")
    hub = SessionRegistry(ChatStore(":memory:"), tmp_path)
    choice = AgentChoice(endpoint="ollama:a", skills=(str(tmp_path / "skills"),))
    made: Any = None
    return TurnStarter(hub, choice, made)


def test_each_is_switched_by_itself_for_one_person(asker: TurnStarter) -> None:
    names = [name for name, _ in asker.skills()]
    assert sorted(names) == ["letters", "maps", "tables"]
    assert shown_fields(asker, "ann")["skills_off"] == names
    on = [name for name in names if name != "maps"]
    seen = save_field(asker, "ann", "skills_off", on, (0, names), "page")
    assert seen[1] == on
    choice = asker.choice("ann")
    assert choice.skills_off == ("maps",)
    assert SkillLibrary(skill_sources(choice.skills, choice.skills_off)).names == on
    assert shown_fields(asker, "bob")["skills_off"] == names
    # another page, which has not seen that, switches another one off: both are off
    save_field(asker, "ann", "skills_off", ["letters", "maps"], (0, names), "another")
    assert shown_fields(asker, "ann")["skills_off"] == ["letters"]
    with pytest.raises(PageError):
        save_field(asker, "ann", "system", "x", (7, ""), "another")


def test_with_all_switched_off_there_are_no_tools_for_them(asker: TurnStarter) -> None:
    names = [name for name, _ in asker.skills()]
    save_field(asker, "ann", "skills_off", [], (0, names), "page")
    choice = asker.choice("ann")
    sources = skill_sources(choice.skills, choice.skills_off)
    llm = {"model": "m", "model_server": "http://127.0.0.1:9/v1"}
    assert "load_skill" not in FnCallAgent(llm=llm, skills=sources).function_map
    sources = skill_sources(choice.skills, ())
    assert "load_skill" in FnCallAgent(llm=llm, skills=sources).function_map
