"""Scenarios are read strictly: mistakes are told with file and line, in one line."""

import contextlib
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from qwenbelt.core.errors import InputError
from qwenbelt.testing import Fault, Scenario, load_scenario, parse_scenario

WHOLE = """
name: strength
say: What is the mean tensile strength?
turns:
  - think: I can ask both at once.
    text: Let me look.
    calls:
      - document_search: {query: tensile strength}
      - code_interpreter: {code: "print(21 * 2)"}
      - clock:
    timing: {first_token: 0.05, tokens_per_second: 80, between_calls: 0.2}
    faults: [{status: 429, retry_after: 0.1, times: 2}, {cut_after: 120}]
    wire: {dialect: vllm, chunk: 3, interleave: true}
  - name: final
    expect:
      results: {document_search: {contains: "412"}}
    answer: 4.10
then:
  never: [write_file]
"""


def test_the_whole_form_is_read() -> None:
    scenario = parse_scenario(WHOLE)
    first, last = scenario.conversations[0].turns
    assert scenario.say == "What is the mean tensile strength?"
    assert [call.name for call in first.calls] == ["document_search", "code_interpreter", "clock"]
    assert first.calls[2].text == "{}"
    assert [fault.status for fault in first.faults] == [429, 429, None]
    assert first.faults[2] == Fault(cut_after=120)
    assert (first.wire.dialect, first.wire.chunk) == ("vllm", 3)
    assert last.answer == "4.10", "a scalar stays as it is written"
    assert last.name == "final"
    assert scenario.then == {"never": ["write_file"]}


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("turns:\n  - answer: a\n    cals: []", r"s:3: turns\[1\]\.cals: unknown key.*'calls'\?$"),
        ("turns: []", r"s:1: turns: must hold at least one turn\.$"),
        ("say: hello", r"s:1: a scenario needs `turns` or `conversations`\.$"),
        ("turns:\n  - answer: a\n  - {}", r"s:3: turns\[2\]: a turn needs"),
        ("turns:\n - calls:\n   - a: 1", r"s:3: turns\[1\]\.calls\[1\]: The arguments of a"),
        ("turns:\n - answer: a\n   faults: {stats: 1}", r"s:3: .*`faults` has no 'stats'.*status"),
        ("turns:\n - answer: a\n   faults: {status: yes}", r"`faults.status` must be a whole"),
        ("turns:\n - answer: a\n   timing: {first_token: soon}", r"must be a number"),
        ("turns:\n - answer: a\n   wire: {dialect: vlm}", r"must be one of openai, "),
        ("turns:\n - answer: a\n   expect: {result: {}}", r"s:3: .*Did you mean 'results'"),
        ("turns:\n - answer: a\n   expect: {user: {regex: '('}}", r"pattern '\(' is not valid"),
        ("turns:\n - answer: a\nturns: []", r"s:3: turns: the key 'turns' is there twice"),
        ("turns: [\n", r"s:2: not valid YAML"),
        ("a: &a [1]\nturns: *a", r"s:\d: .*alias"),
        ("turns:\n - answer: !!python/object:os.system x", r"not valid YAML"),
        ("[" * 5000, r"not valid YAML"),
        ("- 1", r"s:1: must be a mapping"),
        ("", r"s:1: must be a mapping, not nothing"),
        ("conversations:\n - turns:\n   - answer: a", r"s:2: conversations\[1\]: needs `say`"),
    ],
)
def test_mistakes_are_told_with_their_line(text: str, told: str) -> None:
    with pytest.raises(InputError, match=told) as caught:
        parse_scenario(text, name="s")
    assert "\n" not in str(caught.value)


def test_a_word_like_yes_stays_a_word() -> None:
    text = "turns:\n - calls:\n   - a: {x: yes, y: 2024-01-02, z: 1e3, w: null, v: true}\n"
    arguments = parse_scenario(text).conversations[0].turns[0].calls[0].arguments
    assert arguments == {"x": "yes", "y": "2024-01-02", "z": 1000.0, "w": None, "v": True}


def test_a_missing_file_is_one_clear_line(tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        load_scenario(tmp_path / "none.yaml")
    assert "none.yaml" in str(caught.value)
    broken = tmp_path / "b.yaml"
    broken.write_bytes(b"turns: \xff")
    with pytest.raises(InputError, match="UTF-8"):
        load_scenario(broken)


def test_the_builder_refuses_unknown_entries() -> None:
    with pytest.raises(InputError, match="Did you mean 'answer'"):
        Scenario().turn(anser="x")
    with pytest.raises(InputError, match=r"written `name: \{arguments\}`"):
        Scenario().turn(calls=[{"a": {}, "b": {}}])


_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner),
    max_leaves=12,
)


@settings(max_examples=150, deadline=None)
@given(st.dictionaries(st.sampled_from(["say", "turns", "then", "wire", "name"]), _values))
def test_any_document_is_read_or_refused_in_one_line(value: object) -> None:
    with contextlib.suppress(InputError):
        parse_scenario(yaml.safe_dump(value, allow_unicode=True))
