"""The documentation names only files that are there, and its code blocks are run.

A comment before a block says what it is: `<!-- file: NAME -->` is written down for the blocks after
it, `<!-- fails -->` must fail, `<!-- not run: REASON -->` is not run, and `<!-- needs: MODULE -->`
only where that is installed. All other Python and shell blocks of a page run in its order, in one
folder; a shell line that is not run must still be one that `qwenbelt` takes. Nothing in a block is
changed: the models that it names are addresses of a scripted one.
"""

from __future__ import annotations

import importlib.util
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import click
import pytest
import yaml

from qwenbelt.apps import cli
from qwenbelt.core.events import Event
from qwenbelt.testing import ScriptedServer

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
TUTORIAL = ROOT / "docs" / "testing_tutorial.md"
BLOCK = re.compile(
    r"(?:^<!-- (?P<note>[^>]*) -->\n)?^```(?P<kind>\w+)\n(?P<text>.*?)^```",
    re.DOTALL | re.MULTILINE,
)
KINDS = ("python", "sh", "yaml", "json", "toml", "markdown", "diff", "text")
MODELS = ("DASHSCOPE", "OLLAMA", "OPENAI", "VLLM")


@dataclass(frozen=True)
class Block:
    """A block of code and what its comment says about it."""

    note: str
    kind: str
    text: str

    @property
    def file(self) -> str:
        return self.note.removeprefix("file: ") if self.note.startswith("file: ") else ""

    @property
    def needs(self) -> str:
        return self.note.removeprefix("needs: ") if self.note.startswith("needs: ") else ""

    @property
    def fate(self) -> str:
        if self.note.startswith("not run: "):
            return "not run"
        return "run" if self.kind in ("python", "sh") and not self.file else "written and read"


def blocks(page: Path) -> list[Block]:
    found = BLOCK.finditer(page.read_text(encoding="utf-8"))
    return [Block(m["note"] or "", m["kind"], m["text"]) for m in found]


def english(page: Path) -> Path:
    """The page of which this one is a translation, or the page itself."""
    twin = page.parent.parent / page.name
    return twin if page.parent.name == "zh" and twin.exists() else page


