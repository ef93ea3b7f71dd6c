"""`report --durable`: killed anywhere, it goes on, and no kept reply is asked for again."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from qwenbelt.agents import FnCallAgent
from qwenbelt.agents.models.deltas import CallDelta, Finish, Text, Tokens
from qwenbelt.agents.sessions.reply_log import ReplyLog, kept_replies
from qwenbelt.core.errors import ConfigError
from qwenbelt.testing import Scenario, ScriptedServer
from qwenbelt.workflows.report import check_report

ASK = "How strong are the lots, on average?"
QUERIES = ["mean tensile strength of lot A", "mean tensile strength of lot B", "elongation"]

# reports in a process that ends by SIGKILL at the N-th event, N the first argument
PROGRAM = """
import os, signal, sys
from qwenbelt.workflows.report.job import report

most, file, out, url, question = int(sys.argv[1]), *sys.argv[2:6]
seen = 0

def listener(event):
    global seen
    seen += 1
    if seen == most:
        os.kill(os.getpid(), signal.SIGKILL)

llm = {"model": "m", "model_server": url, "api_key": "k"}
report([file], question, out, llm=llm, durable=True, listener=listener)
"""


class Writer:
    """Searches twice side by side and once more, then writes; answers by the request alone."""

    def __init__(self) -> None:
        self.asked: list[int] = []

    def __call__(self, request: Any) -> dict[str, Any]:
        results = [str(m["content"]) for m in request.messages if m["role"] == "tool"]
        self.asked.append(len(results))
        if not results:
            return {"calls": [("document_search", {"query": one}) for one in QUERIES[:2]]}
        if len(results) == 2:
            return {"calls": [("document_search", {"query": QUERIES[2]})]}
        head = next(
            line
            for m in request.messages
            for line in str(m["content"]).splitlines()
            if "] steel.pdf p.1" in line
        )
        cite = head.partition(" ")[0]
        return {"answer": f"# Strength\n\nLot A has 412 MPa {cite}, lot B 398 MPa {cite}."}


def served(writer: Writer) -> ScriptedServer:
    scenario = Scenario()
    for _ in range(6):
        scenario.turn(compute=writer)
    return ScriptedServer(scenario, plays=None, strict=False)


def test_killed_anywhere_it_goes_on_and_asks_for_no_kept_reply_again(
    steel: Path, tmp_path: Path
) -> None:
    writer, out = Writer(), tmp_path / "out"
    workspace = tmp_path / "workspace"
    environment = {**os.environ, "QWENBELT_WORKSPACE": str(workspace)}
    kills = 0
    with served(writer) as server:
        url = str(server.llm["model_server"])
        for most in (3, 12, 1000):
            kept = [ReplyLog(path).path for path in (workspace / "reports").glob("*.jsonl")]
            known = len(kept[0].read_text().splitlines()) if kept else 0
            before = len(writer.asked)
            command = [sys.executable, "-c", PROGRAM, str(most), str(steel), str(out), url, ASK]
            ended = subprocess.run(
                command, env=environment, capture_output=True, text=True, timeout=120, check=False
            )
            asked = writer.asked[before:]
            # a reply that is kept was for 0, 2 or 3 results, in this order
            assert not set(asked) & set([0, 2, 3][:known]), (most, asked, known)
            if ended.returncode == -signal.SIGKILL:
                kills += 1
            else:
                assert ended.returncode == 0, ended.stderr
    assert kills == 2
    assert check_report(out).ok
    assert not list((workspace / "reports").glob("*.jsonl"))


def test_half_a_line_of_a_kill_is_written_over(tmp_path: Path) -> None:
    path = tmp_path / "replies.jsonl"
    log = ReplyLog(path, lambda: {"n": 1})
    reply = [Text("\ud83d half 十二"), CallDelta(0, "c1", "f", "{}"), Tokens(3, 4), Finish("stop")]
    log.add(reply)
    log.add([Text("two"), Finish("stop")])
    whole = path.read_bytes()
    for cut in range(len(whole) - 1, len(whole.splitlines(keepends=True)[0]) - 1, -7):
        path.write_bytes(whole[:cut])
        again = ReplyLog(path)
        assert again.kept == {"n": 1}
        first = again.next()
        assert first is not None
        assert first[1:] == reply[1:]
        assert again.next() is None
        again.add([Text("new"), Finish("stop")])
        assert len(path.read_bytes().splitlines()) == 2
    path.write_bytes(b'{"pieces": [["Other", {}]]}\n')
    assert ReplyLog(path).next() is None


def test_an_agent_repeats_kept_replies_and_asks_for_the_rest(tmp_path: Path) -> None:
    seen: list[int] = []

    def note(n: int) -> str:
        """Notes a number.

        Args:
            n: the number.
        """
        seen.append(n)
        return "Noted."

    scenario = Scenario().turn(calls=[("note", {"n": 1})]).answer("Done.")
    path = tmp_path / "replies.jsonl"
    with ScriptedServer(scenario, plays=None, strict=False) as server:
        first = FnCallAgent([note], llm=kept_replies(server.llm, ReplyLog(path))).ask("Note it.")
        log = ReplyLog(path)
        second = FnCallAgent([note], llm=kept_replies(server.llm, log)).ask("Note it.")
        assert len(server.requests) == 2
    assert (first.text, second.text, seen, log.repeated) == ("Done.", "Done.", [1, 1], 2)
    with pytest.raises(ConfigError, match="cannot be kept"):
        kept_replies({"model_type": "qwen_dashscope", "model": "m"}, log)
