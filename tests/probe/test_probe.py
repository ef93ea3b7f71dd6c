"""The probe against a scripted model that has memorised problems, and one that has not."""

from __future__ import annotations

import json
import random
import runpy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from qwenbelt.apps.commands.probe import probe
from qwenbelt.core.errors import InputError
from qwenbelt.testing import ScriptedLLM, ScriptedServer
from qwenbelt.workflows.probe.comparing import (
    answer_in,
    comparison_tokens,
    is_exact,
    rouge_l,
    same_answer,
    without_echo,
)
from qwenbelt.workflows.probe.problems import Problem, fresh_problems, read_problems

NOUNS = "train baker farmer clerk river ladder circle wagon garden bottle".split()
VERBS = "carries mixes sells counts crosses climbs paints loads waters fills".split()


def made_problems(count: int) -> list[Problem]:
    """Word problems of this test's own."""
    source = random.Random(7)
    found = []
    for number in range(count):
        words = [source.choice(NOUNS if n % 2 else VERBS) for n in range(24)]
        numbers = [str(source.randint(10, 99)) for _ in range(4)]
        body = " ".join([*words[:12], *numbers[:2], *words[12:], *numbers[2:]])
        found.append(Problem(f"Problem {number}: a {body}. What is it?", str(1000 + 7 * number)))
    return found


def remembering(known: list[Problem]) -> Callable[[Any], str]:
    """Returns a model that knows some problems by heart, and otherwise makes things up."""

    def reply(request: Any) -> str:
        instruction, _, start = request.user.partition("\n\n")
        found = next((p for p in known if p.text.startswith(start)), None)
        if "rest of the problem" in instruction:
            return found.text[len(start) :] if found else "and so on until the evening comes"
        return f"\\boxed{{{found.answer if found else 42}}}"

    return reply


def run(path: Path, reply: Callable[[Any], str], *words: str) -> Any:
    llm = ScriptedLLM(model="m")
    llm.turn(lambda request: {"answer": reply(request)})
    with ScriptedServer(llm, plays=None) as server:
        command = [str(path), "-e", f"openai:m@{server.url}", "--seed", "3", *words]
        return CliRunner().invoke(probe, command, catch_exceptions=False)


def write(path: Path, problems: list[Problem]) -> Path:
    lines = [json.dumps({"problem": p.text, "answer": p.answer}) for p in problems]
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


def test_a_model_that_memorised_half_is_found(tmp_path: Path) -> None:
    problems = made_problems(40)
    path = write(tmp_path / "p.jsonl", problems)
    done = run(path, remembering(problems[:20]), "--json", "--control", "20")
    table = json.loads(done.output)
    assert table["verdict"] == "seen"
    assert table["tested"]["0.6"]["exact"] == 20
    assert table["tested"]["0.4"]["right"] == 20
    assert table["control"]["0.6"]["exact"] == 0
    assert len(table["known"]) == 20
    low, high = table["tested"]["0.6"]["exact_interval"]
    assert low < 0.5 < high


def test_a_model_that_has_not_seen_them_is_cleared(tmp_path: Path) -> None:
    path = write(tmp_path / "p.jsonl", made_problems(80))
    done = run(path, remembering([]), "--out", str(tmp_path / "o.json"), "--control", "10")
    assert "NOT SEEN" in done.output
    assert "95 %" in done.output
    assert json.loads((tmp_path / "o.json").read_text())["verdict"] == "clear"


def test_too_few_problems_are_not_enough_to_be_sure(tmp_path: Path) -> None:
    path = write(tmp_path / "p.jsonl", made_problems(6))
    done = run(path, remembering([]))
    assert "NOT SURE" in done.output
    assert "about 73 would do" in done.output


def test_answers_without_the_text_are_found_too(tmp_path: Path) -> None:
    problems = made_problems(30)
    knows = remembering(problems)

    def reply(request: Any) -> str:
        return "nothing" if "rest of the problem" in request.user else knows(request)

    done = run(write(tmp_path / "p.jsonl", problems), reply, "--json")
    assert json.loads(done.output)["verdict"] == "answers"


def test_fresh_problems_cannot_be_answered_from_their_beginning() -> None:
    problems = fresh_problems(50, seed=1)
    assert len({p.text for p in problems}) == 50
    assert all(p.is_long_enough(0.8) for p in problems)
    expression = problems[0].text.split(": ", 1)[1]
    assert str(eval(expression)) == problems[0].answer


@given(st.text(min_size=1, max_size=200), st.sampled_from([0.4, 0.6, 0.8]))
def test_a_cut_loses_nothing_but_spaces(text: str, share: float) -> None:
    start, rest = Problem(text).cut(share)
    assert "".join((start + rest).split()) == "".join(text.split())


def test_comparing() -> None:
    rest = comparison_tokens("is 12 m long. How far?")
    assert is_exact(comparison_tokens("is 12 m long. How far? The answer"), rest)
    assert not is_exact(comparison_tokens("is 13 m long. How far?"), rest)
    assert rouge_l(rest, rest) == 1
    assert rouge_l(comparison_tokens("x y z"), rest) == 0
    # the textbook example of Lin 2004: "police killed the gunman" and "police kill the gunman"
    assert rouge_l("police kill the gunman".split(), "police killed the gunman".split()) == 0.75
    start = "one two three four five six seven"
    assert without_echo(f"{start} eight nine", start) == ["eight", "nine"]
    assert comparison_tokens("长度是 12 米") == ["长", "度", "是", "12", "米"]


@pytest.mark.parametrize(
    ("reply", "right", "same"),
    [
        ("so \\boxed{\\frac{1}{2}}", "0.5", True),
        ("The answer is 1,024.", "1024", True),
        ("first 3, then 7", "7", True),
        ("\\boxed{x^{2}+1}", "x^2+1", True),
        ("\\boxed{12}", "13", False),
        ("答案：南京", "南京", True),
    ],
)
def test_answers(reply: str, right: str, same: bool) -> None:
    assert same_answer(answer_in(reply), right) is same


def test_bad_files(tmp_path: Path) -> None:
    path = tmp_path / "p.jsonl"
    path.write_text('{"problem": "a"}\n{"x": 1}', encoding="utf-8")
    with pytest.raises(InputError, match=r"p\.jsonl:2"):
        read_problems(path)


def test_the_example(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = Path(__file__).resolve().parents[2] / "examples" / "probe_a_model.py"
    problems = made_problems(10)
    llm = ScriptedLLM(model="m")
    llm.turn(lambda request: {"answer": remembering(problems)(request)})
    with ScriptedServer(llm, plays=None) as server:
        main = runpy.run_path(str(path))["main"]
        main(str(write(tmp_path / "p.jsonl", problems)), f"openai:m@{server.url}")
    assert "verdict: seen" in capsys.readouterr().out
