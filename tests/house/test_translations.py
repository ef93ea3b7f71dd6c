"""Every error that this package raises can be said in Chinese, and no row of the catalogue is idle.

The source is read, not run: messages and mends are taken from the calls that make errors (and the
findings of `qwenbelt doctor`), with `{}` where a value is put in.
"""

from __future__ import annotations

import ast
import errno
import json
import os
import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache
from itertools import product
from pathlib import Path
from typing import Any, get_args

from pydantic_core import PydanticKnownError, core_schema

ROOT = Path(__file__).resolve().parents[2]
FOLDERS = ("core", "tools", "mcp_servers", "agents", "workflows", "apps", "testing")
CATALOGUE = ROOT / "core" / "errors.zh.json"
HOLE = "{}"

# texts that have no row, since they come from elsewhere; by the expression in the source
ANOTHER_ERROR = "hands on the text of an error that has a row of its own"
OTHER_PROGRAM = "the words of an endpoint or of another program"
BILINGUAL = "is in the person's or the run's language already"
COMMAND = "is a command"
HOOK = "is the reason that a hook gives"
VALUES = "is a value, or words that have rows as parts of a text"
NOT_LITERAL: dict[str, dict[str, str]] = {
    "apps/agent_choice.py": {"say('none_alone')": BILINGUAL},
    "apps/commands/eval.py": {
        "_say('need', what='NAME')": BILINGUAL,
        "_say('need', what='--out DIR')": BILINGUAL,
    },
    "apps/commands/report.py": {
        "_say('need_ask')": BILINGUAL,
        "_say('need_files')": BILINGUAL,
        "_say('need_out')": BILINGUAL,
    },
    "apps/commands/run.py": {
        "say('no_question')": BILINGUAL,
        "say('session_or_durable')": BILINGUAL,
    },
    "apps/terminal_chat/chat.py": {
        "fix": BILINGUAL,
        "say('chat_approve_modes')": BILINGUAL,
        "say('chat_think_states')": BILINGUAL,
        "say('chat_unknown', name=name)": BILINGUAL,
        "say('no_tool', name=name or rest)": BILINGUAL,
    },
    "apps/doctor.py": {
        "error.fix or ''": ANOTHER_ERROR,
        "error.fix or 'Correct that file.'": ANOTHER_ERROR,
        "error.message": ANOTHER_ERROR,
        "fix_of(name)": COMMAND,
        "purpose": VALUES,
        "detail": VALUES,
        "level": VALUES,
        "str(folder)": VALUES,
        "str(source) if source else 'no file; defaults and environment'": VALUES,
        "version": VALUES,
        "version('qwen-agent')": VALUES,
    },
    "apps/toolset.py": {"fix": BILINGUAL, "say('no_tool', name=name)": BILINGUAL},
    "agents/chat_model.py": {"error": ANOTHER_ERROR},
    "agents/runtime/hooked.py": {"changed.why": HOOK},
    "agents/telemetry.py": {"fix_of('otel')": COMMAND},
    "tools/skills/skill.py": {"error.message": ANOTHER_ERROR},
    "core/extras.py": {"fix_of(extra)": COMMAND},
    "agents/models/dashscope.py": {
        "one_line(error.get('message') or 'failed', 300)": OTHER_PROGRAM,
    },
    "agents/runtime/loop.py": {
        "str(refusal)": HOOK,
        "REPEATED[self.plan.language].format(**words)": BILINGUAL,
    },
    "agents/runtime/run.py": {"detail": ANOTHER_ERROR},
    "agents/runtime/typed_answer.py": {"fault or CUT_OFF_CALL[language]": BILINGUAL},
    "agents/runtime/scheduler.py": {
        "CUT_OFF[self._around.language]": BILINGUAL,
        "NO_SUCH_RESULT[self._around.language].format(name=name)": BILINGUAL,
        "UNKNOWN_TOOL[around.language].format(name=call.name, names=names)": BILINGUAL,
        "UNREADABLE_CALL[around.language]": BILINGUAL,
        "around.beyond": BILINGUAL,
        "refusal": BILINGUAL,
        "self._why_stopped": BILINGUAL,
        "text.format(name=job.call.name, reason=by)": BILINGUAL,
        "text.format(name=source.call.name)": BILINGUAL,
    },
    "agents/models/stock_model.py": {"one_line(error)": OTHER_PROGRAM},
    "agents/runtime/approvals/approval.py": {
        "text.format(name=name, reason=NOBODY_TO_ASK[language])": BILINGUAL,
    },
    "testing/scenarios/yaml_file.py": {"error.message": ANOTHER_ERROR, "str(error)": ANOTHER_ERROR},
    "tools/audio/tool.py": {"str(error)": ANOTHER_ERROR},
    "tools/documents/stock.py": {"' '.join(failed)": ANOTHER_ERROR, "failed[0]": ANOTHER_ERROR},
    "tools/documents/attached.py": {"str(error)": ANOTHER_ERROR},
    "tools/documents/tool.py": {
        "' '.join(library.failed)": ANOTHER_ERROR,
        "str(error)": ANOTHER_ERROR,
    },
    "tools/documents/parsing/formats.py": {"note": ANOTHER_ERROR},
    "tools/documents/parsing/html/blocks.py": {"note": ANOTHER_ERROR},
    "tools/documents/parsing/worker_pool.py": {
        "answer.get('fix')": ANOTHER_ERROR,
        "answer['error']": ANOTHER_ERROR,
    },
    "tools/images/tool.py": {"str(error)": ANOTHER_ERROR},
    "tools/mcp/login/provider.py": {"error.fix": ANOTHER_ERROR},
    "tools/mcp/session.py": {"error.fix": ANOTHER_ERROR},
    "tools/mcp/tasks.py": {
        "one_line(state.status_message or 'The server cancelled the task.', 1000)": OTHER_PROGRAM,
        "one_line(str(said), 2000)": OTHER_PROGRAM,
    },
    "tools/mcp/tool.py": {
        "first.fix": ANOTHER_ERROR,
        "one_line(error)": ANOTHER_ERROR,
        "one_line(said, 4000) or f'{self.name} failed.'": OTHER_PROGRAM,
    },
    "tools/plot/file_rows.py": {"str(error)": ANOTHER_ERROR},
    "tools/plot/tool.py": {"str(error)": ANOTHER_ERROR},
    "tools/sqlite/tool.py": {"error.message": ANOTHER_ERROR},
    "tools/web/tool.py": {"str(error)": ANOTHER_ERROR},
    "workflows/batch/engine.py": {
        "mask_secrets(str(error))": ANOTHER_ERROR,
    },
    "workflows/batch/jobs.py": {"found.error": ANOTHER_ERROR},
    "workflows/inspection/asking.py": {"event.detail": ANOTHER_ERROR, "str(error)": ANOTHER_ERROR},
    "workflows/labelling/asking.py": {"event.detail": ANOTHER_ERROR, "str(error)": ANOTHER_ERROR},
    "workflows/longdoc/job.py": {"one.error": ANOTHER_ERROR},
    "workflows/probe/job.py": {"event.detail": ANOTHER_ERROR},
    "workflows/report/agentic.py": {"say('no_answer', language, reason=reason)": BILINGUAL},
    "workflows/report/inputs.py": {"' '.join(found.left_out)": ANOTHER_ERROR},
    "workflows/report/operation.py": {"str(error)": ANOTHER_ERROR},
}

