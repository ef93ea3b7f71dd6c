"""The tool as an agent and as a person see it."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from pathlib import Path

import pytest

from qwenbelt.core.errors import ConfigError, ToolCancelled, ToolError, ToolRefused
from qwenbelt.tools.base import ToolContext
from qwenbelt.tools.code_interpreter.process import runtime_folder
from qwenbelt.tools.code_interpreter.tool import CodeInterpreter, code_of


def test_state_is_kept_and_the_last_value_is_shown(shared):
    assert shared("x = 20\nprint('set')\nx + 1") == "set\n21"
    assert shared("x * 2") == "40"


def test_printed_text_is_reported_while_the_cell_runs(shared):
    shared.reports.clear()
    text = shared("import time\nfor i in range(3):\n    print('step', i)\n    time.sleep(0.3)")
    assert text == "step 0\nstep 1\nstep 2"
    assert len(shared.reports) >= 2
    assert "".join(shared.reports) == "step 0\nstep 1\nstep 2\n"


def test_figures_tables_and_files_become_artifacts(make):
    run = make()
    code = """
import matplotlib.pyplot as plt, pandas as pd
plt.plot([1, 2, 3]); plt.show()
open('out.csv', 'w').write('a,b\\n1,2\\n')
pd.DataFrame({'a': [1, 2]})
"""
    items = run.items(code)
    assert [i.kind for i in items] == ["text", "image", "file", "file"]
    assert "a\n0  1" in items[0].value
    names = [Path(i.value).name for i in items[1:]]
    assert names == ["figure-1.png", "table-1.html", "out.csv"]
    assert Path(items[1].value).read_bytes().startswith(b"\x89PNG")
    assert "<table" in Path(items[2].value).read_text(encoding="utf-8")
    assert run("import os; sorted(os.listdir('.'))") == str(sorted(names))


@pytest.mark.parametrize(
    "asked",
    ["", "plt.rcParams['font.sans-serif'] = ['SimHei']", "plt.rcParams['font.family'] = 'SimHei'"],
)
def test_chinese_in_figures_has_its_glyphs(shared, asked):
    code = (
        f"import matplotlib.pyplot as plt\n{asked}\nplt.title('销售额 −1'); plt.bar(['一月'], [-1])"
    )
    items = shared.items(f"{code}\nplt.show(); plt.rcdefaults(); plt.title('二月'); plt.show()")
    assert [(i.kind, i.value) for i in items[:1]] == [("text", "")]  # not one warning
    assert [i.kind for i in items[1:]] == ["image", "image"]


def test_a_traceback_is_short_and_without_colours(shared):
    text = shared("def f(a):\n    return 1 / a\n\nf(0)")
    assert "ZeroDivisionError: division by zero" in text
    assert "\x1b" not in text
    deep = shared("def g(n):\n    return g(n - 1) if n else 1 / 0\n\ng(100)")
    assert len(deep.splitlines()) < 60


def test_a_time_limit_of_0_is_the_usual_one(shared):
    """Small models fill in what they need not; a real 1.5B gave up at the refusal."""
    assert shared("print(2 + 2)", timeout=0) == "4"


def test_a_time_limit_interrupts_and_keeps_the_state(shared):
    shared("kept = 5")
    started = time.monotonic()
    text = shared("while True: pass", timeout=0.3)
    assert time.monotonic() - started < 10
    assert "time limit of 0.3 s" in text
    assert "are kept" in text
    assert shared("kept") == "5"


def test_code_that_cannot_be_interrupted_loses_its_session_and_says_so(make):
    run = make()
    run("kept = 5")
    code = """
import signal
signal.signal(signal.SIGINT, signal.SIG_IGN)
def forever():
    while True: pass
import threading, time
while True:
    try: time.sleep(1)
    except BaseException: pass
