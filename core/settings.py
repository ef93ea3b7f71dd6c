"""Settings from the environment and one TOML file; the environment wins.

The file is `qwenbelt.toml` in the working directory, else in the user's configuration folder:

    endpoint = "ollama:qwen3:8b"      # the default model endpoint
    max_model_calls = 30              # a run's budget
    tool_format = "constrained"       # how calls are written; what suits the endpoint without it
    max_repeats = 3                   # identical calls with identical results that end a run
    speech_to_text = "openai:whisper-1"   # the chat's microphone; text_to_speech, voice: aloud
    workspace = "~/qwenbelt"          # where sessions keep their files
    allow_unsandboxed = false         # run model-written code without a sandbox
    allow_private_urls = false        # let tools fetch from private addresses

    [keys]                            # handed to endpoints, never printed
    dashscope = "..."

    [rates.dashscope]                 # a dialect or a base URL; see agents.rates
    in_flight = 8
    tokens_per_minute = 100000

    [prices]                          # money for a million tokens in and out; see agents.prices
    "my-model" = [0.8, 2.0]
"""

from __future__ import annotations

import dataclasses
import functools
import os
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from qwenbelt.core.errors import ConfigError
from qwenbelt.core.secrets import MASK, remember_secret

FILE_NAME = "qwenbelt.toml"
_LONG_RUN = 100  # model calls
_TRUE, _FALSE = {"1", "true", "yes", "on"}, {"0", "false", "no", "off", ""}


@dataclass(frozen=True)
class Settings:
    """What can be set for all runs of this process.

    Attributes:
        endpoint: the endpoint spec used when none is given, for example "dashscope:qwen3-max".
        max_model_calls: model calls a run may make.
        max_repeats: this many identical calls with identical results, one after another, end a run
            as a loop; 0 for never. Without a value it is 3, but 0 when max_model_calls is set
            above 100: who allows such long runs wants that budget alone to end them.
        tool_format: how calls are written: native, nous, constrained or react; None for what suits
            the endpoint.
        speech_to_text: the endpoint spec of the model that hears in the chat; None for none.
        text_to_speech: the endpoint spec of the model that reads aloud in the chat.
        voice: the voice that it speaks with; None for the model's usual one.
        workspace: folder of sessions, indexes and artifacts.
        allow_unsandboxed: whether code may run where no sandbox is available.
        allow_private_urls: whether URLs may lead to private or loopback addresses.
        keys: API keys by endpoint name; registered as secrets, shown as "[secret]".
        rates: limits by endpoint name or base URL.
        prices: money for a million tokens in and out, by model name.
        source: the file that was read, or None.
    """

    endpoint: str | None = None
    max_model_calls: int = 30
    max_repeats: int = 3
    tool_format: str | None = None
    speech_to_text: str | None = None
    text_to_speech: str | None = None
    voice: str | None = None
    workspace: Path = field(default_factory=lambda: _default_workspace())
    allow_unsandboxed: bool = False
    allow_private_urls: bool = False
    keys: Mapping[str, str] = field(default_factory=dict, repr=False)
    rates: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    prices: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    source: Path | None = None

    def shown(self) -> dict[str, Any]:
        """Returns the settings for display: keys are masked."""
        out = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}
        out["keys"] = dict.fromkeys(self.keys, MASK)
        return {name: str(v) if isinstance(v, Path) else v for name, v in out.items()}


def _default_workspace() -> Path:
    import platformdirs

    return Path(platformdirs.user_data_dir("qwenbelt", appauthor=False))


def config_folder() -> Path:
    """Returns the user's configuration folder; it need not be there."""
    import platformdirs

    return Path(platformdirs.user_config_dir("qwenbelt", appauthor=False))


def cache_folder() -> Path | None:
    """Returns the folder of what can be made again: `QWENBELT_CACHE`, else the user's cache folder.

    None when `QWENBELT_CACHE` is `off`. It need not be there.
    """
    import platformdirs

    given = os.environ.get("QWENBELT_CACHE")
    if given == "off":
        return None
    return Path(given) if given else Path(platformdirs.user_cache_dir("qwenbelt", False))


def _config_file() -> Path | None:
    named = os.environ.get("QWENBELT_CONFIG")
    if named:
        path = Path(named).expanduser()
        if not path.is_file():
            raise ConfigError(f"QWENBELT_CONFIG names {path}, which is not a file.")
        return path
    folders = (Path.cwd(), config_folder())
    return next((f / FILE_NAME for f in folders if (f / FILE_NAME).is_file()), None)


def _read_toml(path: Path) -> dict[str, Any]:
    if sys.version_info >= (3, 11):
        import tomllib
    else:
        import tomli as tomllib
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read as TOML ({error})") from error


