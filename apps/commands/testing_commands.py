"""`qwenbelt mock`, `record`, `replay` and `trace to-scenario`."""

from __future__ import annotations

import signal
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import click

from qwenbelt.apps.echo import echo
from qwenbelt.core.errors import InputError
from qwenbelt.core.language import user_language

if TYPE_CHECKING:
    from qwenbelt.testing.server.billing import BillKind

_WORDS = {
    "mock": (
        "Playing {file} at {url}; stop with Ctrl-C.",
        "正在 {url} 播放 {file}；按 Ctrl-C 停止。",
    ),
    "replay": (
        "Replaying {file} at {url}; stop with Ctrl-C.",
        "正在 {url} 回放 {file}；按 Ctrl-C 停止。",
    ),
    "record": (
        "Recording {upstream} into {file} at {url}; stop with Ctrl-C.",
        "正在 {url} 录制 {upstream} 到 {file}；按 Ctrl-C 停止。",
    ),
    "kept": ("Recordings in {file}: {count}", "{file} 中有 {count} 条录制"),
    "billed": (
        "{requests} requests, {tokens} tokens: repeated {repeated}, from the cache {cached}, "
        "written to it {written}; price {price} of the full one.",
        "{requests} 次请求，{tokens} 个 token：重复 {repeated}，缓存命中 {cached}，"
        "写入缓存 {written}；价格为原价的 {price}。",
    ),
    "saved": ("{file} written; run it with: pytest {file}", "已写入 {file}；运行：pytest {file}"),
}


def _say(key: str, **values: object) -> str:
    return _WORDS[key][user_language() == "zh"].format(**values)


class _Server(Protocol):
    @property
    def url(self) -> str: ...
    def start(self) -> Any: ...
    def stop(self) -> None: ...


def _serve(server: _Server, line: str, **values: object) -> None:
    """Serves until the user or the system ends the process."""
    server.start()
    ended = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: ended.set())
    echo(_say(line, url=server.url, **values))
    try:
        ended.wait()
    finally:
        server.stop()


_port = click.option("--port", type=click.IntRange(0, 65535), default=0, help="0: a free one.")
_host = click.option("--host", default="127.0.0.1", show_default=True, help="Where to listen.")


@click.command()
@click.argument("scenario", type=click.Path())
@_port
@_host
@click.option("--once", is_flag=True, help="Refuse a second run of a conversation.")
@click.option("--lenient", is_flag=True, help="Take requests that strict servers refuse.")
@click.option("--check", is_flag=True, help="Exit with 1 unless all turns were played.")
@click.option(
    "--bill",
    type=click.Choice(["dashscope", "implicit", "vllm", "none"]),
    help="Count what an endpoint's cache would have held, and say so at the end.",
)
def mock(
    scenario: str,
    port: int,
    host: str,
    once: bool,
    lenient: bool,
    check: bool,
    bill: BillKind | None,
) -> None:
    """Serve SCENARIO as a scripted OpenAI-compatible endpoint, for any language and client."""
    from qwenbelt.testing import ScriptedServer
    from qwenbelt.testing.server.billing import bill_summary

    server = ScriptedServer(
        Path(scenario),
        plays=1 if once else None,
        strict=not lenient,
        bill=bill,
        host=host,
        port=port,
    )
    _serve(server, "mock", file=scenario)
    if bill is not None:
        billed = [e.billed for e in server.requests if e.billed is not None]
        echo(_say("billed", **bill_summary(billed)))
    for problem in server.problems:
        echo(problem, err=True)
    if check:
        server.assert_complete()


@click.command()
@click.argument("cassette", type=click.Path())
@click.option("-e", "--endpoint", required=True, help="The real endpoint: a spec or a base URL.")
@click.option("--all", "everything", is_flag=True, help="Record anew what is there already.")
@_port
@_host
def record(cassette: str, endpoint: str, everything: bool, port: int, host: str) -> None:
    """Serve a real endpoint and keep its replies in the file CASSETTE."""
    from qwenbelt.testing.cassettes.recorder import CassetteServer
    from qwenbelt.testing.cassettes.upstream import upstream_of

    mode = "rewrite" if everything else "new"
    server = CassetteServer(cassette, record=mode, host=host, port=port, **upstream_of(endpoint))
    _serve(server, "record", file=cassette, upstream=server.upstream)
    echo(_say("kept", count=len(server.cassette.recordings), file=cassette))


@click.command()
@click.argument("cassette", type=click.Path())
@click.option("--pace", type=float, default=0.0, help="1: with the recorded pauses; 0: at once.")
@_port
@_host
def replay(cassette: str, pace: float, port: int, host: str) -> None:
    """Serve the replies kept in the file CASSETTE; the real endpoint is not touched."""
    from qwenbelt.testing.cassettes.recorder import CassetteServer

    if not Path(cassette).is_file():
        raise InputError(f"{cassette}: no such file.", fix="Make it with `qwenbelt record`.")
    server = CassetteServer(cassette, pace=pace, host=host, port=port)
    _serve(server, "replay", file=cassette)
    for problem in server.problems:
        echo(problem, err=True)


@click.command("to-scenario")
@click.argument("trace", type=click.Path())
@click.option("-o", "--out", type=click.Path(), help="The file to write; standard output if none.")
@click.option("--name", default="", help="The scenario's name.")
def to_scenario(trace: str, out: str | None, name: str) -> None:
    """Save a run as a test: TRACE becomes a scenario with checks on what happened."""
    from qwenbelt.core.files import write_text
    from qwenbelt.testing import Trajectory
    from qwenbelt.testing.scenarios.from_trace import scenario_text

    text = scenario_text(Trajectory.from_trace(trace), name=name)
    if out is None:
        echo(text, nl=False)
        return
    write_text(out, text)
    echo(_say("saved", file=out), err=True)