"""
    started = time.monotonic()
    text = run("import signal\n" + code, timeout=0.3)
    assert time.monotonic() - started < 10
    assert "variables and imports are gone" in text
    assert "NameError" in run("kept")


def test_a_crash_is_told_and_the_next_call_works(make):
    run = make()
    assert "crashed" in run("import os; os._exit(3)")
    assert run("1 + 1") == "2"


def test_restart_forgets_variables_and_keeps_files(make):
    run = make()
    run("x = 1; open('kept.txt', 'w').write('here')")
    assert "restarted" in run("", restart=True)
    assert "NameError" in run("x")
    assert run("open('kept.txt').read()") == "'here'"


def test_input_and_exit_do_not_hang(make):
    run = make()
    assert "nobody to answer input()" in run("name = input('who? ')")
    run("exit()")
    assert run("2 + 2") == "4"


def test_cancelling_by_the_context_stops_the_cell(make):
    run = make()
    run("1")
    caught: list[float] = []

    def call() -> None:
        with pytest.raises(ToolCancelled):
            run("import time; time.sleep(30)")
        caught.append(time.monotonic())

    thread = threading.Thread(target=call)
    thread.start()
    time.sleep(0.5)
    cancelled = time.monotonic()
    run.context.cancelled.set()
    thread.join(25)
    assert caught[0] - cancelled < 20
    run.context.cancelled.clear()
    assert run("3") == "3"


def test_cancelling_the_task_stops_the_cell(make):
    run = make()
    run("n = 0")

    async def main() -> float:
        arguments = run.tool.parse({"code": "while True:\n    n += 1"})
        task = asyncio.create_task(run.tool.acall(arguments, context=run.context))
        await asyncio.sleep(0.3)
        cancelled = time.monotonic()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        return time.monotonic() - cancelled

    assert asyncio.run(main()) < 10
    assert run("n > 0") == "True"
    assert run("n == n") == "True"


@pytest.mark.parametrize(
    ("params", "answer"),
    [
        ('{"code": "6 * 7"}', "42"),
        ("```py\n6 * 7\n```", "42"),
        ("```\n6 * 7\n```", "42"),
        ("Here it is:\n```python\n6 * 7\n```\nDone.", "42"),
        ("6 * 7", "42"),
        ("{1: 2}[1]", "2"),
        (json.dumps(json.dumps({"code": "6 * 7"})), "42"),
    ],
)
def test_json_fenced_and_bare_code_are_accepted(shared, params, answer):
    assert shared.tool.call(params, context=shared.context)[0].text == answer


def test_broken_json_is_an_error_for_the_model(shared):
    with pytest.raises(ToolError, match="not valid JSON"):
        shared.tool.call('{"code": "print(1)', context=shared.context)
    with pytest.raises(ToolError, match="code"):
        shared.tool.call('{"kode": "1"}', context=shared.context)


def test_an_unclosed_fence_gives_its_code():
    assert code_of("```python\nx = 1") == "x = 1"


def test_the_call_writes_its_session(shared):
    reads, writes = shared.tool.resources(shared.tool.parse({"code": "1"}))
    assert reads == set()
    assert writes == {f"kernel:{shared.tool.session}"}


def test_without_a_sandbox_code_is_refused_unless_allowed(tmp_path, monkeypatch):
    monkeypatch.setenv("QWENBELT_ALLOW_UNSANDBOXED", "0")
    context = ToolContext(session="refused", folder=tmp_path)
    tool = CodeInterpreter({"isolation": "none"})
    with pytest.raises(ToolRefused, match="allow_unsandboxed"):
        tool.call({"code": "1"}, context=context)
    monkeypatch.setenv("QWENBELT_ALLOW_UNSANDBOXED", "1")
    assert tool.call({"code": "1"}, context=context)[0].text == "1"
    tool.close()


def test_an_unknown_limit_is_a_configuration_error():
    with pytest.raises(ConfigError, match="unknown limit"):
        CodeInterpreter({"limits": {"memmory": 1}})


def test_conversation_files_appear_in_the_session_folder(make, tmp_path):
    run = make()
    source = tmp_path / "数据.csv"
    source.write_text("a\n1\n2\n", encoding="utf-8")
    run.context.files = {"数据.csv": source}
    assert run("import pandas as pd; int(pd.read_csv('数据.csv')['a'].sum())") == "3"
    assert [i.kind for i in run.items("1")] == ["text"]


def test_a_file_over_the_limit_is_named_and_the_code_runs(make, tmp_path):
    run = make({"limits": {"input_file": 10}})
    source = tmp_path / "big.csv"
    source.write_text("x" * 100, encoding="utf-8")
    run.context.files = {"big.csv": source}
    text = run("print('ran')")
    assert "ran" in text
    assert "big.csv" in text


def test_the_environment_holds_no_keys(make, monkeypatch):
    monkeypatch.setenv("DASHSCOPE_API_KEY", "sk-not-for-the-kernel")
    run = make()
    text = run("import os; ' '.join([*os.environ, *os.environ.values()])")
    assert "DASHSCOPE" not in text
    assert "sk-not" not in text


def test_huge_output_is_cut_and_said(shared):
    text = shared("for i in range(200000): print('line', i)")
    assert len(text) < 40_000
    assert "left out" in text
    assert "line 0\n" in text
    assert "line 199999" in text


def test_of_too_many_displayed_values_the_last_is_kept(shared):
    text = shared("for i in range(3000): display(i)")
    assert "displayed values left out" in text
    assert "\n0\n" in f"\n{text}\n"
    assert "\n2999" in text
    assert shared("display(1); display(2)") == "1\n2"


def test_sessions_run_side_by_side_and_apart(make):
    runs = [make() for _ in range(3)]
    for number, run in enumerate(runs):
        run(f"me = {number}")
    cell = "import time; start = time.monotonic(); time.sleep(2); end = time.monotonic()"
    threads = [threading.Thread(target=run, args=(cell,)) for run in runs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert max(float(run("start")) for run in runs) < min(float(run("end")) for run in runs)
    assert [run("me") for run in runs] == ["0", "1", "2"]


def test_chinese_notes_for_a_chinese_conversation(make):
    run = make()
    run.context.language = "zh"
    assert "时间限制" in run("while True: pass", timeout=0.2)


def test_a_temporary_folder_with_a_long_name_is_no_hindrance(tmp_path, monkeypatch):
    long = tmp_path / ("n" * 120)
    long.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(long))
    folder = runtime_folder()
    folder.rmdir()
    assert len(str(folder)) < 40
