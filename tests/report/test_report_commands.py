"""`qwenbelt report` and `qwenbelt demo` as people run them."""

import json
import re
import shutil
from pathlib import Path

import pypdfium2
import pytest

from qwenbelt.apps.cli import run
from qwenbelt.core.trace import overlapping_calls, read_trace
from qwenbelt.tools.code_interpreter import isolation_level
from qwenbelt.workflows.demo.bundled import PDF, scripted_replies
from qwenbelt.workflows.demo.job import demo_question

SCENARIO = r"""
say: What was not measured?
turns:
  - calls:
      - document_search: {query: measured}
  - answer: The yield point [${document_search:\[(\d+)\] steel.pdf p.1}].
"""

ENCRYPTED = b"""%%PDF-1.4
1 0 obj << /Type /Catalog /Pages 2 0 R >> endobj
2 0 obj << /Type /Pages /Kids [3 0 R] /Count 1 >> endobj
3 0 obj << /Type /Page /Parent 2 0 R /MediaBox [0 0 99 99] >> endobj
4 0 obj << /Filter /Standard /V 1 /R 2 /P -4 /O <%s> /U <%s> >> endobj
trailer << /Root 1 0 R /Size 5 /Encrypt 4 0 R /ID [<00><00>] >>
""" % (b"ab" * 32, b"cd" * 32)


def output(capsys: pytest.CaptureFixture[str]) -> tuple[str, str]:
    found = capsys.readouterr()
    return found.out, found.err


def test_report_with_a_scripted_endpoint_and_its_check(
    steel: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "s.yaml").write_text(SCENARIO, encoding="utf-8")
    out = str(tmp_path / "out")
    spec = f"scripted:{tmp_path / 's.yaml'}"
    assert (
        run(["report", str(steel), "--ask", "What was not measured?", "--out", out, "-e", spec])
        == 0
    )
    said, _ = output(capsys)
    assert "scripted answers." in said.splitlines()[0]
    assert "1 of 1 citations stand on their pages" in said
    assert run(["report", "--verify", out]) == 0
    assert "1 of 1 citations stand on the pages" in output(capsys)[0]
    entries = json.loads((tmp_path / "out" / "citations.json").read_text(encoding="utf-8"))
    entries[0]["page"] = 2
    (tmp_path / "out" / "citations.json").write_text(json.dumps(entries), encoding="utf-8")
    assert run(["report", "--verify", out]) == 1
    said, _ = output(capsys)
    assert "does not stand on page 2" in said
    assert "0 of 1" in said
    assert run(["report", "--verify", out, "--json"]) == 1
    assert json.loads(output(capsys)[0])["problems"]


INVENTED = """
say: How strong is lot B?
turns:
  - answer: Lot B reached 777 MPa on average [1].
  - answer: Lot B reached 778 MPa on average [1].
"""


@pytest.mark.parametrize("bounds", [[], ["--max-tokens", "100000", "--max-seconds", "600"]])
def test_a_report_that_is_not_grounded_fails(
    steel: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], bounds: list[str]
) -> None:
    (tmp_path / "s.yaml").write_text(INVENTED, encoding="utf-8")
    asked = ["--ask", "How strong is lot B?", "-e", f"scripted:{tmp_path / 's.yaml'}", *bounds]
    assert run(["report", str(steel), *asked, "--out", str(tmp_path / "out"), "--json"]) == 1
    assert json.loads(output(capsys)[0])["grounded"] is False
    record = json.loads((tmp_path / "out" / "report.json").read_text(encoding="utf-8"))
    assert record["grounded"] is False
    assert {check["status"] for check in record["checks"]} == {"not_on_page"}
    assert run(["report", "--verify", str(tmp_path / "out")]) == 1


def test_report_without_an_endpoint_says_so_and_serves(
    steel: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = str(tmp_path / "out")
    assert run(["report", str(steel), "--ask", "What was not measured?", "--out", out]) == 0
    assert output(capsys)[0].startswith("No model endpoint: the report quotes")
    assert run(["report", str(steel), "--ask", "Lots?", "--out", out, "--json"]) == 0
    facts = json.loads(output(capsys)[0])
    assert facts["model"] is None
    assert facts["citations"] == facts["verified"] > 0


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["report", "STEEL", "--out", "OUT"], 2, "--ask"),
        (["report", "STEEL", "--ask", "x"], 2, "--out"),
        (["report", "--ask", "x", "--out", "OUT"], 2, "Name one or more files"),
        (["report", "gone.pdf", "--ask", "x", "--out", "OUT"], 1, "no such file"),
        (["report", "LOCKED", "--ask", "x", "--out", "OUT"], 1, "is encrypted"),
        (["report", "LOCKED", "--ask", "x", "--out", "OUT", "--password", "no"], 1, "password"),
        (["report", "STEEL", "--ask", " ", "--out", "OUT"], 1, "question is empty"),
        (["report", "STEEL", "--ask", "x", "--out", "STEEL"], 1, "cannot be written"),
        (["report", "STEEL", "--ask", "x", "--out", "OUT", "-e", "nonsense"], 2, "not understood"),
        (
            ["report", "STEEL", "--ask", "x", "--out", "OUT", "-e", "vllm:m@http://127.0.0.1:9/v1"],
            3,
            "127.0.0.1:9",
        ),
        (["report", "--verify", "OUT"], 1, "holds no report"),
        (["demo"], 2, "--out"),
        (["demo", "--out", "STEEL"], 1, "cannot be written"),
        (["demo", "--out", "OUT", "--ask", "x"], 1, "--ask needs a model"),
        (["demo", "--out", "OUT", "-e", "nonsense"], 2, "not understood"),
    ],
)
def test_what_cannot_be_done_is_one_line_and_the_right_exit_code(
    words: list[str],
    code: int,
    said: str,
    steel: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "locked.pdf").write_bytes(ENCRYPTED)
    places = {"STEEL": str(steel), "OUT": str(tmp_path / "out"), "LOCKED": "locked.pdf"}
    assert run([places.get(word, word) for word in words]) == code
    shown, errors = output(capsys)
    assert said in errors
    assert "Traceback" not in shown + errors
    assert code == 2 or len(errors.strip().splitlines()) == 1
    assert not (tmp_path / "out").exists()


