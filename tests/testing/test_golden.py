"""Golden traces: readable, the same from run to run, and loud when the run differs."""

from pathlib import Path

import pytest

from qwenbelt.testing import CheckFailed, Golden, MadeCall, Trajectory
from qwenbelt.testing.checks.golden import markdown
from qwenbelt.testing.checks.normalization import normalised_text


def run(folder: str = "/tmp/tmpabc12345", answer: str = "It is 405.") -> Trajectory:
    code = MadeCall("c1", "code", {"code": "a = 1\nprint(a)", "limit": 3}, 1, 0, 0, 1, True)
    code.result = f"saved {folder}/a.png in 0.41 s\n```\nx\n```"
    lost = MadeCall("c2", "plot", {}, 1, 0, 0, 1, False, result="failed")
    key = "sk-abcdefghijklmnopqrstuv"
    return Trajectory(
        calls=[code, lost],
        answer=answer,
        asked="What is it?",
        reason="answer",
        turns=2,
        said={1: "Let me see.", 2: answer},
        thought={1: f"Use the key {key}"},
    )


def test_a_run_reads_well_and_holds_no_key_and_no_times() -> None:
    text = markdown(run())
    other = markdown(run("/tmp/pytest-of-me/pytest-31/test_x0"))
    assert text == other.replace("<tmp>/test_x0", "<tmp>")
    assert "# What is it?" in text
    assert "> Use the key [secret]" in text
    assert "saved <tmp>/a.png in <duration>" in text
    assert "      print(a)" in text
    assert "````text" in text, "a result with a fence gets a longer one"
    assert "### plot (failed)" in text
    assert text.endswith("Ended: answer; 2 turns, 2 calls.\n")


def test_golden_files_are_written_compared_and_updated(tmp_path: Path) -> None:
    path = tmp_path / "golden" / "t.md"
    with pytest.raises(CheckFailed, match="write it by `--qwenbelt-golden update`"):
        Golden(path).check(run())
    Golden(path, update=True).check(run())
    Golden(path).check(run("/tmp/tmpzzz99999"))
    with pytest.raises(CheckFailed) as caught:
        Golden(path).check(run(answer="It is 406."))
    assert "-It is 405." in str(caught.value)
    assert "+It is 406." in str(caught.value)
    Golden(path, update=True).check(run(answer="It is 406."))
    Golden(path).check(run(answer="It is 406."))
    kept = Golden(path, update=True)
    kept.check("any text 12 ms", "second")
    assert [file.name for file in kept.used] == ["t-second.md"]


@pytest.mark.parametrize(
    ("text", "normal"),
    [
        ("at 2026-02-03T04:05:06.789Z", "at <time>"),
        ("id 123e4567-e89b-12d3-a456-426614174000", "id <uuid>"),
        ("<Figure at 0x7f00aabbccdd>", "<Figure at <address>>"),
        ("http://127.0.0.1:45123/v1", "http://127.0.0.1:<port>/v1"),
        ("took 1.25 s, 30 ms and 7 s", "took <duration>, <duration> and 7 s"),
        ("405.2 MPa on page 3", "405.2 MPa on page 3"),
    ],
)
def test_only_what_differs_from_run_to_run_is_replaced(text: str, normal: str) -> None:
    assert normalised_text(text) == normal