def _boolean_setting(name: str, value: object) -> bool:
    if isinstance(value, bool):
        return value
    word = str(value).strip().lower()
    if word in _TRUE or word in _FALSE:
        return word in _TRUE
    raise ConfigError(f"{name} must be true or false, not {value!r}.")


def _number_setting(name: str, value: object, least: int = 1) -> int:
    try:
        number = int(str(value))
    except ValueError:
        number = least - 1
    if number < least:
        raise ConfigError(f"{name} must be a whole number of at least {least}, not {value!r}.")
    return number


def _rate_settings(name: str, value: object) -> dict[str, Mapping[str, Any]]:
    if isinstance(value, dict) and all(isinstance(entry, dict) for entry in value.values()):
        return value
    raise ConfigError(f"[{name}.NAME] must hold limits, such as in_flight = 8.")


def _price_settings(name: str, value: object) -> dict[str, tuple[float, float]]:
    try:
        return {model: (float(into), float(out)) for model, (into, out) in value.items()}  # type: ignore[attr-defined]
    except (AttributeError, TypeError, ValueError):
        raise ConfigError(f'[{name}] must hold lines such as "model" = [0.8, 2.0].') from None


_CONVERT: dict[str, Any] = {
    "endpoint": lambda name, value: str(value) or None,
    "max_model_calls": _number_setting,
    "max_repeats": lambda name, value: _number_setting(name, value, least=0),
    "tool_format": lambda name, value: str(value) or None,
    "speech_to_text": lambda name, value: str(value) or None,
    "text_to_speech": lambda name, value: str(value) or None,
    "voice": lambda name, value: str(value) or None,
    "workspace": lambda name, value: Path(str(value)).expanduser(),
    "allow_unsandboxed": _boolean_setting,
    "allow_private_urls": _boolean_setting,
}
_TABLES: dict[str, Any] = {"rates": _rate_settings, "prices": _price_settings}  # in the file only


_FOLDERS = ("HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "USERPROFILE", "APPDATA", "LOCALAPPDATA")
_VARIABLES = (*(f"QWENBELT_{name.upper()}" for name in (*_CONVERT, "config")), *_FOLDERS)
_SETTLED_SECONDS = 2.0  # a file written later may be written again within one tick of its time
_read_last: tuple[tuple[Any, ...], Settings] | None = None


def load_settings() -> Settings:
    """Reads the settings again, where something has changed: each run asks for them twice.

    Raises:
        ConfigError: the file cannot be read, or a value or name in it is not understood.
    """
    global _read_last
    state, known = _state(), _read_last
    if known is not None and known[0] == state:
        return known[1]
    settings = _load()
    _read_last = (state, settings) if state is not None else None
    return settings


def _state() -> tuple[Any, ...] | None:
    """Returns all that settings are made of; None where a file may change unseen."""
    given = tuple(map(os.environ.get, _VARIABLES))
    here = os.getcwd()
    found: list[Any] = []
    for path in _places(here, given):
        try:
            file = os.stat(path)
        except OSError:
            found.append(None)
            continue
        if time.time() - file.st_mtime < _SETTLED_SECONDS:
            return None
        found.append((path, file.st_mtime_ns, file.st_size, file.st_ino))
    return (*given, here, *found)


@functools.lru_cache(maxsize=16)
def _places(here: str, given: tuple[str | None, ...]) -> tuple[str, ...]:
    """Returns where a settings file may be, by the variables that say so."""
    named = [path for path in (os.environ.get("QWENBELT_CONFIG"),) if path]
    own = [str(Path(path).expanduser()) for path in named]
    return (*own, str(Path(here) / FILE_NAME), str(config_folder() / FILE_NAME))


def _load() -> Settings:
    path = _config_file()
    table = _read_toml(path) if path else {}
    keys = table.pop("keys", {})
    tables = {name: table.pop(name) for name in _TABLES if name in table}
    unknown = sorted(set(table) - set(_CONVERT))
    if unknown:
        known = ", ".join([*_CONVERT, "keys", *_TABLES])
        raise ConfigError(f"{path}: unknown setting {unknown[0]!r}.", fix=f"Known are: {known}.")
    if not isinstance(keys, dict) or not all(isinstance(v, str) for v in keys.values()):
        raise ConfigError(f"{path}: [keys] must hold names and texts.")
    for value in keys.values():
        remember_secret(value)
    values: dict[str, Any] = {n: _TABLES[n](n, value) for n, value in tables.items()}
    for name, convert in _CONVERT.items():
        given = os.environ.get(f"QWENBELT_{name.upper()}", table.get(name))
        if given is not None:
            values[name] = convert(name, given)
    if values.get("max_model_calls", 0) > _LONG_RUN:
        values.setdefault("max_repeats", 0)
    return Settings(keys=keys, source=path, **values)
