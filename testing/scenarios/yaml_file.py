"""Reads scenarios from YAML, strictly: every mistake is reported with its file and line."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from qwenbelt.core.errors import InputError
from qwenbelt.core.limits import input_file
from qwenbelt.testing.errors import did_you_mean
from qwenbelt.testing.scenarios.scenario import (
    Conversation,
    Scenario,
    Timing,
    Turn,
    Wire,
    call_of,
    faults_of,
    record_of,
)

Place = tuple[Any, ...]
MAX_BYTES = 8 * 1024 * 1024
_TURN_KEYS = (
    "name say think text calls tail answer expect faults timing wire unoffered usage".split()
)
_CONVERSATION_KEYS = ("name", "say", "turns", "then")
_SCENARIO_KEYS = (
    *("name", "say", "turns", "conversations", "model", "api_key", "wire", "timing", "agent"),
    *("tools", "files", "system", "then", "rate"),
)
_USAGE_KEYS = ("input", "output", "cached", "reasoning")


class _Loader(yaml.SafeLoader):
    """YAML 1.2's plain scalars: `yes`, `on` and dates are texts. No aliases: they can explode."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        """Refuses aliases."""
        if self.check_event(yaml.AliasEvent):
            mark = self.get_mark()
            raise yaml.MarkedYAMLError(problem="an alias is not allowed", problem_mark=mark)
        return super().compose_node(parent, index)


_Loader.yaml_implicit_resolvers = {}
for _tag, _pattern, _first in (
    ("bool", r"^(?:true|True|false|False)$", "tTfF"),
    ("null", r"^(?:~|null|Null|)$", ["~", "n", "N", ""]),
    ("int", r"^[-+]?[0-9]+$", "-+0123456789"),
    ("float", r"^[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?$", "-+.0123456789"),
):
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(_pattern), list(_first))
_Loader.add_constructor("tag:yaml.org,2002:int", lambda loader, node: int(node.value))
_Loader.add_constructor("tag:yaml.org,2002:float", lambda loader, node: float(node.value))


def _joined(text: str) -> str:
    """Joins the halves of a character that JSON writes as two escapes, as it does with emoji."""
    if not any("\ud800" <= c <= "\udfff" for c in text):
        return text
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "surrogatepass")


class YamlDocument:
    """A YAML document as plain values, with the line of each and the text of each scalar."""

    def __init__(self, text: str, name: str) -> None:
        self.name = name
        self.lines: dict[Place, int] = {}
        self.texts: dict[Place, str] = {}
        loader = _Loader(text)
        try:
            node = loader.get_single_node()
            self.value = None if node is None else self._plain(loader, node, ())
        except yaml.MarkedYAMLError as error:
            line = error.problem_mark.line + 1 if error.problem_mark else 1
            raise InputError(f"{name}:{line}: not valid YAML ({error.problem}).") from error
        except (yaml.YAMLError, RecursionError) as error:
            raise InputError(f"{name}: not valid YAML ({error}).") from error
        finally:
            loader.dispose()

    def _plain(self, loader: _Loader, node: yaml.Node, place: Place) -> Any:
        self.lines[place] = node.start_mark.line + 1
        if isinstance(node, yaml.MappingNode):
            return self._mapping(loader, node, place)
        if isinstance(node, yaml.SequenceNode):
            return [self._plain(loader, n, (*place, i)) for i, n in enumerate(node.value)]
        node.value = _joined(str(node.value))
        self.texts[place] = node.value
        return loader.construct_object(node)

    def _mapping(self, loader: _Loader, node: yaml.MappingNode, place: Place) -> dict[Any, Any]:
        out: dict[Any, Any] = {}
        for key_node, value_node in node.value:
            if not isinstance(key_node, yaml.ScalarNode):
                raise self.error((*place,), "a key must be a plain text")
            key = _joined(str(key_node.value))
            inner = (*place, key)
            if key in out:
                self.lines[inner] = key_node.start_mark.line + 1
                raise self.error(inner, f"the key {key!r} is there twice")
            out[key] = self._plain(loader, value_node, inner)
            self.lines[inner] = key_node.start_mark.line + 1
        return out

    def error(self, place: Place, message: str) -> InputError:
        """Returns the error for a place: file, line, path, message."""
        while place and place not in self.lines:
            place = place[:-1]
        path = "".join(f"[{p + 1}]" if isinstance(p, int) else f".{p}" for p in place).lstrip(".")
        where = f"{self.name}:{self.lines.get(place, 1)}: " + (f"{path}: " if path else "")
        return InputError(where + message.rstrip(".") + ("" if message.endswith("?") else "."))

    def check_keys(self, value: Any, place: Place, known: Any) -> dict[str, Any]:
        """Returns `value` as a mapping whose keys are all known."""
        if not isinstance(value, dict):
            raise self.error(place, f"must be a mapping, not {_shown_value(value)}")
        for key in value:
            if key not in known:
                hint = did_you_mean(key, known) or f" Known are: {', '.join(known)}."
                raise self.error((*place, key), f"unknown key {key!r}.{hint}")
        return value

    def text(self, value: Any, place: Place) -> str:
        """Returns a scalar as it is written; null is empty."""
        if value is None:
            return ""
        if isinstance(value, (dict, list)):
            raise self.error(place, "must be a text")
        return self.texts[place]

    def sequence(self, value: Any, place: Place) -> list[Any]:
        """Returns `value` as a list."""
        if not isinstance(value, list):
            raise self.error(place, f"must be a list, not {_shown_value(value)}")
        return value


