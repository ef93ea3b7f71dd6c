from __future__ import annotations

import io
import json
import logging
import runpy
from pathlib import Path

import pytest
from click.testing import CliRunner

from qwenbelt.apps.commands.batch import batch as command
from qwenbelt.core.errors import InputError
from qwenbelt.testing import ScriptedLLM, ScriptedServer
from qwenbelt.workflows.batch.engine import Worker
from qwenbelt.workflows.batch.job import BatchProgress, batch
from qwenbelt.workflows.batch.ledger import Ledger, store_for
from qwenbelt.workflows.batch.tasks import TaskOptions, read_tasks
from tests.batch.conftest import Model, lines_of  # type: ignore[import-not-found]


def test_every_task_is_done_once_and_a_second_run_asks_nothing(
    model: Model, tasks: Path, tmp_path: Path
) -> None:
    told: list[BatchProgress] = []
    out = tmp_path / "out"
    made = batch(tasks, out, options=model.options, tell=told.append)
    assert (made.done, made.failed, made.complete) == (6, 0, True)
    lines = lines_of(out)
    assert [line["id"] for line in lines] == [f"t{n}" for n in range(6)]
    assert lines[3]["result"]["answer"] == "answer to question 3"
    assert sorted(model.asked()) == [f"question {n}" for n in range(6)]
    assert told[-1].total == 6
    assert told[-1].done == 6
    batch(tasks, out, options=model.options)
    assert len(model.asked()) == 6
    page = (out / "summary.html").read_text(encoding="utf-8")
    assert "<h1>Batch</h1>" in page


def test_new_and_changed_lines_are_done_and_the_others_are_not_again(
    model: Model, tasks: Path, tmp_path: Path
) -> None:
    batch(tasks, tmp_path / "out", options=model.options)
    text = tasks.read_text(encoding="utf-8").replace("question 2", "another question")
    tasks.write_text(text + '\n{"id": "new", "ask": "a new one"}', encoding="utf-8")
    batch(tasks, tmp_path / "out", options=model.options)
    assert sorted(model.asked()[6:]) == ["a new one", "another question"]
    assert len(lines_of(tmp_path / "out")) == 7


