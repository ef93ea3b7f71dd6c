"""`FnCallAgent`: qwen-agent's, on our loop."""

from __future__ import annotations

import asyncio
import copy
import threading
import uuid
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qwen_agent.agents import FnCallAgent as StockFnCallAgent
from qwen_agent.llm.schema import ContentItem, Message
from qwen_agent.tools.base import TOOL_REGISTRY, BaseTool

from qwenbelt.agents.answers.ask import Asking
from qwenbelt.agents.answers.typed import AnswerForm
from qwenbelt.agents.chat_model import model_for
from qwenbelt.agents.hooks import Hooks
from qwenbelt.agents.openai_form import from_openai
from qwenbelt.agents.overridden_tool import OverriddenTool
from qwenbelt.agents.prompts import PLAN
from qwenbelt.agents.runtime.approvals.approval import (
    answer_in_terminal,
    ask_in_terminal,
    checked_policy,
)
from qwenbelt.agents.runtime.artifacts import ArtifactStore
from qwenbelt.agents.runtime.background import check_background
from qwenbelt.agents.runtime.budget import Budget
from qwenbelt.agents.runtime.code.code_mode import (
    INTERPRETER,
    CodeModeOption,
    check_code_mode,
    code_mode_of,
)
from qwenbelt.agents.runtime.conversation_files import ConversationFiles, StoredFiles
from qwenbelt.agents.runtime.deferred_tools import DeferOption, deferred_of
from qwenbelt.agents.runtime.elicitation import ask_values_in_terminal
from qwenbelt.agents.runtime.event_loop_thread import background_loop
from qwenbelt.agents.runtime.history import as_dict
from qwenbelt.agents.runtime.kept_views import KeptViews
from qwenbelt.agents.runtime.message_list import SECONDS, MessageList
from qwenbelt.agents.runtime.outcome import Failure
from qwenbelt.agents.runtime.parent_run import ParentRun
from qwenbelt.agents.runtime.resource_queue import Limits
from qwenbelt.agents.runtime.run import Run, RunConfig
from qwenbelt.agents.tool_sources import ToolSources
from qwenbelt.core.errors import ConfigError, ToolRefused
from qwenbelt.core.events import ApprovalAsked, ElicitationAsked, Event
from qwenbelt.core.language import Language, detect_language
from qwenbelt.core.trace import TraceWriter
from qwenbelt.tools.base import result_items, result_text
from qwenbelt.tools.function import FunctionTool

if TYPE_CHECKING:
    from qwenbelt.agents.sessions.session import Session, TurnRecorder
    from qwenbelt.agents.subagents import Subagent
    from qwenbelt.tools.skills.library import SkillLibrary

_RUN_KEYS = ("session", "trace", "folder")
_STORES = 64  # conversations whose large results are kept at the same time