def _shown_value(value: Any) -> str:
    return "nothing" if value is None else f"{type(value).__name__} {value!r}"[:60]


def load_scenario(path: str | os.PathLike[str]) -> Scenario:
    """Reads a scenario file.

    Raises:
        InputError: the file cannot be read, or something in it is not understood.
    """
    file = input_file(path, max_bytes=MAX_BYTES)
    try:
        text = file.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise InputError(f"{file}: not UTF-8 text ({error.reason}).") from error
    scenario = parse_scenario(text, name=str(path))
    scenario.source = file
    scenario.name = scenario.name or file.name.split(".")[0]
    return scenario


def parse_scenario(text: str, *, name: str = "scenario") -> Scenario:
    """Reads a scenario from YAML text; `name` is before the line in errors.

    Raises:
        InputError: something is not understood.
    """
    return scenario_of(YamlDocument(text, name))


def scenario_of(document: YamlDocument, place: Place = (), value: Any = None) -> Scenario:
    """Returns the scenario that is at `place` of a document."""
    doc = document
    entries = doc.check_keys(doc.value if value is None else value, place, _SCENARIO_KEYS)
    texts: dict[str, Any] = {
        key: doc.text(entries[key], (*place, key))
        for key in ("name", "model", "api_key", "agent", "system")
        if entries.get(key) is not None
    }
    scenario = Scenario(
        conversations=_read_conversations(doc, entries, place),
        wire=_read_record(doc, Wire, entries, place, "wire"),
        timing=_read_record(doc, Timing, entries, place, "timing"),
        tools=_agent_names(doc, entries, (*place, "tools")),
        files=_agent_names(doc, entries, (*place, "files")),
        then=_read_checks(doc, entries.get("then"), (*place, "then")),
        rate=_read_rate(doc, entries.get("rate", 1.0), (*place, "rate")),
        **texts,
    )
    return scenario


def _agent_names(doc: YamlDocument, entries: dict[str, Any], place: Place) -> list[str]:
    values = doc.sequence(entries.get(place[-1]) or [], place)
    return [doc.text(value, (*place, i)) for i, value in enumerate(values)]


def _read_checks(doc: YamlDocument, then: Any, place: Place) -> Mapping[str, Any]:
    if then is None:
        return {}
    if not isinstance(then, dict):
        raise doc.error(place, f"must be a mapping, not {_shown_value(then)}")
    from qwenbelt.testing.checks.yaml_checks import checks_of

    for key, value in then.items():
        try:
            checks_of({key: value})
        except InputError as error:
            raise doc.error((*place, key), error.message) from None
    return then


def _read_conversations(
    doc: YamlDocument, entries: dict[str, Any], place: Place
) -> list[Conversation]:
    if "conversations" not in entries:
        if "turns" not in entries:
            raise doc.error(place, "a scenario needs `turns` or `conversations`")
        return [_read_conversation(doc, {k: entries.get(k) for k in ("say", "turns")}, place)]
    if "turns" in entries or "say" in entries:
        raise doc.error((*place, "conversations"), "takes the place of `say` and `turns`")
    at = (*place, "conversations")
    out = []
    for i, value in enumerate(doc.sequence(entries["conversations"], at)):
        one = _read_conversation(doc, doc.check_keys(value, (*at, i), _CONVERSATION_KEYS), (*at, i))
        if one.say is None:
            raise doc.error((*at, i), "needs `say`, which tells it from the others")
        one.name = one.name or one.say[:40]
        out.append(one)
    if not out:
        raise doc.error(at, "must hold at least one conversation")
    return out