def named(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_links_lead_somewhere(page: Path) -> None:
    text = re.sub(r"```.*?```|`[^`\n]*`", "", page.read_text(encoding="utf-8"), flags=re.S)
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if not target.startswith(("http://", "https://", "#", "mailto:")):
            assert (page.parent / target.split("#")[0]).exists(), f"{page.name}: {target}"


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_a_block_has_a_known_kind_and_its_note_is_understood(page: Path) -> None:
    fences = page.read_text(encoding="utf-8").count("\n```")
    assert fences == 2 * len(blocks(page)), "a fence without a language, or one that is not closed"
    for block in blocks(page):
        assert block.kind in KINDS, block.kind
        assert re.match(r"$|fails$|file: \S+$|needs: \w+$|not run: .{15}", block.note), block.note


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_kinds_of_events_are_those_that_there_are(page: Path) -> None:
    """A block that waits for another kind runs, and shows nothing."""
    known = {event.kind for event in Event.__subclasses__()}
    said = [block.text for block in blocks(page) if block.kind == "python"]
    for name in re.findall(r'event\.kind == "(\w+)"', "\n".join(said)):
        assert name in known, name


@pytest.mark.parametrize("page", ["docs/faq.md", "docs/zh/faq.md"])
def test_the_answer_about_extras_names_each(page: str) -> None:
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    extras = tomllib.loads(text)["project"]["optional-dependencies"]
    missing = set(extras) - {"browser", "docs", "test", "dev"}  # for those who work on it
    told = (ROOT / page).read_text(encoding="utf-8")
    assert {name for name in missing if f"`{name}`" not in told} == set()


def test_how_many_blocks_are_run(capsys: pytest.CaptureFixture[str]) -> None:
    counted = Counter(block.fate for page in PAGES for block in blocks(page))
    with capsys.disabled():
        print(f"\ncode blocks: {dict(counted)}")
    assert counted["run"] > 2 * counted["not run"]


@pytest.mark.parametrize("page", [page for page in PAGES if english(page) != page], ids=named)
def test_a_translation_has_the_same_blocks(page: Path) -> None:
    assert blocks(page) == blocks(english(page))


def test_the_chinese_readme_is_the_whole_readme() -> None:
    def shape(name: str) -> tuple[object, ...]:
        text = (ROOT / name).read_text(encoding="utf-8").replace("docs/zh/", "docs/")
        text = text.replace("README.zh.md", "README.md").replace("_zh.png", ".png")
        links = sorted(re.findall(r"\]\(([^)\s]+)\)", text))
        return text.count("\n#"), text.count("\n| "), links

    assert shape("README.md") == shape("README.zh.md")
    texts = [
        [b.text for b in blocks(ROOT / n) if b.kind == "sh"] for n in ("README.md", "README.zh.md")
    ]
    assert texts[0] == texts[1]


@pytest.fixture
def place(
    tmp_path: Path, documents: Path, any_model: ScriptedServer, monkeypatch: pytest.MonkeyPatch
) -> Path:
    """A folder with the documents, in which every model that a page names is the scripted one."""
    shutil.copytree(documents, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    for name in MODELS:
        monkeypatch.setenv(f"{name}_BASE_URL", any_model.url)
        monkeypatch.setenv(f"{name}_API_KEY", "none")
    monkeypatch.setenv("QWENBELT_ENDPOINT", f"openai:any@{any_model.url}")
    monkeypatch.setenv("QWENBELT_WORKSPACE", str(tmp_path / "workspace"))
    monkeypatch.setenv("QWENBELT_LANG", "en")
    return tmp_path


RUN = [page for page in PAGES if page != TUTORIAL and english(page) == page and any(blocks(page))]


@pytest.mark.parametrize("page", RUN, ids=named)
def test_the_blocks_of_a_page(page: Path, place: Path) -> None:
    names: dict[str, object] = {"__name__": "page"}
    missing = []
    for block in blocks(page):
        if block.needs and importlib.util.find_spec(block.needs) is None:
            missing.append(block.needs)
        elif block.file or block.fate == "written and read":
            read(block)
            path = place / (block.file or "unnamed")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(block.text, encoding="utf-8")
        elif block.kind == "sh":
            shell(block)
        elif block.fate == "run":
            exec(compile(block.text, named(page), "exec"), names)
    if missing:
        pytest.skip(f"all but {len(missing)} blocks ran; not installed: {set(missing)}")


def read(block: Block) -> None:
    """Data must be what its block says it is."""
    if block.kind == "json":
        assert [json.loads(line) for line in block.text.splitlines()]
    elif block.kind == "toml":
        assert tomllib.loads(block.text)
    elif block.kind == "yaml":
        assert yaml.safe_load(block.text)


def shell(block: Block) -> None:
    """Runs the lines that call `qwenbelt`, in this process; looks at the others."""
    for line in block.text.splitlines():
        words = shlex.split(line, comments=True)
        if words[:2] == ["pip", "install"]:
            declared(words)
        elif words[:1] == ["qwenbelt"]:
            taken(words[1:])
            if block.fate == "run":
                assert (cli.run(words[1:]) != 0) == (block.note == "fails"), line
        elif words:
            assert block.fate == "not run", f"{line}: only lines of qwenbelt are run here"


def declared(words: list[str]) -> None:
    """The extras of a line with `pip install` must be there."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    for extra in re.findall(r"\[([\w,]+)\]", " ".join(words)):
        assert set(extra.split(",")) <= set(project["optional-dependencies"]), words


def taken(words: list[str]) -> None:
    """The command, its options and the number of its arguments must be right."""
    command: click.Command = cli.root()
    context = click.Context(command, info_name="qwenbelt")
    while isinstance(command, click.Group):
        name, command, words = command.resolve_command(context, words)
        assert command is not None, name
        context = click.Context(command, info_name=name, parent=context)
    if "-h" not in words and "--help" not in words:
        command.make_context(context.info_name, list(words), parent=context.parent)


@pytest.mark.skipif(sys.platform == "win32", reason="the commands are for a POSIX shell")
@pytest.mark.timeout(900)
def test_the_tutorial_to_the_letter(tmp_path: Path) -> None:
    """Its files are written and its commands run by a shell, since pytest is among them."""
    found = blocks(TUTORIAL)
    printed = []
    script = next(block.text for block in found if block.file == "model.yaml")
    with ScriptedServer(script, plays=None) as model:
        env = tutorial_environment(f"openai:shop@{model.url}")
        for block in found:
            if block.file:
                path = tmp_path / block.file
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(block.text, encoding="utf-8")
                read(block)
                continue
            env.update(re.findall(r"^export (\w+)=(\S+)", block.text, re.MULTILINE))
            done = subprocess.run(
                ["bash", "-e", "-o", "pipefail", "-c", block.text],
                cwd=tmp_path,
                env=env,
                capture_output=True,
                text=True,
                check=False,
                timeout=300,
            )
            printed.append(done.stdout + done.stderr)
            assert (done.returncode != 0) == (block.note == "fails"), block.text + printed[-1]
    assert "together 3.50 euros" in printed[0]
    assert "1 passed" in printed[1]
    assert "4.00" in printed[2]
    assert "3.00" in printed[2]
    assert "1 passed" in printed[-1].replace("3 passed", "1 passed")


def tutorial_environment(model: str) -> dict[str, str]:
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("PYTEST", "QWENBELT", "CI"))}
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    quiet = "-p no:cacheprovider -p no:hypothesispytest"
    return {**kept, "PATH": path, "MODEL": model, "PYTEST_ADDOPTS": quiet}