_WRAPPERS = ("str", "mask_secrets", "one_line")
_TRIMMERS = ("replace", "strip", "rstrip", "format", "removeprefix")


def normal(template: str) -> str:
    """A text with every named or numbered placeholder as `{}`."""
    return re.sub(r"\{[\w.!:]*\}", HOLE, template)


def has_words(template: str) -> bool:
    """Whether there is anything to translate: not only values and the glue between them."""
    return re.search(r"[^\W\d_]", template.replace(HOLE, "")) is not None


@dataclass
class Source:
    """A module: its tree, and the texts that names in it stand for."""

    path: Path
    tree: ast.Module
    names: dict[str, list[ast.expr]] = field(default_factory=dict)

    @property
    def place(self) -> str:
        return self.path.relative_to(ROOT).as_posix()


@cache
def sources() -> dict[str, Source]:
    found = {}
    for folder in FOLDERS:
        for path in sorted((ROOT / folder).rglob("*.py")):
            tree = ast.parse(path.read_text(encoding="utf-8"))
            name = ".".join(["qwenbelt", *path.relative_to(ROOT).with_suffix("").parts])
            found[name.removesuffix(".__init__")] = Source(path, tree, assigned(tree.body))
    return found


def assigned(body: list[Any]) -> dict[str, list[ast.expr]]:
    """What is assigned to each name anywhere in a body, classes and functions left out."""
    found: dict[str, list[ast.expr]] = {}
    waiting = list(body)
    while waiting:
        node = waiting.pop()
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda)):
            continue
        if isinstance(node, ast.Assign):
            for target in node.targets:
                if isinstance(target, ast.Name):
                    found.setdefault(target.id, []).append(node.value)
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and node.value:
            found.setdefault(node.target.id, []).append(node.value)
        elif isinstance(node, ast.AugAssign) and isinstance(node.target, ast.Name):
            found.setdefault(node.target.id, []).append(ast.Constant(value=0))  # no literal
        waiting += list(ast.iter_child_nodes(node))
    return found