@pytest.fixture(scope="module")
def demo_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("demo")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("QWENBELT_WORKSPACE", str(folder / "workspace"))
        patch.setenv("QWENBELT_LANG", "en")
        # who tries it again in another folder has the document in the index already
        assert run(["demo", "--scripted", "--out", str(folder / "first")]) == 0
        shutil.rmtree(folder / "first")
        assert run(["demo", "--scripted", "--out", str(folder / "out")]) == 0
    return folder / "out"


def test_the_demo_says_first_that_the_replies_were_written_in_advance(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert (
        run(["demo", "--out", str(tmp_path / "out"), "--language", "zh", "--agent", "react"]) == 0
    )
    lines = output(capsys)[0].splitlines()
    assert lines[0].startswith("No model answers here: the replies were written in advance")
    assert ("sandbox" in lines[1]) or isolation_level() == "none"
    text = (tmp_path / "out" / "report.md").read_text(encoding="utf-8")
    assert text.startswith("# EIA-923 填报说明")
    assert "19.21" in text
    assert run(["report", "--verify", str(tmp_path / "out")]) == 0


def test_the_demos_report_is_complete(demo_folder: Path) -> None:
    names = {p.name for p in demo_folder.iterdir() if p.suffix != ".docx"}  # that is an extra
    assert names == {
        PDF, "citations.json", "crops", "figures", "report.html", "report.json", "report.md",
        "report.pdf", "trace.jsonl",
    }  # fmt: skip
    entries = json.loads((demo_folder / "citations.json").read_text(encoding="utf-8"))
    assert len(entries) >= 8
    assert all(entry["verified"] for entry in entries)
    assert all((demo_folder / entry["crop"]).is_file() for entry in entries)
    assert len(list((demo_folder / "figures").glob("*.png"))) >= 2
    with pypdfium2.PdfDocument(str(demo_folder / PDF)) as source:
        assert len(source) >= 10
        for entry in entries:  # by another reading of the page than the report's own
            text = source[entry["page"] - 1].get_textpage().get_text_range()
            assert squeezed(entry["quote"]) in squeezed(text)


def squeezed(text: str) -> str:
    return re.sub(r"\s+", "", text)


def test_three_calls_of_the_demo_overlap(demo_folder: Path) -> None:
    records = read_trace(demo_folder / "trace.jsonl")
    assert overlapping_calls(records) >= 3
    finished = [r for r in records if r["event"] == "tool_finished"]
    assert all(r["ok"] for r in finished)
    assert {r["name"] for r in finished} == {
        "document_search", "read_document", "code_interpreter", "plot",
    }  # fmt: skip


def test_the_demos_numbers_are_computed_and_right(demo_folder: Path) -> None:
    """The same numbers, worked out here by other code from the PDF's own text."""
    with pypdfium2.PdfDocument(str(demo_folder / PDF)) as source:
        pages = [source[n].get_textpage().get_text_range() for n in (7, 32, 33)]
    found = re.findall(r"\b([A-Z]{2,3}) tons ([\d.]+) ([\d.]+)", pages[1] + pages[2])
    middle = {code: (float(low) + float(high)) / 2 for code, low, high in found}
    coals = [middle[code] for code in ("ANT", "BIT", "LIG", "SUB", "WC", "RC")]
    renewables = [middle[code] for code in ("AB", "MSW", "OBS", "WDS", "SLW", "BLQ")]
    text = (demo_folder / "report.md").read_text(encoding="utf-8")
    assert f"**{sum(coals) / 6:.2f} MMBtu per ton**" in text
    assert f"**{sum(renewables) / 6:.2f} MMBtu per ton**" in text
    assert f"{sum(coals) / sum(renewables):.2f} times" in text
    assert "RFO Residual Fuel Oil 5.7 – 6.8" in pages[0]
    assert "| RFO (residual fuel oil) | 5.7–6.8 [" in text


@pytest.mark.parametrize("language", ["en", "zh"])
def test_no_result_is_pasted_into_the_replies(language: str) -> None:
    text = scripted_replies("zh" if language == "zh" else "en")
    answer = text[text.index("- answer:") :]
    written = re.sub(
        r"\$\{[^}]*(?:\{[^}]*\}[^}]*)*\}|EIA-923|!\[.*|(?:Table|表|page|第) ?\d+", "", answer
    )
    assert re.findall(r"\d+(?:\.\d+)?", written) == []
    assert demo_question("zh" if language == "zh" else "en") in text.replace("\n  ", " ")
