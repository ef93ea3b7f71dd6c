"""Marks in text, whatever the form: what is structure, what is text, and what a run has shown."""

from __future__ import annotations

import json
import random
from typing import Any

import pytest

from qwenbelt.agents.models.codecs import SoFar, codec_for
from qwenbelt.agents.models.decoding import Halves
from qwenbelt.agents.models.deltas import Relabel, Text, Thought, WirePiece

STRING = {"type": "string"}


def tool(name: str, **properties: Any) -> dict[str, Any]:
    return {"name": name, "parameters": {"type": "object", "properties": properties}}


TOOLS = [
    tool("look", x=STRING),
    tool("get_weather", city=STRING),
    tool("write_file", path=STRING, content=STRING),
]
Read = tuple[str, str, list[tuple[str, Any]]]


def read(text: str, form: str = "native", so_far: SoFar | None = None, size: int = 0) -> Read:
    """Text, thoughts and whole calls of a reply that is cut into deltas of this size."""
    reader = codec_for(form).reader(TOOLS, so_far or SoFar())
    step = size or max(1, len(text))
    pieces = [Text(text[at : at + step]) for at in range(0, len(text), step)]
    parts = [part for piece in pieces for part in reader.feed(piece)] + reader.finish("stop")
    answer = thoughts = ""
    for part in parts:
        if isinstance(part, Text):
            answer += part.text
        elif isinstance(part, Thought):
            thoughts += part.text
        elif isinstance(part, Relabel):
            answer, thoughts = "", thoughts + answer
    calls = [(c.name, _loaded(c.arguments)) for c in reader.calls if c.complete]
    return answer, thoughts, calls


