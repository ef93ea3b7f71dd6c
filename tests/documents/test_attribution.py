"""An answer that names no passage gets the ones that it rests on, or none."""

from __future__ import annotations

from pathlib import Path

import pytest

from qwenbelt.tools.documents.attribution import supporting_passages
from qwenbelt.tools.documents.grounding import CitedText

SHEET = (
    "Consolidated Balance Sheet\n(Millions)  2018  2017\nInventories  4,366  4,034\n"
    "Property, plant and equipment - net  8,738  8,866\nGoodwill  10,051  10,513"
)
STORES = (
    "The increase in inventories was primarily due to the opening of 47 new stores since January, "
    "and to new brands.\nThe company repurchased shares for $328.1 million in the fourth quarter."
)
SHOWN = {3: CitedText(60, SHEET), 7: CitedText(12, STORES)}


@pytest.mark.parametrize(
    ("answer", "question", "found"),
    [
        ("Net property, plant and equipment was $8,738 million.", "What is net PPNE?", (3,)),
        (
            "Inventories were 4,366 in 2018. The increase was due to the opening of 47 new stores.",
            "Why did inventories grow?",
            (3, 7),
        ),
        ("The opening of new stores drove the increase in inventories.", "What drove it?", (7,)),
        ("商誉为 10,051。", "商誉是多少？", (3,)),
        # a row that is about something else, and a figure that is nowhere
        ("Net property, plant and equipment was $10,051 million.", "What is net PPNE?", ()),
        ("Net property, plant and equipment was $9,111 million.", "What is net PPNE?", ()),
        # figures decide; without any, each sentence does
        ("Inventories were 4,366. That is a great deal for a firm of its size.", "What?", (3,)),
        ("New stores drove inventories. Demand for cement in Europe collapsed.", "Why?", ()),
        # it cites already, or says that it does not know
        ("Inventories were 4,366 [7].", "How many?", ()),
        ("The file does not tell the figure 4,366.", "How many?", ()),
        ("", "How many?", ()),
    ],
)
def test_all_or_nothing(answer: str, question: str, found: tuple[int, ...]) -> None:
    assert supporting_passages(answer, question, SHOWN) == found


def test_an_answer_that_rests_on_everything_is_not_marked() -> None:
    shown = {n: CitedText(n, f"Harbour {n} has {n}00 cranes of steel.") for n in range(1, 8)}
    answer = " ".join(f"Harbour {n} has {n}00 cranes of steel." for n in range(1, 8))
    assert supporting_passages(answer, "How many cranes?", shown) == ()


@pytest.mark.parametrize(
    ("question", "answer", "told"),
    [
        ("How high is the mast?", "It is 12.5 m high [1].", ""),
        ("Is the mast high?", "Yes [1].", "Not verified: no passage"),
        ("How high is the mast?", "It is 31.7 m high.", "Not verified: no passage was found"),
        ("How high is the mast?", "It is 31.7 m high [1].", "Not verified: 31.7 was not found"),
        ("How high is the crow's nest?", "12.5 m.", "Not verified: no page of the files says any"),
        ("How high is the mast?", "The file does not tell.", ""),
        ("桅杆有多高？", "桅杆高 31.7 米。", "未核实"),
    ],
)
def test_what_a_small_local_model_says_is_checked(
    tmp_path: Path, question: str, answer: str, told: str
) -> None:
    from qwenbelt.agents import Assistant, endpoint
    from qwenbelt.testing import Scenario, ScriptedServer

    path = tmp_path / "mast.txt"
    path.write_text("The mast of the Aurora is 12.5 m high. 桅杆高 12.5 米。", encoding="utf-8")
    with ScriptedServer(Scenario().answer(answer)) as server:
        llm = endpoint(f"llamacpp:qwen2.5-coder-1.5b@{server.llm['model_server']}")
        messages = [{"role": "user", "content": question}]
        lang = "zh" if told.startswith("未") or "桅" in question else "en"
        *_, last = Assistant(llm=llm, files=[str(path)]).run(messages, lang=lang)
    added = last[-1]["content"].removeprefix(answer).strip()
    assert added.startswith(told)
    assert bool(added) == bool(told)


def test_an_assistant_with_a_small_local_model_names_the_passage(tmp_path: Path) -> None:
    from qwenbelt.agents import Assistant, endpoint
    from qwenbelt.testing import Scenario, ScriptedServer

    path = tmp_path / "mast.txt"
    path.write_text("The mast of the Aurora is 12.5 m high.", encoding="utf-8")
    question = [{"role": "user", "content": "How high is the mast of the Aurora?"}]
    for model, told in (("qwen2.5-coder-1.5b", " [1]"), ("llama-3", "")):
        with ScriptedServer(Scenario().answer("The mast is 12.5 m high."), plays=2) as server:
            llm = endpoint(f"llamacpp:{model}@{server.llm['model_server']}")
            agent = Assistant(llm=llm, files=[str(path)])
            result = agent.ask(question[0]["content"])
            assert result.text == f"The mast is 12.5 m high.{told}"
            *_, last = agent.run(question)
            assert last[-1]["content"] == result.text