def test_a_log_that_was_closed_meanwhile_does_not_stop_a_batch(
    model: Model, tasks: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    closed = io.TextIOWrapper(io.BytesIO())
    monkeypatch.setattr(logging.getLogger("dbos"), "handlers", [logging.StreamHandler(closed)])
    closed.close()
    assert batch(tasks, tmp_path / "out", options=model.options).complete


def test_what_waits_for_another_model_is_not_asked_of_it_any_more(
    model: Model, tasks: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    out.mkdir()
    mistaken = TaskOptions(endpoint=f"openai:mistaken@{model.server.url}")
    store = store_for(out)
    given = read_tasks(tasks, mistaken)
    with Worker(store, out) as worker:  # begun with the wrong model, and killed
        for queue in {store.queue(task) for task in given}:
            worker._register(queue)
        worker.ledger.pause()
        worker.submit(given)
    ledger = Ledger(store)
    ledger._set_concurrency(4)  # the queue is not paused for those that come later
    ledger.close()
    made = batch(tasks, out, options=model.options)
    assert (made.done, made.failed, made.complete) == (6, 0, True)
    asked = [exchange.request.body["model"] for exchange in model.server.requests]
    assert asked == ["m"] * 6


def test_a_failure_is_one_tasks_own_and_retry_asks_for_failures_only(
    model: Model, tasks: Path, tmp_path: Path
) -> None:
    model.down = {"question 1", "question 4"}
    out = tmp_path / "out"
    made = batch(tasks, out, options=model.options)
    assert (made.done, made.failed) == (4, 2)
    bad = {line["id"]: line["error"] for line in lines_of(out) if not line["ok"]}
    assert set(bad) == {"t1", "t4"}
    assert all("400" in reason for reason in bad.values())
    assert "<td>t4</td>" in (out / "summary.html").read_text(encoding="utf-8")
    model.down = set()
    before = len(model.asked())
    assert batch(tasks, out, options=model.options).failed == 2
    assert len(model.asked()) == before
    assert batch(tasks, out, options=model.options, retry=True).done == 6
    assert sorted(model.asked()[before:]) == ["question 1", "question 4"]


def test_pause_resume_and_cancel(model: Model, tasks: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    store = store_for(out)
    with Worker(store, out) as worker:
        assert worker.ledger is not None
        given = read_tasks(tasks, model.options)
        for queue in {store.queue(task) for task in given}:
            worker._register(queue)
        worker.ledger.pause()
        worker.submit(given)
        assert worker.wait() is False
    assert model.asked() == []
    runner = CliRunner()

    def order(*words: str) -> dict[str, object]:
        done = runner.invoke(command, ["--out", str(out), "--json", *words], catch_exceptions=False)
        table: dict[str, object] = json.loads(done.output)
        return table

    assert order("--status")["paused"] is True
    assert order("--status")["waiting"] == 6
    # the plain command leaves it paused, and says so
    arguments = [str(tasks), "--out", str(out), "-e", str(model.options.endpoint)]
    paused = runner.invoke(command, arguments, catch_exceptions=False)
    assert "--resume" in paused.output or "Paused" in paused.output
    assert model.asked() == []
    assert order("--cancel")["cancelled"] == 6
    table = order("--resume")
    assert (table["waiting"], table["paused"]) == (6, False)
    assert batch(tasks, out, options=model.options).done == 6
    assert len(model.asked()) == 6


def test_orders_before_there_is_a_batch(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no batch was started"):
        Ledger(store_for(tmp_path))


def test_tools_with_effects_are_done_once_when_a_reply_is_read_from_the_record(
    tmp_path: Path,
) -> None:
    from dbos import DBOS

    from qwenbelt.testing import ScriptedLLM, ScriptedServer
    from qwenbelt.workflows.batch.tasks import TaskOptions

    llm = ScriptedLLM(model="m")
    llm.turn(calls=[{"file_append": {"path": "a.txt", "content": "line\n"}}]).answer("written")
    path = tmp_path / "t.jsonl"
    path.write_text('{"id": "w", "ask": "write"}', encoding="utf-8")
    out = tmp_path / "out"
    with ScriptedServer(llm) as server:
        options = TaskOptions(endpoint=f"openai:m@{server.url}", tools=["file_append"])
        batch(path, out, options=options)
        assert (out / "files/w/a.txt").read_text() == "line\n"
        # the last step again, as after a kill between it and the end
        with Worker(store_for(out), out) as worker:
            assert worker.ledger is not None
            (state,) = worker.ledger._list()
            DBOS.rewind_workflow(state.workflow_id, start_step=4, queue_name=state.queue_name)
            assert worker.wait()
        assert len(server.requests) == 2
    assert (out / "files/w/a.txt").read_text() == "line\n"
    assert lines_of(out)[0]["result"]["answer"] == "written"


def test_the_example(model: Model, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = Path(__file__).resolve().parents[2] / "examples" / "batch_of_questions.py"
    runpy.run_path(str(path))["main"](str(tmp_path), str(model.options.endpoint))
    assert "answer to What is a feeler gauge for?" in capsys.readouterr().out


def test_the_summary_tells_what_a_batch_cost_where_prices_are_known(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = tmp_path / "prices.toml"
    settings.write_text("[prices]\nm = [3, 4.5]\n", encoding="utf-8")
    monkeypatch.setenv("QWENBELT_CONFIG", str(settings))
    path = tmp_path / "tasks.jsonl"
    path.write_text('{"id": "a", "ask": "Is it so?"}\n', encoding="utf-8")
    with ScriptedServer(ScriptedLLM(model="m").answer("yes")) as server:
        options = TaskOptions(endpoint=f"openai:m@{server.url}")
        batch(path, tmp_path / "out", options=options)
    (line,) = lines_of(tmp_path / "out")
    assert line["result"]["cost"] > 0
    page = next((tmp_path / "out").glob("*.html")).read_text(encoding="utf-8")
    assert f"{line['result']['cost']:.4f}" in page
    assert "Cost by known prices" in page
