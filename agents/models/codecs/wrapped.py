"""Calls where they should not be: in wrappers of small models, between words, among thoughts.

Each of these is read under its own condition only, since the same text may be an example.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from qwenbelt.agents.models.codecs.base import SoFar
from qwenbelt.agents.models.codecs.blocks import OPEN, CallBlock, FoundCall
from qwenbelt.agents.models.codecs.place import Place
from qwenbelt.agents.models.codecs.written import (
    Schemas,
    Written,
    embedded_calls,
    json_calls,
)
from qwenbelt.core.jsons import loads_lenient

# what models write round a call (llama.cpp's Hermes parser knows most of these)
_WRAPPERS = (
    "tools",
    "tool",
    "tool_calls",
    "function",
    "functions",
    "function_call",
    "function_calls",
    "json",
    "JSON",
    "xml",
    "call",
    "invoke",
    "response",
    "output",
    "action",
)
_WRAPPER = re.compile(rf"<({'|'.join(_WRAPPERS)})>\s*")
_FENCE = re.compile(r"```[a-zA-Z_]*[ \t]*\n?")
_FUNCTION = re.compile(r"<function(?:=|\s+name\s*=)")
_IN_THOUGHTS = re.compile(r"(?:\A|\n)[ \t]*(<tool_call>|<function=[^>\n]+>)")
# words by which text shows a call instead of making one
_EXAMPLE = re.compile(
    r"\bexample|\be\.g\.|\bfor instance|\blooks? like|\blooks? so|\bformat\b|\bsyntax|\btemplate"
    r"|\bplaceholder|\bsuch as|\bnot a (?:tool |function )?call"
    r"|例如|比如|示例|例子|格式|形如|模板|不是.{0,4}调用",
    re.IGNORECASE,
)
_SHOWING = re.compile(
    r"\breplace\b|\bwould\b|\bcould\b|\bif you (?:want|need)|\binstead of|替换", re.IGNORECASE
)
_SENTENCE = 160  # characters before a call that may say what it is
_WORD = re.compile(r"[A-Za-z]{3,}|\d+|[\u4e00-\u9fff]{2}")


def may_be_wrapped(text: str, names: Schemas) -> bool:
    """Whether a reply that has just begun may be a wrapper round calls, and nothing else."""
    rest = text.lstrip()
    if rest.startswith("```"[: len(rest)]):
        fence = _FENCE.match(rest)
        if fence is None or fence.end() == len(rest):
            return True
        rest = rest[fence.end() :].lstrip()
        if not rest:
            return True
    if not rest.startswith("<"):
        return False
    if rest.startswith(OPEN):
        return True
    if _FUNCTION.match(rest):
        return True
    head = rest.partition(">")[0]
    if ">" not in rest:
        tags = (*(f"<{name}" for name in _WRAPPERS), "<function=", "<function name=", OPEN)
        return any(tag.startswith(head) for tag in tags) or head.startswith("<function")
    found = _WRAPPER.match(rest)
    if found is None:
        return False
    inner = rest[found.end() :]
    return not inner or inner[0] in "{[<`"


def wrapped_calls(text: str, schemas: Schemas) -> list[Written]:
    """Returns the calls of a reply that is nothing but a wrapper round calls of offered tools."""
    body = text.strip()
    for _ in range(3):  # a fence round a wrapper round a fence
        fence = _FENCE.match(body)
        if fence:
            body = body[fence.end() :].removesuffix("```").strip()
        calls = json_calls(body, schemas) or list(_in_tags(body, schemas))
        if calls:
            return calls
        found = _WRAPPER.match(body)
        if found is None:
            return []
        body = re.sub(rf"\s*</{found.group(1)}>\s*\Z", "", body[found.end() :]).strip()
    return []


def _in_tags(body: str, schemas: Schemas) -> Iterator[Written]:
    """Yields calls written as tags, if all of the text is such calls of offered tools."""
    found: list[FoundCall] = []
    while body.startswith((OPEN, "<function")):
        opening = OPEN if body.startswith(OPEN) else body.partition(">")[0] + ">"
        block = CallBlock(opening, schemas)
        block.feed(body[len(opening) :])
        if not block.is_over:
            block.finish()
        if block.is_text or any(not c.whole or c.name not in schemas for c in block.calls):
            return
        found += block.calls
        body = block.rest.strip()
    if not body:
        yield from ((call.name, call.arguments) for call in found)


def is_example(before: str) -> bool:
    """Returns whether the words right before a call say that it is an example."""
    return bool(_EXAMPLE.search(before[-_SENTENCE:]))


def shown_by_words(
    before: str, held: str, schemas: Schemas, so_far: SoFar
) -> tuple[list[Written], str]:
    """Returns the calls that are between words, and the words that follow them.

    Small models introduce a call, write it in a fence, and explain it. It counts while the run has
    called nothing, when no word says that it is an example, and when its arguments take something
    from the question.
    """
    if so_far.called or not so_far.question:
        return [], ""
    calls, after = embedded_calls(held, schemas)
    words = f"{before}\n{after}"
    if not calls or _SHOWING.search(words) or _EXAMPLE.search(words):
        return [], ""
    asked = {word.lower() for word in _words(so_far.question)}
    if not all(asked & {word.lower() for word in _words(given)} for given in _given(calls)):
        return [], ""
    return calls, after


def _given(calls: list[Written]) -> Iterator[str]:
    """Yields the values of each call's arguments as text, without the names of arguments."""
    for _, arguments in calls:
        value = loads_lenient(arguments)
        yield " ".join(map(str, value.values())) if isinstance(value, dict) else arguments


def _words(text: str) -> Iterator[str]:
    for found in _WORD.finditer(text):
        yield found.group()
    for run in re.findall(r"[\u4e00-\u9fff]+", text):  # every pair of characters
        yield from (run[n : n + 2] for n in range(len(run) - 1))


def thought_calls(thoughts: str, schemas: Schemas) -> list[FoundCall]:
    """Returns the whole calls of offered tools with which thoughts end; a mention is none."""
    place = Place()
    done = 0
    for mark in _IN_THOUGHTS.finditer(thoughts):
        place.take(thoughts[done : mark.start(1)])
        done = mark.start(1)
        if not place.begins_line:
            continue
        calls = list(_in_tags(thoughts[done:].strip(), schemas))
        if calls:
            return [FoundCall(name, arguments) for name, arguments in calls]
    return []
