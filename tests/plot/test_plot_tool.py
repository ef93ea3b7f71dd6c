from pathlib import Path

import pytest

from qwenbelt.core.errors import ToolError
from qwenbelt.tools.base import ToolContext, result_items
from qwenbelt.tools.plot.tool import Plot

PIE = {"kind": "pie", "title": "Energy", "labels": ["coal", "gas"], "series": [[1, 2]]}


def test_the_result_is_a_note_a_picture_and_a_file(tmp_path: Path) -> None:
    note, picture, file = result_items(Plot().call(PIE, context=ToolContext(folder=tmp_path)))
    assert note.kind == "text"
    assert Path(picture.value).name in note.value
    assert "Pie chart “Energy” drawn: 1 series, 2 values" in note.value
    assert (picture.kind, Path(picture.value).suffix) == ("image", ".png")
    assert (file.kind, Path(file.value).suffix) == ("file", ".svg")
    assert Path(picture.value).parent == Path(file.value).parent == tmp_path


def test_it_works_alone_and_writes_to_the_workspace(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("QWENBELT_WORKSPACE", str(tmp_path))
    items = result_items(Plot().call('{"kind": "line", "series": [{"values": [1, 2]}]}'))
    assert Path(items[1].value).parent == tmp_path / "plots"


def test_the_note_is_in_the_conversations_language(tmp_path: Path) -> None:
    context = ToolContext(folder=tmp_path, language="zh")
    assert "已绘制饼图" in result_items(Plot().call(PIE, context=context))[0].value


@pytest.mark.parametrize(
    ("params", "said"),
    [
        ('{"kind": "radar", "series": [[1]]}', "kind: Input should be"),
        ("{}", "kind: Field required"),
        ("[1]", "must be a JSON object"),
        ("{not json", "not valid JSON"),
        ('{"kind": "line", "series": [{"values": [NaN]}]}', "usable number"),
        ('{"kind": "line", "series": "x"}', "series:"),
        ('{"kind": "histogram", "series": [[1]], "bins": 100000}', "bins:"),
    ],
)
def test_wrong_arguments_are_one_line_for_the_model(params: str, said: str) -> None:
    with pytest.raises(ToolError) as caught:
        Plot().call(params)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_folder_that_cannot_be_written_is_a_tool_error(tmp_path: Path) -> None:
    (tmp_path / "f").write_text("x", encoding="utf-8")
    with pytest.raises(ToolError, match="cannot be written"):
        Plot().call(PIE, context=ToolContext(folder=tmp_path / "f"))
