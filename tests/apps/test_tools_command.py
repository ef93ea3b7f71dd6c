"""`qwenbelt tools`: the tools without a model."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from qwenbelt.apps import cli
from qwenbelt.core.errors import InputError, QwenbeltError, ToolError


@pytest.fixture(autouse=True)
def _english(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("QWENBELT_LANG", "en")
    monkeypatch.setenv("QWENBELT_WORKSPACE", str(tmp_path))
    monkeypatch.chdir(tmp_path)


def tools(*words: str, typed: str | None = None) -> Result:
    runner = CliRunner()
    return runner.invoke(cli.root(), ["tools", *words], input=typed, standalone_mode=False)


CHART = {"kind": "bar", "labels": ["a", "b"], "series": [{"name": "s", "values": [1, 2]}]}


def test_list_json_has_the_schemas() -> None:
    listed = json.loads(tools("list", "--json").stdout)
    by_name = {entry["name"]: entry for entry in listed}
    assert {"code_interpreter", "plot"} <= set(by_name)
    for entry in listed:
        assert set(entry) == {"name", "description", "parameters", "read_only"}
        assert entry["parameters"]["type"] == "object"


def test_list_is_one_line_a_tool() -> None:
    lines = tools("list").stdout.splitlines()
    assert any(line.startswith("plot ") for line in lines)


def test_show_names_the_arguments() -> None:
    shown = tools("show", "plot").stdout
    assert "kind: string" in shown
    assert '"heatmap"' in shown
    assert json.loads(tools("show", "plot", "--json").stdout)["name"] == "plot"


def test_call_prints_the_result_as_the_model_sees_it() -> None:
    done = tools("call", "plot", json.dumps(CHART))
    assert done.exception is None
    assert "[image: " in done.stdout


def test_call_json_has_items_and_reads_stdin() -> None:
    items = json.loads(tools("call", "plot", "-", "--json", typed=json.dumps(CHART)).stdout)
    kinds = {kind for item in items for kind in item}
    assert "image" in kinds
    assert all(Path(item["image"]).is_file() for item in items if "image" in item)


@pytest.mark.parametrize(
    ("words", "kind", "part"),
    [
        (("call", "plott", "{}"), InputError, "plot"),
        (("call", "plot", "{"), InputError, "JSON"),
        (("call", "plot", "[1]"), InputError, "list"),
        (("call", "plot", '{"kind": "spiral"}'), ToolError, "kind"),
        (("call", "plot", "{}", "-f", "missing"), InputError, "missing"),
        (("show", "nothing_like_it"), InputError, "nothing_like_it"),
    ],
)
def test_bad_input_is_one_line(
    words: tuple[str, ...], kind: type[QwenbeltError], part: str
) -> None:
    done = tools(*words)
    assert isinstance(done.exception, kind)
    assert part in str(done.exception)
    assert "\n" not in str(done.exception)
