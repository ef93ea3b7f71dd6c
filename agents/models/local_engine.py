"""llama.cpp inside this process (`local:FILE.gguf`), behind the same chat model as any endpoint.

The engine is xllamacpp: llama.cpp's own server code without a socket, so that bodies, chunks,
schemas and chat templates are those of the llama.cpp dialect. A model is loaded at its first
request and unloaded when it has been idle for a while.
"""

from __future__ import annotations

import asyncio
import importlib.util
import os
import threading
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from qwenbelt.agents.models.deltas import JsonDict
from qwenbelt.agents.models.sse import DONE, json_object
from qwenbelt.core.errors import ConfigError, EndpointError, one_line
from qwenbelt.core.jsons import loads_bounded
from qwenbelt.core.processes.per_process import per_process

CONTEXT_TOKENS = 8192
IDLE_SECONDS = 600.0


@dataclass(frozen=True)
class EngineSettings:
    """How a model is loaded; the `engine` of an llm dict.

    Attributes:
        context_tokens: the window, shared by all slots.
        threads: of the processor; by default one less than there are, for the rest of the program.
        slots: replies that are written side by side.
        idle_seconds: how long an unused model stays loaded.
        gpu_layers: layers that go to a GPU, where the engine was built for one.
    """

    context_tokens: int = CONTEXT_TOKENS
    threads: int = 0
    slots: int = 1
    idle_seconds: float = IDLE_SECONDS
    gpu_layers: int = -1

    @classmethod
    def of(cls, values: Mapping[str, Any] | None) -> EngineSettings:
        """Reads the settings.

        Raises:
            ConfigError: a name is unknown or a value is not a number.
        """
        known = cls.__dataclass_fields__
        for name, value in (values or {}).items():
            number = isinstance(value, (int, float)) and not isinstance(value, bool)
            if name not in known or not number:
                names = ", ".join(known)
                raise ConfigError(f"engine: {name}={value!r} is not understood. Numbers: {names}.")
        return cls(**(values or {}))


class Engine:
    """One model file in memory, or ready to be loaded."""

    def __init__(self, path: Path, settings: EngineSettings) -> None:
        self.path = path
        self.settings = settings
        self._lock = threading.Lock()
        self._server: Any = None
        self._running = 0
        self._last = 0.0
        self._timer: threading.Timer | None = None
        self.load_seconds: float | None = None

    @property
    def is_loaded(self) -> bool:
        """Whether the model is in memory."""
        return self._server is not None

    def generate(self, body: str, take: Callable[[str], bool]) -> None:
        """Writes a reply in this thread; `take` gets each chunk, and True from it ends the reply.

        Raises:
            EndpointError: the model cannot be loaded, or refuses the request.
        """
        with self._lock:
            server = self._server = self._server or self._load()
            self._running += 1
        try:
            server.handle_chat_completions(body, take)
        except (ValueError, RuntimeError) as error:
            raise _refusal(error) from error
        finally:
            with self._lock:
                self._running -= 1
                self._last = time.monotonic()
                self._watch(self.settings.idle_seconds)

    def unload(self) -> bool:
        """Frees the memory unless a reply is being written; returns whether it is free."""
        with self._lock:
            if self._running:
                return False
            server, self._server = self._server, None
        del server
        return True

    def _load(self) -> Any:
        import xllamacpp

        settings = self.settings
        params = xllamacpp.CommonParams()
        params.model.path = str(self.path)
        params.n_ctx = settings.context_tokens
        params.n_parallel = settings.slots
        params.n_gpu_layers = settings.gpu_layers
        params.use_jinja = True
        params.verbosity = 0
        threads = settings.threads or max(1, (os.cpu_count() or 2) - 1)
        params.cpuparams.n_threads = params.cpuparams_batch.n_threads = threads
        started = time.monotonic()
        try:
            server = xllamacpp.Server(params)
        except (ValueError, RuntimeError, OSError) as error:
            raise EndpointError(
                f"{self.path.name} cannot be loaded ({one_line(error, 160)}).",
                fix="Check that it is a whole .gguf file and that there is memory for it.",
            ) from error
        self.load_seconds = time.monotonic() - started
        return server

    def _watch(self, seconds: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = threading.Timer(seconds, self._unload_when_idle)
        self._timer.daemon = True
        self._timer.start()

    def _unload_when_idle(self) -> None:
        if time.monotonic() - self._last >= self.settings.idle_seconds * 0.99:
            self.unload()


class _Engines:
    def __init__(self) -> None:
        self.loaded: dict[tuple[Path, EngineSettings], Engine] = {}
        self.lock = threading.Lock()


_engines = per_process(_Engines)


def engine_for(model: str, settings: Mapping[str, Any] | None = None) -> Engine:
    """Returns this process's engine for a model file or the name of a pulled model.

    Raises:
        ConfigError: the engine is not installed, or the model is not here.
    """
    from qwenbelt.agents.models.local_files import find_model

    if importlib.util.find_spec("xllamacpp") is None:
        raise ConfigError(
            "The embedded engine is not installed.", fix='pip install "qwenbelt[local]"'
        )
    key = (find_model(model), EngineSettings.of(settings))
    engines = _engines()
    with engines.lock:
        if key not in engines.loaded:
            engines.loaded[key] = Engine(*key)
        return engines.loaded[key]


def unload_all() -> None:
    """Frees the memory of all models that are not writing."""
    engines = _engines()
    with engines.lock:
        loaded = list(engines.loaded.values())
    for engine in loaded:
        engine.unload()


@asynccontextmanager
async def open_embedded(engine: Engine, body: bytes) -> AsyncIterator[AsyncIterator[JsonDict]]:
    """Gives a body to an engine, and its chunks as they are written, as `client.open_reply` does.

    Leaving early ends the writing.

    Raises:
        EndpointError: the model cannot be loaded or refuses the request.
    """
    loop = asyncio.get_running_loop()
    found: asyncio.Queue[JsonDict | EndpointError] = asyncio.Queue()
    left = threading.Event()

    def tell(value: JsonDict | EndpointError) -> None:
        with suppress(RuntimeError):  # the loop was closed meanwhile
            loop.call_soon_threadsafe(found.put_nowait, value)

    def take(chunk: str) -> bool:
        if not left.is_set():
            try:
                tell(json_object(chunk))
            except EndpointError as error:
                tell(error)
        return left.is_set()

    def write() -> None:
        try:
            engine.generate(body.decode("utf-8"), take)
        except EndpointError as error:
            tell(error)
        except Exception as error:  # a fault of any kind must not leave the reader waiting
            tell(EndpointError(f"The embedded engine failed ({one_line(error, 160)})."))
        tell(DONE)

    threading.Thread(target=write, name="qwenbelt-embedded", daemon=True).start()
    try:
        yield _until_done(found)
    finally:
        left.set()


async def _until_done(found: asyncio.Queue[JsonDict | EndpointError]) -> AsyncIterator[JsonDict]:
    while True:
        value = await found.get()
        if isinstance(value, EndpointError):
            raise value
        yield value
        if value is DONE:
            return


def _refusal(error: Exception) -> EndpointError:
    text = str(error)
    with suppress(ValueError):
        value = loads_bounded(text)
        inner = value.get("error", value) if isinstance(value, dict) else {}
        if isinstance(inner, dict) and inner.get("message"):
            code = str(inner.get("type") or "")
            return EndpointError(f"The engine refused: {one_line(inner['message'])}", code=code)
    return EndpointError(f"The engine refused: {one_line(text, 300)}", status=400)
