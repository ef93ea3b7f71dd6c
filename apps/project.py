"""A small project to begin with: an agent in a file, its test, and a file for CI."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

from qwenbelt.core.errors import InputError
from qwenbelt.core.files import output_folder, write_text
from qwenbelt.core.language import Language, user_language

_NAME = re.compile(r"[a-z][a-z0-9_-]{0,40}")

_AGENT = {
    "en": """\
---
description: Answers questions about tables, with a chart.
agent: fncall
tools: [code_interpreter, plot]
---
You answer questions about tables. Compute with code_interpreter, draw one chart with plot, and
answer in one or two sentences.
""",
    "zh": """\
---
description: 回答关于表格的问题并画图。
agent: fncall
tools: [code_interpreter, plot]
---
你负责回答关于表格的问题：用 code_interpreter 计算，用 plot 画一张图，用一两句话作答。
""",
}

_TEST = '''\
"""The agent without a model: the replies are scripted, the tools are real."""

from pathlib import Path

from qwenbelt.agents import load_agent
from qwenbelt.testing import Scenario, ScriptedServer, answer, called, record

AGENT = Path(__file__).parents[1] / "agents" / "{name}.md"


def test_it_draws_what_it_was_given() -> None:
    scenario = Scenario()
    table = "year,tonnes\\n2023,120\\n2024,150\\n"
    scenario.turn(calls=[("plot", {{"kind": "bar", "title": "Output", "csv": table}})])
    scenario.answer("Output grew by a quarter.")
    with ScriptedServer(scenario) as server:
        agent = load_agent(AGENT, llm=server.llm)
        run = record(agent, "How much did output grow?", server=server)
    run.check(called("plot", {{"kind": "bar"}}), answer("Output grew by a quarter."))
'''

_CI = """\
name: test
on: [push, pull_request]
jobs:
  test:
    runs-on: ubuntu-latest
    steps:
      - uses: actions/checkout@v4
      - uses: actions/setup-python@v5
        with:
          python-version: "3.12"
      - run: pip install -r requirements.txt
      - run: pytest -q
"""

_README = {
    "en": """\
# {name}

An agent of [qwenbelt](https://pypi.org/project/qwenbelt/): `agents/{name}.md` says what it does.

```sh
pip install -r requirements.txt
pytest                                             # without a model
qwenbelt run "Which grew most?" -a agents/{name}.md -f table.csv
qwenbelt chat -a agents/{name}.md
```
""",
    "zh": """\
# {name}

[qwenbelt](https://pypi.org/project/qwenbelt/) 智能体：`agents/{name}.md` 描述了它的工作。

```sh
pip install -r requirements.txt
pytest                                             # 无需模型
qwenbelt run "哪一项增长最多？" -a agents/{name}.md -f table.csv
qwenbelt chat -a agents/{name}.md
```
""",
}


@dataclass(frozen=True)
class MadeProject:
    """A project that was made.

    Attributes:
        folder: where it is.
        name: its agent's name.
        files: its files, below the folder.
    """

    folder: Path
    name: str
    files: list[str]


def make_project(
    folder: str | os.PathLike[str], name: str = "helper", language: str | None = None
) -> MadeProject:
    """Makes a project in a folder that is new or holds none of its files.

    Raises:
        InputError: a file is there already, the name is none, or the folder cannot be written.
    """
    if not _NAME.fullmatch(name):
        raise InputError(
            f"{name}: is no name for an agent.", fix="Use small letters, digits, - and _."
        )
    chosen: Language = "zh" if (language or user_language()) == "zh" else "en"
    texts = {
        f"agents/{name}.md": _AGENT[chosen],
        f"tests/test_{name.replace('-', '_')}.py": _TEST.format(name=name),
        ".github/workflows/test.yml": _CI,
        "requirements.txt": "qwenbelt[test]\n",
        ".gitignore": "__pycache__/\n.pytest_cache/\nworkspace/\n",
        "README.md": _README[chosen].format(name=name),
    }
    place = output_folder(folder)
    there = [file for file in texts if (place / file).exists()]
    if there:
        raise InputError(f"{place / there[0]}: is there already; nothing was written.")
    for file, text in texts.items():
        (place / file).parent.mkdir(parents=True, exist_ok=True)
        write_text(place / file, text)
    return MadeProject(place, name, list(texts))