def _read_conversation(doc: YamlDocument, entries: dict[str, Any], place: Place) -> Conversation:
    at = (*place, "turns")
    turns = doc.sequence(entries.get("turns"), at)
    if not turns:
        raise doc.error(at, "must hold at least one turn")
    say = entries.get("say")
    name = entries.get("name")
    return Conversation(
        say=None if say is None else doc.text(say, (*place, "say")),
        turns=[_read_turn(doc, value, (*at, i)) for i, value in enumerate(turns)],
        name="" if name is None else doc.text(name, (*place, "name")),
        then=_read_checks(doc, entries.get("then"), (*place, "then")),
    )


def _read_turn(doc: YamlDocument, value: Any, place: Place) -> Turn:
    entries = doc.check_keys(value, place, _TURN_KEYS)
    if not set(entries) & {"think", "text", "calls", "tail", "answer", "faults"}:
        raise doc.error(place, "a turn needs `answer`, `calls` or `text`")
    texts: dict[str, Any] = {
        key: doc.text(entries.get(key), (*place, key)) for key in ("name", "think", "text", "tail")
    }
    say = entries.get("say")
    return Turn(
        say=None if say is None else doc.text(say, (*place, "say")),
        calls=_read_calls(doc, entries.get("calls"), (*place, "calls")),
        answer=_read_answer(doc, entries.get("answer"), (*place, "answer")),
        expect=_read_expectations(doc, entries.get("expect"), (*place, "expect")),
        faults=_read_faults(doc, entries.get("faults"), (*place, "faults")),
        timing=_read_record(doc, Timing, entries, place, "timing"),
        wire=_read_record(doc, Wire, entries, place, "wire"),
        unoffered=_read_flag(doc, entries.get("unoffered", False), (*place, "unoffered")),
        usage=_read_usage(doc, entries.get("usage"), (*place, "usage")),
        line=doc.lines[place],
        **texts,
    )


def _read_calls(doc: YamlDocument, value: Any, place: Place) -> Any:
    calls = []
    for i, entry in enumerate(doc.sequence([] if value is None else value, place)):
        try:
            calls.append(call_of(entry))
        except InputError as error:
            raise doc.error((*place, i), error.message) from None
    return tuple(calls)


def _read_answer(doc: YamlDocument, value: Any, place: Place) -> Any:
    return value if value is None or isinstance(value, (dict, list)) else doc.texts[place]


def _read_expectations(doc: YamlDocument, value: Any, place: Place) -> Mapping[str, Any]:
    from qwenbelt.testing.scenarios.expectations import check_expect

    if value is None:
        return {}
    if not isinstance(value, dict):
        raise doc.error(place, f"must be a mapping, not {_shown_value(value)}")
    try:
        check_expect(value)
    except InputError as error:
        raise doc.error(place, error.message) from None
    return value


def _read_faults(doc: YamlDocument, value: Any, place: Place) -> Any:
    try:
        return faults_of([] if value is None else value)
    except (InputError, TypeError, ValueError) as error:
        raise doc.error(place, str(error)) from None


def _read_record(
    doc: YamlDocument, kind: type[Any], entries: dict[str, Any], place: Place, key: str
) -> Any:
    try:
        return record_of(kind, entries.get(key) or {}, key)
    except InputError as error:
        raise doc.error((*place, key), error.message) from None


def _read_flag(doc: YamlDocument, value: Any, place: Place) -> bool:
    if not isinstance(value, bool):
        raise doc.error(place, "must be true or false")
    return value


def _read_rate(doc: YamlDocument, value: Any, place: Place) -> float:
    if not isinstance(value, (int, float)) or isinstance(value, bool) or not 0 < value <= 1:
        raise doc.error(place, "must be a number above 0 and up to 1")
    return float(value)


def _read_usage(doc: YamlDocument, value: Any, place: Place) -> dict[str, int]:
    entries = doc.check_keys(value or {}, place, _USAGE_KEYS)
    for key, number in entries.items():
        if not isinstance(number, int) or isinstance(number, bool) or number < 0:
            raise doc.error((*place, key), "must be a whole number")
    return entries


def as_scenario(source: Any) -> Scenario:
    """Returns a scenario from a `Scenario`, a path, YAML text, or a plain answer.

    Raises:
        InputError: it cannot be read.
    """
    if isinstance(source, Scenario):
        return source
    if isinstance(source, Path) or (isinstance(source, str) and "\n" not in source):
        return load_scenario(source)
    if isinstance(source, str):
        return parse_scenario(source)
    raise InputError(f"A scenario is a Scenario, a path or YAML text, not {type(source).__name__}.")