def _loaded(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


def always(text: str, form: str = "native", so_far: SoFar | None = None) -> Read:
    """The same at every cut."""
    whole = read(text, form, so_far)
    for size in (1, 2, 3, 7, 11):
        assert read(text, form, so_far, size) == whole, size
    return whole


CALL = '<tool_call>\n{"name": "look", "arguments": {"x": "a"}}\n</tool_call>'
LOOK = [("look", {"x": "a"})]
ACTION = 'Action: look\nAction Input: {"x": "a"}\n'


@pytest.mark.parametrize("form", ["native", "nous"])
@pytest.mark.parametrize(
    "text",
    [
        "Write `<tool_call>` first and `</tool_call>` last.",
        "> <tool_call> opens it.",
        'They end with "</think>", as said.',
        f"So:\n```\n{CALL}\n```\nis a call.",
        f"Write it: {CALL}",
        "<tool_call>\nis the tag, and </tool_call> closes it.",
        "<tool_call> opens a call, in most models.",
        "- <function=look> opens a function.",
        "<function=look> opens it and </function> closes it.",
        "<tools> are nice.",
        "a < b and <to",
        'For example:\n```json\n{"name": "look", "arguments": {"x": "a"}}\n```',
        'This is not a tool call:\n{"name": "look", "arguments": {"x": "a"}}',
        '调用格式如下：\n```json\n{"name": "look", "arguments": {"x": "a"}}\n```',
        '[{"name": "look", "description": "Looks."}]',
        '{"name": "Ada", "arguments": {"age": 36}}',
    ],
)
def test_a_mention_is_text(text: str, form: str) -> None:
    assert always(text, form) == (text, "", [])


@pytest.mark.parametrize("form", ["native", "nous"])
@pytest.mark.parametrize(
    "text",
    [
        CALL,
        f"```\n{CALL}\n```",
        '<function_call>{"name": "look", "arguments": {"x": "a"}}</function_call>',
        '<json>\n{"name": "look", "arguments": {"x": "a"}}\n</json>',
        '<function name="look">{"x": "a"}</function>',
        '<tool_call>\n{"name": "look", "x": "a"}\n</tool_call>',
        '<tool_call>\n<tool_call>\n{"name": "look", "arguments": {"x": "a"}}\n</tool_call>',
        "```json\n{{\"name\": \"look\", \"arguments\": {\"x\": \"a\"}}}\n```",
    ],
)  # fmt: skip
def test_a_call_is_a_call(text: str, form: str) -> None:
    assert always(text, form) == ("", "", LOOK)


def test_text_is_no_call_where_the_endpoint_makes_native_calls() -> None:
    assert always(CALL, so_far=SoFar(native=True)) == (CALL, "", [])
    assert always("a</think>b", so_far=SoFar(thoughts_apart=True)) == ("a</think>b", "", [])


FENCE = '```json\n{"name": "get_weather", "arguments": {"city": "Paris"}}\n```'


@pytest.mark.parametrize(
    ("before", "after", "so_far", "called"),
    [
        ("I will look.", "Then I tell you.", SoFar(question="weather in Paris?"), True),
        ("I will look.", "Then I tell you.", SoFar(question="weather in Rome?"), False),
        ("I will look.", "Then I tell you.", SoFar(), False),
        ("I will look.", "More.", SoFar(question="weather in Paris?", called=True), False),
        ("For example:", "and so on.", SoFar(question="weather in Paris?"), False),
        ("So:", "Replace Paris.", SoFar(question="weather in Paris?"), False),
    ],
)
def test_a_call_between_words_takes_something_from_the_question(
    before: str, after: str, so_far: SoFar, called: bool
) -> None:
    text = f"{before}\n{FENCE}\n{after}"
    answer, _, calls = always(text, so_far=so_far)
    assert calls == ([("get_weather", {"city": "Paris"})] if called else [])
    assert answer == (f"{before}\n{after}" if called else text)


def test_calls_among_thoughts_do_not_run() -> None:
    closed = always(f"Maybe\n{CALL}\nNo.</think>I will not.")
    assert (closed[0], closed[2]) == ("I will not.", [])
    assert always(f"<think>Maybe\n{CALL}\nNo.")[2] == []
    assert always(f"<think>I need it.\n{CALL}")[2] == LOOK


def test_a_mentioned_end_does_not_end_thoughts() -> None:
    assert always("<think>use `</think>` so</think>answer") == ("answer", "use `</think>` so", [])
    assert always("a `b</think>\nanswer") == ("answer", "a `b", [])


@pytest.mark.parametrize(
    ("text", "calls"),
    [
        (f"Thought: t\n{ACTION}", LOOK),
        (f"```\nThought: t\n{ACTION}```", LOOK),
        (f"Thought: t\nFinal Answer: so\n{ACTION}", []),
        (f"One writes\n```\n{ACTION}```\nFinal Answer: so", []),
        (f"<think>\n{ACTION}</think>\nFinal Answer: no", []),
        (f"maybe\n{ACTION}</think>\nFinal Answer: no", []),
    ],
)
def test_actions(text: str, calls: list[Any]) -> None:
    assert always(text, "react")[2] == calls


def test_after_the_final_answer_an_observation_is_text() -> None:
    text = "Thought: t\nFinal Answer: see\nObservation: it is so"
    assert always(text, "react")[0] == text


VALUES = [
    'def f():\n    return "</parameter>"',
    'print("</tool_call>")',
    "a\n</function>\n</tool_call>\nb",
    'doc = """\n<parameter=path>\nliteral\n</parameter>\n"""',
    'T = """\n</parameter>\n<parameter=new_string>\n#!/usr\n</parameter>\n"""',
    'd = """\n<tool_call>\n<function=look>\n<parameter=x>\nb\n</parameter>\n</function>\n'
    '</tool_call>\n"""',
    "<parameter=x>\nnever closed",
    "<function=look>\nnever closed",
    "  indented\n\n",
    "",
]


@pytest.mark.parametrize("value", VALUES)
def test_a_value_of_coder_text_holds_what_it_likes(value: str) -> None:
    head = "<tool_call>\n<function=write_file>\n<parameter=path>\na.py\n</parameter>\n"
    text = f"{head}<parameter=content>\n{value}\n</parameter>\n</function>\n</tool_call>"
    call = ("write_file", {"path": "a.py", "content": value})
    assert always(text) == ("", "", [call])
    assert always(f"{text}\n{text}\nDone.") == ("Done.", "", [call, call])


def test_a_parameter_that_the_tool_does_not_have_is_kept_apart() -> None:
    text = (
        "<function=look>\n<parameter=x>\na\n</parameter>\n<parameter=why>\nb\n</parameter>\n"
        "</function>"
    )
    assert always(text)[2] == [("look", {"x": "a", "why": "b"})]


def test_ids_are_new_to_the_run() -> None:
    from qwenbelt.agents.models.deltas import CallDelta

    reader = codec_for("native").reader(TOOLS, SoFar(ids=frozenset({"call_0"})))
    reader.feed(CallDelta(0, "call_0", "look", '{"x": "a"}'))
    reader.feed(CallDelta(1, "call_1", "look", '{"x": "b"}'))
    assert reader.calls[0].id != "call_0"
    assert reader.calls[1].id == "call_1"


def test_halves_of_a_character_join() -> None:
    halves = Halves()
    pieces: list[WirePiece] = [Text("hi \ud83d"), Thought("x"), Text("\ude00 you \ud83d")]
    out = [piece for one in pieces for piece in halves.joined([one])] + list(halves.rest())
    assert "".join(p.text for p in out if isinstance(p, Text)) == "hi 😀 you �"


def test_a_long_reply_is_read_in_time() -> None:
    """Each character is looked at a few times at most; quadratic reading would take minutes."""
    text = "word " * 40_000 + "\n" + CALL + "\n" + CALL.replace('"a"', json.dumps("y" * 200_000))
    choice, at, reader = random.Random(1), 0, codec_for("native").reader(TOOLS)
    while at < len(text):
        size = choice.randrange(1, 9)
        reader.feed(Text(text[at : at + size]))
        at += size
    reader.finish("stop")
    assert len(reader.calls) == 2