class FnCallAgent(Asking, StockFnCallAgent):  # type: ignore[misc]
    """An agent that calls tools, in parallel, and reports what happens as events.

    Takes the arguments of qwen-agent's class; `llm` may also be an endpoint spec, or a list of
    specs and llm dicts of which the next one goes on where one has an outage. And:

    Args:
        approve: "auto" (default), "ask", "never", "untrusted" (asks when text of others may have
            chosen what a call aims at), a function of an `ApprovalRequest`, or rules by pattern:
            `{"allow": ["web_fetch(https://docs.*)"], "ask": [...], "never": [...]}`.
        limits: how much may run side by side.
        budget: what a run may use up.
        session: names the conversation to which kernels, folders and large results belong; one of
            the agent's own by default.
        folder: where tools of a run keep their files.
        dependent_calls: whether the model learns that a call may use the result of an earlier
            call of the same reply; see `PlanAgent`.
        summarize: whether what leaves the model's window is summed up by the model first.
        code_mode: whether the tools are called from code: True for all of them, or the names of
            some; the model is offered `code_interpreter` in their place. "auto" for all where
            the endpoint's record says that the model writes code, and there are many.
        defer_tools: which tools are found by a search instead of being declared: True for all,
            names for some, "auto" for all once they take a tenth of the window.
        background: names of tools whose calls the model does not wait for: it goes on, and the
            result is told later.
        hooks: `Hook` objects, classes or names ("module:name"), called one after another.
        skills: folders of skills, names of the user's or shipped ones, or a `SkillLibrary`.
    """

    tool_form: str | None = None
    dependent_calls = False
    evidence_first = False  # whether the question is looked up in the files before it is asked

    def __init__(
        self,
        function_list: Sequence[Any] | None = None,
        llm: Any = None,
        system_message: str | None = "",
        name: str | None = None,
        description: str | None = None,
        files: list[str] | None = None,
        *,
        rag_cfg: Mapping[str, Any] | None = None,
        approve: Any = "auto",
        limits: Limits | None = None,
        budget: Budget | None = None,
        session: str | None = None,
        folder: str | Path | None = None,
        dependent_calls: bool | None = None,
        summarize: bool = False,
        code_mode: CodeModeOption = False,
        hooks: Sequence[Any] = (),
        defer_tools: DeferOption = False,
        skills: Sequence[Any] | SkillLibrary = (),
        background: Sequence[str] = (),
    ) -> None:
        self.mem = StoredFiles(files or [], rag_cfg)
        self.approval = checked_policy(approve)
        self.limits = limits or Limits()
        self.budget = budget or Budget()
        self.session = session or f"agent-{uuid.uuid4().hex[:12]}"
        self.folder = Path(folder) if folder is not None else None
        if dependent_calls is not None:
            self.dependent_calls = dependent_calls
        self.summarize = summarize
        self.code_mode = code_mode
        self.hooks = Hooks(hooks)
        self.skills, given = with_skills(skills, function_list or ())
        self._lazy_servers = bool(defer_tools)
        self._runs: weakref.WeakSet[Run] = weakref.WeakSet()
        self._views = KeptViews()
        self._sources = ToolSources()
        self._wrapped: dict[str, OverriddenTool] = {}
        self._stores: dict[tuple[str, Path | None], ArtifactStore] = {}
        self._lock = threading.Lock()
        super().__init__(
            function_list=given,
            llm=with_model_type(llm),
            system_message=system_message,
            name=name,
            description=description,
        )
        window = _max_input_tokens(self.llm, self.extra_generate_cfg)
        self._deferred = deferred_of(defer_tools, self.function_map, window)
        check_code_mode(code_mode, self.function_map)
        self.background = check_background(background, self.function_map)
        if code_mode not in (False, "auto") and INTERPRETER not in self.function_map:
            self._init_tool(INTERPRETER)

    def _init_tool(self, tool: Any) -> None:
        if isinstance(tool, dict) and "mcpServers" in tool:
            from qwenbelt.tools.mcp import mcp_tools

            for found in mcp_tools(tool, lazy=self._lazy_servers):
                super()._init_tool(found)
        elif isinstance(tool, (BaseTool, Mapping)) or not callable(tool):
            _check_name(tool)
            super()._init_tool(tool)
        else:
            super()._init_tool(FunctionTool(tool))

    # -- events -------------------------------------------------------------------------------

    def stream(
        self,
        messages: Sequence[Any],
        *,
        lang: str | None = None,
        session: str | Session | None = None,
        folder: str | Path | None = None,
        trace: TraceWriter | None = None,
        answer: Any = None,
        generate_cfg: Mapping[str, Any] | None = None,
        parent: ParentRun | None = None,
        durable: str | Path | None = None,
        run_id: str | None = None,
        **kwargs: Any,
    ) -> Run:
        """Starts a run and returns it: an async generator of events.

        Args:
            messages: the conversation, as dicts or qwen-agent messages.
            lang: "en" or "zh" for our prompts; the question's language by default.
            session: a `Session`, whose messages come before these and which keeps this turn; or
                the name of the conversation that kernels and folders belong to.
            folder: where tools keep their files.
            trace: where to write the events as well.
            answer: the form of a typed answer, see `ask`; then `run.value` is that.
            generate_cfg: settings of this run's requests, over those of the llm.
            parent: the run inside of whose call this one runs.
            durable: a SQLite file or `postgresql://…` in which the run is kept: the same question
                under the same id goes on where it was broken off, and is not asked again once it
                is answered.
            run_id: the run's id in it; made of the question by default.
            **kwargs: passed to every tool.
        """
        read = from_openai([as_dict(message) for message in messages])
        asked, recorder = read, None
        if session is not None and not isinstance(session, str):
            asked, recorder = session.turn_for(asked)
            if INTERPRETER in self.function_map:
                from qwenbelt.agents.sessions.code_states import code_states

                kwargs.setdefault("states", code_states.begin_turn(session))
            session = f"session-{session.name}"
        recorded = None
        if durable is not None:
            if recorder is not None:
                raise ConfigError("A session keeps its runs itself.", fix="Leave out `durable`.")
            from qwenbelt.agents.sessions.durable import durable_turn

            turn = durable_turn(durable, run_id, asked, self.name or "")
            asked, recorder, recorded = turn.messages, turn.recorder, turn.answer
        given = self._with_own_system(asked)
        keywords = {"lang": lang or _language_of(given), **kwargs}
        options: dict[str, Any] = {"session": session, "folder": folder, "trace": trace}
        if generate_cfg:
            options["generate_cfg"] = generate_cfg
        if answer is not None:
            form = answer if isinstance(answer, AnswerForm) else AnswerForm(answer)
            told = form.instruction("zh" if keywords["lang"] == "zh" else "en")
            given = with_system(given, told, last=True)
            options["answer"] = form
        if parent is not None:
            options["parent"] = parent
        if recorder is not None:
            options["recorder"] = recorder
        if recorded is not None:
            options["recorded"] = recorded
        return self._start(given, keywords, **options)

    def _start(
        self,
        messages: list[dict[str, Any]],
        kwargs: dict[str, Any],
        *,
        session: str | None = None,
        folder: str | Path | None = None,
        trace: TraceWriter | None = None,
        answer: AnswerForm | None = None,
        generate_cfg: Mapping[str, Any] | None = None,
        parent: ParentRun | None = None,
        recorder: TurnRecorder | None = None,
        recorded: str | None = None,
    ) -> Run:
        """Makes the run; subclasses change the messages here."""
        language: Language = "zh" if kwargs.pop("lang", "en") == "zh" else "en"
        files = ConversationFiles(messages, self.mem.system_files)
        extra = {**self.extra_generate_cfg, **(generate_cfg or {})}
        if kwargs.get("seed") is not None:
            extra["seed"] = kwargs["seed"]
        session = session or self.session
        place = Path(folder) if folder is not None else self.folder
        if self.dependent_calls and self.function_map:
            messages = with_system(messages, PLAN[language], last=True)
        if self.skills is not None:
            messages = with_system(messages, self.skills.listing(language), last=True)
        told = self._sources.told(self.function_map, language)
        for text in told:
            messages = with_system(messages, text, last=True)
        model = model_for(self.llm, self.tool_form)
        if recorded is not None:
            from qwenbelt.agents.sessions.durable import RecordedModel

            model = RecordedModel(model, recorded)
        code, offered = code_mode_of(self.code_mode, self._tools_for_run(), model, messages)
        offered = self._deferred.over(offered) if self._deferred is not None else offered
        plan = RunConfig(
            agent=self.name or type(self).__name__,
            model=model,
            tools=offered,
            code=code,
            deferred=self._deferred,
            current_tools=None if code else self._tools_for_run,  # else from the next run on
            tools_settled=self._sources.settled,
            messages=messages,
            language=language,
            limits=self.limits,
            budget=self.budget if parent is None else parent.budget_for(self.budget),
            policy=self.approval if parent is None else parent.policy_for(self.approval),
            session=session,
            folder=place,
            files=files.by_name,
            max_input_tokens=_max_input_tokens(self.llm, extra),
            trace=trace,
            keywords=kwargs,
            file_list=files.all,
            extra=extra,
            artifacts=self._store(session, place),
            dependent_calls=self.dependent_calls,
            summarize=self.summarize,
            answer=answer,
            hooks=self.hooks,
            parent=parent,
            recorder=recorder,
            views=self._views,
            background=self.background,
            untrusted=told,
        )
        if self.evidence_first and files.by_name:
            self._look_up_first(plan)
        run = Run(plan)
        with self._lock:
            self._runs.add(run)
        return run

    def _look_up_first(self, plan: RunConfig) -> None:
        """Has the question looked up before the first request, and read at temperature 0."""
        from qwenbelt.agents.evidence import budget_of, with_evidence

        budget = budget_of(self.mem.rag_cfg)
        names = tuple(plan.tools)

        async def prepare() -> None:
            plan.messages = await asyncio.to_thread(
                with_evidence,
                plan.messages,
                plan.files,
                plan.language,
                budget=budget,
                tools=names,
                untrusted=plan.untrusted,
            )

        plan.prepare = prepare
        if "temperature" not in (getattr(self.llm, "generate_cfg", None) or {}):
            plan.extra = {"temperature": 0, **plan.extra}

    def _store(self, session: str, folder: Path | None) -> ArtifactStore:
        """Returns the large results of a conversation; of many, the oldest are forgotten."""
        with self._lock:
            store = self._stores.pop((session, folder), None) or ArtifactStore(folder)
            self._stores[session, folder] = store
            while len(self._stores) > _STORES:
                self._stores.pop(next(iter(self._stores)))
            return store

    def _tools_for_run(self) -> dict[str, Any]:
        self._sources.update(self.function_map)
        tools = dict(self.function_map)
        if type(self)._call_tool is FnCallAgent._call_tool:
            return tools
        for name, tool in tools.items():
            wrapped = self._wrapped.get(name)
            if wrapped is None or wrapped.tool is not tool:
                self._wrapped[name] = OverriddenTool(tool, self._call_tool)
        return {name: self._wrapped[name] for name in tools}

    def as_tool(self, name: str, description: str, *, background: bool = False) -> Subagent:
        """Returns this agent as a tool of another one: its tasks are runs of their own.

        Args:
            name: the tool's name.
            description: what the model is told of it.
            background: whether the outer model goes on while it works.
        """
        from qwenbelt.agents.subagents import Subagent

        return Subagent(self, name, description, background=background)

    def cancel(self, run_id: str | None = None) -> None:
        """Ends all runs of this agent, or the one of an id; from any thread."""
        for run in self._current(run_id):
            run.cancel()

    def approve(self, call_id: str, allowed: bool = True, run_id: str | None = None) -> None:
        """Answers an `ApprovalAsked` event, of the run of an id if given; from any thread."""
        for run in self._current(run_id):
            run.approve(call_id, allowed)

    def answer(
        self, request_id: str, values: Mapping[str, Any] | None, run_id: str | None = None
    ) -> None:
        """Answers an `ElicitationAsked` event, None declines; from any thread."""
        for run in self._current(run_id):
            run.answer(request_id, values)

    def _current(self, run_id: str | None = None) -> list[Run]:
        with self._lock:
            runs = [run for run in self._runs if not run.is_over]
        return [run for run in runs if run_id in (None, run.id)]

    # -- qwen-agent's contract ----------------------------------------------------------------

    def run(self, messages: Sequence[Any], **kwargs: Any) -> Iterator[list[Any]]:
        """qwen-agent's contract: yields the growing list of messages, dicts when given dicts.

        Takes `session`, `folder` and `trace` as `stream` does, and `on_event`, a function that is
        given each event. With `approve="ask"` and without `on_event`, the terminal is asked.
        """
        if type(self)._run is not FnCallAgent._run:
            yield from super().run(messages, **kwargs)
            return
        as_dicts = bool(messages) and all(isinstance(message, dict) for message in messages)
        read = from_openai([as_dict(message) for message in messages])
        given = [as_dict(Message(**message)) for message in read]
        given = self._with_own_system(given)
        kwargs.setdefault("lang", _language_of(given))
        shown = _Shown(self._named_dict if as_dicts else self._named)
        for found, finished in self._lists(given, kwargs):
            yield shown.list_of(found, finished)

    def _run(
        self, messages: list[Message], lang: str = "en", **kwargs: Any
    ) -> Iterator[list[Message]]:
        """Yields the growing list of messages, as qwen-agent's agents do."""
        shown = _Shown(self._named)
        given = [as_dict(message) for message in messages]
        for found, finished in self._lists(given, {"lang": lang, **kwargs}):
            yield shown.list_of(found, finished)

    def _lists(
        self, given: list[dict[str, Any]], kwargs: dict[str, Any]
    ) -> Iterator[tuple[list[dict[str, Any]], int]]:
        """Yields the messages so far, and how many of them are final."""
        options = {key: kwargs.pop(key) for key in _RUN_KEYS if key in kwargs}
        on_event: Callable[[Event], None] | None = kwargs.pop("on_event", None)
        growing = MessageList(react=self.tool_form == "react")
        runs: list[Run] = []
        found: list[dict[str, Any]] = []

        def make() -> Run:
            run = self._start(copy.copy(given), kwargs, **options)
            runs.append(run)
            if run.plan.policy == "ask" and on_event is None:
                run.plan.policy = ask_in_terminal
            return run

        for event in background_loop().iterate_with_pauses(make, SECONDS):
            if event is not None and on_event is not None:
                on_event(event)
            elif isinstance(event, ApprovalAsked):
                self.approve(event.call_id, _answered(event))
            elif isinstance(event, ElicitationAsked):
                self.answer(event.request_id, ask_values_in_terminal(event))
            if growing.take(event):
                found = growing.messages()
                if found:
                    yield found, growing.finished
        if self.tool_form == "react" and runs:
            # who goes on hands in the whole transcript as one message
            self._views.rename([*given, *runs[0].messages], [*given, *found])

    def _named(self, message: dict[str, Any]) -> Message:
        return Message(**self._named_dict(message))

    def _named_dict(self, message: dict[str, Any]) -> dict[str, Any]:
        named = message.get("name") or not self.name
        return dict(message) if named else {**message, "name": self.name}

    def _call_tool(self, tool_name: str, tool_args: Any = "{}", **kwargs: Any) -> Any:
        """Calls a tool; what it raises comes back as one line, not as a traceback.

        A subclass that overrides this is heard for every call.
        """
        tool = self.function_map.get(tool_name)
        if tool is None:
            return Failure(f"Error: there is no tool named {tool_name!r}.")
        if getattr(tool, "file_access", False) and "files" not in kwargs:
            given = [as_dict(message) for message in kwargs.get("messages") or ()]
            kwargs["files"] = ConversationFiles(given, self.mem.system_files).all
        try:
            result = tool.call(tool_args, **kwargs)
        except Exception as error:  # whatever a tool raises is its result
            return Failure.of(error)
        if isinstance(result, list) and all(isinstance(item, ContentItem) for item in result):
            return result
        return result if isinstance(result, str) else result_text(result_items(result))

    def _with_own_system(self, messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
        return with_system(messages, self.system_message) if self.system_message else messages


class _Shown:
    """Turns messages into what is yielded; those that are final only once."""

    def __init__(self, turn: Callable[[dict[str, Any]], Any]) -> None:
        self._turn = turn
        self._from: list[dict[str, Any]] = []
        self._to: list[Any] = []

    def list_of(self, messages: list[dict[str, Any]], finished: int) -> list[Any]:
        known = 0
        for before, now in zip(self._from, messages, strict=False):
            if before is not now:
                break
            known += 1
        out = self._to[:known] + [self._turn(message) for message in messages[known:]]
        self._from, self._to = messages[:finished], out[:finished]
        return out


def with_model_type(llm: Any) -> Any:
    """Returns an llm dict that uses our chat model unless it names a type of its own."""
    if llm is None:
        from qwenbelt.agents.models.endpoints import endpoint

        return endpoint()
    if isinstance(llm, str):
        from qwenbelt.agents.models.endpoints import endpoint

        return endpoint(llm)
    if isinstance(llm, (list, tuple)):
        from qwenbelt.agents.models.fallback import chain_of

        return with_model_type(chain_of(llm))
    if isinstance(llm, Mapping) and not llm.get("model_type"):
        return {**llm, "model_type": "qwenbelt"}
    return llm


def with_skills(
    skills: Sequence[Any] | SkillLibrary, tools: Sequence[Any]
) -> tuple[SkillLibrary | None, list[Any]]:
    """Returns an agent's skills, if it has any, and its tools with those that use skills."""
    if not isinstance(skills, Sequence) and not hasattr(skills, "names"):
        raise ConfigError("skills must be a list of folders or names.")
    if isinstance(skills, (list, tuple, str)) and not skills:
        return None, list(tools)
    from qwenbelt.tools.skills.library import SkillLibrary
    from qwenbelt.tools.skills.tool import skill_tools

    library = skills if isinstance(skills, SkillLibrary) else SkillLibrary(skills)
    return (library, [*tools, *skill_tools(library)]) if len(library) else (None, list(tools))


def _check_name(tool: Any) -> None:
    name = tool.get("name") if isinstance(tool, Mapping) else tool
    if isinstance(name, str) and name not in TOOL_REGISTRY:
        known = ", ".join(sorted(TOOL_REGISTRY))
        raise ConfigError(f"There is no tool named {name!r}.", fix=f"Registered: {known}.")


def _language_of(messages: Sequence[Mapping[str, Any]]) -> Language:
    """Returns the language of what the person and the system message say (qwen-agent's rule)."""
    said = [m.get("content") for m in messages if m.get("role") in ("system", "user")]
    return detect_language(" ".join(map(str, said)))


def with_system(
    messages: list[dict[str, Any]], text: str, *, last: bool = False
) -> list[dict[str, Any]]:
    """Returns messages with a text in front of the system message, or at its end."""
    if not messages or messages[0]["role"] != "system":
        return [{"role": "system", "content": text}, *messages]
    own = messages[0]["content"]
    if isinstance(own, str):
        joined: Any = "\n\n".join([own, text] if last else [text, own])
    else:
        joined = [*own, {"text": f"\n\n{text}"}] if last else [{"text": f"{text}\n\n"}, *own]
    return [{**messages[0], "content": joined}, *messages[1:]]


def _max_input_tokens(llm: Any, extra: Mapping[str, Any]) -> int | None:
    settings = {**(getattr(llm, "generate_cfg", None) or {}), **extra}
    value = settings.get("max_input_tokens")
    return int(value) if value and int(value) > 0 else None


def _answered(event: ApprovalAsked) -> bool:
    try:
        return answer_in_terminal(event.name, event.arguments, event.reason)
    except ToolRefused:
        return False