@cache
def error_classes() -> frozenset[str]:
    known = {"QwenbeltError"}
    classes = [
        node
        for s in sources().values()
        for node in ast.walk(s.tree)
        if isinstance(node, ast.ClassDef)
    ]
    grown = True
    while grown:
        grown = False
        for node in classes:
            bases = {ast.unparse(base).split(".")[-1] for base in node.bases}
            if node.name not in known and bases & known:
                known.add(node.name)
                grown = True
    return frozenset(known - {"PageError"})  # that one is written in both languages


class Reader:
    """Reads which texts an expression may be.

    Args:
        source: the module.
        function: the innermost function around it, if any.
    """

    def __init__(self, source: Source, function: ast.AST | None) -> None:
        self._source = source
        self._local = assigned(getattr(function, "body", []))

    def texts(self, node: ast.expr, depth: int = 0) -> list[str]:
        """The texts, `{}` for what is not known."""
        if isinstance(node, ast.Constant):
            return [node.value] if isinstance(node.value, str) else []
        if isinstance(node, ast.JoinedStr):
            parts = [p.value if isinstance(p, ast.Constant) else HOLE for p in node.values]
            return ["".join(map(str, parts))]
        if isinstance(node, ast.IfExp):
            return self.texts(node.body, depth) + self.texts(node.orelse, depth)
        if isinstance(node, ast.BoolOp):
            return [text for value in node.values for text in self.texts(value, depth)]
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
            sides = self.texts(node.left, depth), self.texts(node.right, depth)
            return ["".join(pair) for pair in product(*sides)]
        if isinstance(node, ast.Call):
            return self._of_call(node, depth)
        if isinstance(node, (ast.Name, ast.Attribute)) and depth < 3:
            return self._of_name(node, depth + 1)
        return [HOLE]

    def _of_call(self, node: ast.Call, depth: int) -> list[str]:
        function = node.func
        if isinstance(function, ast.Name) and function.id in _WRAPPERS:
            return self.texts(node.args[0], depth)
        if isinstance(function, ast.Attribute) and function.attr in _TRIMMERS:
            return [normal(text) for text in self.texts(function.value, depth)]
        if isinstance(function, ast.Attribute) and function.attr == "get":
            known = self._values(function.value)
            if known and isinstance(known[0], ast.Dict):
                return [t for value in known[0].values for t in self.texts(value, depth)]
        return [HOLE]

    def _of_name(self, node: ast.Name | ast.Attribute, depth: int) -> list[str]:
        values = self._values(node)
        found = [text for value in values for text in self.texts(value, depth)]
        return found if values and HOLE not in found and found else [HOLE]

    def _values(self, node: ast.expr) -> list[ast.expr]:
        if isinstance(node, ast.Name):
            return self._local.get(node.id) or self._source.names.get(node.id, [])
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            package = ".".join(["qwenbelt", *self._source.path.relative_to(ROOT).parts[:-1]])
            module = sources().get(f"{package}.{node.value.id}")
            return module.names.get(node.attr, []) if module else []
        return []


@dataclass(frozen=True)
class Said:
    """One text of an error: where, the expression, and the text or `{}`."""

    place: str
    expression: str
    text: str


def _calls(tree: ast.AST, function: ast.AST | None = None) -> Iterator[tuple[ast.Call, Any]]:
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.Call):
            yield node, function
        inner = isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
        yield from _calls(node, node if inner else function)


def _of_commands(place: str) -> bool:
    return place.startswith("apps/") and place != "apps/cli.py"  # which writes both languages


