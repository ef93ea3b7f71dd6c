"""`demo()`: the report job on the bundled PDF."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from typing import Any

from qwenbelt.agents.kinds import SearchingKind
from qwenbelt.core.errors import QwenbeltError
from qwenbelt.core.events import Event
from qwenbelt.core.files import output_folder, write_bytes
from qwenbelt.core.language import Language
from qwenbelt.workflows.demo.bundled import PDF, demo_pdf, scripted_replies
from qwenbelt.workflows.report.job import ReportResult, report


def demo_question(language: Language) -> str:
    """Returns the demo's question."""
    from qwenbelt.testing import parse_scenario

    return parse_scenario(scripted_replies(language)).say or ""


def demo(
    out: str | os.PathLike[str],
    *,
    llm: Any = None,
    ask: str | None = None,
    agent: SearchingKind = "fncall",
    language: Language = "en",
    allow_unsandboxed: bool = False,
    listener: Callable[[Event], None] = lambda event: None,
    tell: Callable[[str, float | None], None] = lambda text, fraction: None,
) -> ReportResult:
    """Writes a report about the bundled PDF, and the PDF itself, into a folder.

    Args:
        out: the folder.
        llm: the model that answers; None for the replies written in advance.
        ask: what to ask a real model instead of the demo's question.
        agent: "fncall" or "react".
        language: of the question and the report.
        allow_unsandboxed: let a real model run code where there is no sandbox. The code of the
            written replies is part of this package and runs in any case.
        listener: is given every event of the run.
        tell: called with progress outside the run.

    Raises:
        InputError: the folder cannot be written.
        EndpointError: the endpoint fails.
    """
    with _bundled(out) as pdf, _model(llm, language) as chosen:
        return report(
            [pdf],
            ask or demo_question(language),
            out,
            llm=chosen,
            agent=agent,
            scripted=llm is None,
            language=language,
            allow_unsandboxed=allow_unsandboxed or llm is None,
            listener=listener,
            tell=tell,
        )


@contextlib.contextmanager
def _bundled(out: str | os.PathLike[str]) -> Iterator[str]:
    """Puts the PDF into the folder, where citations can be opened; takes it back on failure."""
    there = os.path.exists(os.path.expanduser(out))
    folder = output_folder(out)
    path = folder / PDF
    before = path.exists()
    try:
        write_bytes(path, demo_pdf().read_bytes())
        yield str(path)
    except (QwenbeltError, KeyboardInterrupt):
        if not before:
            path.unlink(missing_ok=True)
        if not there:
            with contextlib.suppress(OSError):
                folder.rmdir()
        raise


@contextlib.contextmanager
def _model(llm: Any, language: Language) -> Iterator[Any]:
    if llm is not None:
        yield llm
        return
    from qwenbelt.testing import ScriptedServer

    with ScriptedServer(scripted_replies(language)) as server:
        yield server.llm
