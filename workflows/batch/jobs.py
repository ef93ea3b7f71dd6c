"""Runs one task of any kind; every model call is a durable step."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qwenbelt.agents.answers.typed import AnswerForm
from qwenbelt.agents.runtime.event_loop_thread import background_loop
from qwenbelt.core.errors import InputError, QwenbeltError
from qwenbelt.core.events import Done, ElicitationAsked, ToolFinished, Usage
from qwenbelt.core.files import output_folder
from qwenbelt.core.language import Language, detect_language
from qwenbelt.workflows.batch.durable import (
    DurableAgent,
    DurableAssistant,
    DurableChat,
    DurableReAct,
    Steps,
)
from qwenbelt.workflows.batch.tasks import Task

if TYPE_CHECKING:
    from PIL.Image import Image

Result = dict[str, Any]
_AGENTS: dict[str, Any] = {
    "fncall": DurableAgent,
    "react": DurableReAct,
    "assistant": DurableAssistant,
}


def run_task(task: Task, out: Path, steps: Steps) -> Result:
    """Does a task and returns its result, ready for JSON.

    Args:
        task: what to do.
        out: the batch's folder; a task's files go to `out/files/ID`.
        steps: records the model's replies.

    Raises:
        QwenbeltError: the task failed.
    """
    job = _JOBS.get(task.kind)
    if job is None:
        raise InputError(f"{task.id}: tasks of the kind {task.kind!r} are not known here.")
    return job(task, task_folder(out, task.id), _llm_of_task(task, steps))


def task_folder(out: Path, identity: str) -> Path:
    """Returns where the files of a task of a batch are."""
    return out / "files" / _file_name(identity)


def register_job(kind: str, job: Callable[[Task, Path, DurableChat], Result]) -> None:
    """Adds a kind of task, for packages above this one."""
    _JOBS[kind] = job


def _llm_of_task(task: Task, steps: Steps) -> DurableChat:
    from qwenbelt.agents import endpoint

    options = task.options
    names = ("thinking", "tool_format", "temperature", "max_tokens")
    extra = {name: getattr(options, name) for name in names if getattr(options, name) is not None}
    return DurableChat(endpoint(options.endpoint, **extra), steps)


def _task_language(task: Task, text: str = "") -> Language:
    return task.options.language or (detect_language(text) if text else "en")


def _ask_job(task: Task, folder: Path, llm: DurableChat) -> Result:
    with agent_for(task, folder, llm) as agent:
        return background_loop().run(_answer_record(agent, task))


@contextmanager
def agent_for(task: Task, folder: Path, llm: DurableChat) -> Iterator[Any]:
    """Makes the agent of a task; its tools are closed afterwards."""
    import qwenbelt.tools  # noqa: F401  registers the tools by name

    options = task.options
    tools: list[Any] = [*options.tools]
    if options.mcp:
        tools.append({"mcpServers": options.mcp})
    if tools:
        output_folder(folder)
    agent = _AGENTS[options.agent](
        function_list=tools,
        llm=llm,
        system_message=options.system or "",
        files=list(task.files),
        session=f"batch-{task.key}",
        folder=folder if tools else None,
    )
    agent.steps = llm.steps
    try:
        yield agent
    finally:
        for tool in agent.function_map.values():
            close = getattr(tool, "close", None)
            if callable(close):
                close()


async def _answer_record(agent: Any, task: Task) -> Result:
    counts: dict[str, Any] = {"input_tokens": 0, "output_tokens": 0, "calls": 0}
    done: Done | None = None
    content: list[dict[str, str]] = [{"text": task.subject}]
    content += [{"file": name} for name in task.files]
    messages = [{"role": "user", "content": content if task.files else task.subject}]
    form = None if task.options.answer is None else AnswerForm(task.options.answer)
    run = agent.stream(messages, lang=_task_language(task, task.subject), answer=form)
    async for event in run:
        if isinstance(event, Usage):
            counts["input_tokens"] += event.input_tokens
            counts["output_tokens"] += event.output_tokens
            if event.cost is not None:
                counts["cost"] = counts.get("cost", 0.0) + event.cost
                counts["currency"] = event.currency
        elif isinstance(event, ToolFinished):
            counts["calls"] += 1
        elif isinstance(event, ElicitationAsked):
            run.answer(event.request_id, None)  # no person is there to answer
        elif isinstance(event, Done):
            done = event
    if done is None or done.reason != "answer":
        reason = (done.detail or done.reason) if done else "cancelled"
        raise QwenbeltError(f"The run ended without an answer: {reason}")
    typed = {} if form is None else {"value": run.value}
    return {"answer": done.text, **typed, **counts}


def _report_job(task: Task, folder: Path, llm: DurableChat) -> Result:
    from qwenbelt.workflows.report import report

    made = report(
        task.files,
        task.subject,
        folder,
        llm=llm,
        agent="react" if task.options.agent == "react" else "fncall",
        language=task.options.language,
    )
    if not made.document.grounded:
        raise QwenbeltError(f"The answer does not stand on the pages that it cites: {made.folder}.")
    return {
        "folder": str(made.folder),
        "pdf": str(made.pdf),
        "citations": len(made.document.citations),
        "verified": made.verified,
        "disagreements": [one.to_dict() for one in made.document.disagreements],
    }


def _task_picture(task: Task) -> Image:
    from qwenbelt.workflows.inspection.sources import VIDEOS, PictureSource, open_source

    is_url = task.subject.startswith(("http://", "https://"))
    path = None if is_url else Path(task.subject)
    if path is not None and path.suffix.lower() in VIDEOS:
        raise InputError(f"{path}: a batch takes pictures; qwenbelt inspect takes videos.")
    return open_source(PictureSource(task.subject, path))[0]


def _inspect_job(task: Task, folder: Path, llm: DurableChat) -> Result:
    from qwenbelt.workflows.inspection.asking import Inspector
    from qwenbelt.workflows.inspection.marking import save_annotated
    from qwenbelt.workflows.inspection.rules import Inspected, load_rules

    picture = _task_picture(task)
    inspector = Inspector(llm, load_rules(task.options.rules), language=_task_language(task))
    answer = background_loop().run(inspector.look(picture))
    found = Inspected(task.subject, True, "", answer.objects, answer.notes, picture.size)
    annotated = save_annotated(picture, found, inspector.rules, inspector.language, folder)
    return {**found.to_dict(), "annotated": str(annotated)}


def _label_job(task: Task, folder: Path, llm: DurableChat) -> Result:
    from qwenbelt.workflows.labelling.asking import Labeller
    from qwenbelt.workflows.labelling.labels import load_labels

    if task.options.labels is None:
        raise InputError("Labelling needs a file of labels.", fix="Give one with --labels.")
    labeller = Labeller(llm, load_labels(task.options.labels), language=_task_language(task))
    found = background_loop().run(labeller.label(task.subject, _task_picture(task)))
    if not found.ok:
        raise QwenbeltError(found.error)
    return found.to_dict()


_JOBS: dict[str, Callable[[Task, Path, DurableChat], Result]] = {
    "ask": _ask_job,
    "report": _report_job,
    "inspect": _inspect_job,
    "label": _label_job,
}


def _file_name(identity: str) -> str:
    plain = "".join(c if c.isalnum() or c in "-_." else "_" for c in identity)[:80]
    if plain == identity and plain.strip("."):
        return plain
    import hashlib

    return f"{plain.strip('.')}-{hashlib.sha256(identity.encode()).hexdigest()[:8]}"