@cache
def said() -> tuple[Said, ...]:
    found = []
    for source in sources().values():
        for call, function in _calls(source.tree):
            name = ast.unparse(call.func).split(".")[-1]
            if name in error_classes():
                given = call.args[:1]
            elif name in ("UsageError", "BadParameter") and _of_commands(source.place):
                given = call.args[:1]
            elif name == "DoctorFinding" and source.place == "apps/doctor.py":
                given = call.args[2:4]
            elif name in ("noted", "Note"):  # of documents
                given = call.args[:1]
            elif name == "Ending":  # of a run; `Done` brings it to people
                given = call.args[1:2]
            elif name == "error" and source.place.startswith("testing/") and len(call.args) == 2:
                given = call.args[1:]  # `Document.error(place, message)` makes an InputError
            else:
                continue
            given = given + [word.value for word in call.keywords if word.arg in ("fix", "detail")]
            reader = Reader(source, function)
            place = f"{source.place}:{call.lineno}"
            found += [
                Said(place, ast.unparse(node), text)
                for node in given
                for text in reader.texts(node)
            ]
    return tuple(found)


@cache
def rows() -> dict[str, str]:
    read: dict[str, str] = json.loads(CATALOGUE.read_text(encoding="utf-8"))
    return read


@cache
def strings() -> frozenset[str]:
    """Every text in the source, as a template: parts of errors come from variables."""
    found: set[str] = set()
    for source in sources().values():
        reader = Reader(source, None)
        for node in ast.walk(source.tree):
            if isinstance(node, (ast.Constant, ast.JoinedStr)):
                found.update(normal(text).strip() for text in reader.texts(node))
    return frozenset(found)


# whatever pydantic puts into its templates
FILLED = {
    **dict.fromkeys(("gt", "ge", "lt", "le", "min_length", "max_length", "actual_length"), 1),
    **dict.fromkeys(("field_type", "pattern", "expected", "error"), "x"),
}


@cache
def of_others() -> frozenset[str]:
    """The words of the system and of pydantic, which stand inside our errors."""
    found = {os.strerror(code) for code in errno.errorcode}
    found.add("All connection attempts failed")  # anyio's, for an endpoint that is not there
    for kind in get_args(core_schema.ErrorType):
        with suppress(TypeError):  # wants other values; none of our rows does
            template = PydanticKnownError(kind, FILLED).message_template
            for plural in ("", "s"):
                template_of_it = template.replace("{expected_plural}", plural)
                found.add(normal(template_of_it.replace("{field_type}", "List")))
                found.add(normal(template_of_it.replace("{field_type}", "String")))
    return frozenset(found)


def test_every_message_and_mend_has_a_row() -> None:
    wanted = {s.text.strip(): s.place for s in said() if s.text != HOLE and has_words(s.text)}
    missing = [f"{place}: {text}" for text, place in wanted.items() if text not in rows()]
    assert not missing, f"not in {CATALOGUE.name}:\n" + "\n".join(missing)


def test_what_is_no_literal_is_known_and_why() -> None:
    found: dict[str, set[str]] = {}
    for one in said():
        if one.text == HOLE:
            found.setdefault(one.place.split(":")[0], set()).add(one.expression)
    assert found == {place: set(expressions) for place, expressions in NOT_LITERAL.items()}


def test_no_row_is_idle() -> None:
    used = {s.text.strip() for s in said()} | strings() | of_others()
    idle = [text for text in rows() if text not in used]
    assert not idle, "raised nowhere:\n" + "\n".join(idle)


def test_no_row_is_there_twice_or_loses_a_value() -> None:
    pairs = json.loads(CATALOGUE.read_text(encoding="utf-8"), object_pairs_hook=list)
    assert len(pairs) == len(dict(pairs))
    for text, chinese in pairs:
        holes = re.findall(r"\{~?(\d*)\}", chinese)
        assert len(holes) == text.count(HOLE), text
        assert all(holes) or not any(holes), f"{text}: numbered holes and others"
        if any(holes):
            assert sorted(map(int, holes)) == list(range(len(holes))), text
        assert text == text.strip()
        assert has_words(text), f"{text!r} is only glue"


QUOTED = re.compile(
    r"--[a-z-]+|`[^`]+`|\b[A-Z]{2,}(?:_[A-Z]+)+\b|\b[a-z]+_[a-z_]+\b|\bhttps?://\S+[\w/]|qwenbelt\.toml"
)


def test_options_names_and_commands_stay_exact() -> None:
    for text, chinese in rows().items():
        for exact in QUOTED.findall(text):
            assert exact in chinese, f"{text}: {exact} is lost"
        if text.startswith(("pip install ", "qwenbelt ")) and "," not in text:
            assert chinese == text


def test_chinese_words_are_followed_by_chinese_marks() -> None:
    wrong = [c for c in rows().values() if re.search(r"[\u4e00-\u9fff] ?(?:[,;:?!()]|\.(?!\w))", c)]
    assert not wrong, "\n".join(wrong)
