"""What works on this machine, and the one command that fixes what does not.

Each check is a function that returns a `DoctorFinding` or a list of them; `@check` registers it. A
check that raises is reported as failed with the error's line, so that one never hides the others.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import sqlite3
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from qwenbelt.core.errors import QwenbeltError, one_line
from qwenbelt.core.extras import MODULES, fix_of, missing_modules
from qwenbelt.core.settings import Settings, load_settings

if TYPE_CHECKING:
    from qwenbelt.agents.models.capabilities import Capabilities
    from qwenbelt.agents.models.dialects import Dialect


@dataclass(frozen=True)
class DoctorFinding:
    """The outcome of one check.

    Attributes:
        name: what was looked at.
        ok: whether it works.
        detail: what was found, one line.
        fix: the command or sentence that fixes it, or "" when there is nothing to fix.
        needed: whether qwenbelt cannot do its main job without it.
    """

    name: str
    ok: bool
    detail: str
    fix: str = ""
    needed: bool = True

    def to_dict(self) -> dict[str, Any]:
        """Returns it ready for JSON."""
        return asdict(self)


Check = Callable[[], "DoctorFinding | list[DoctorFinding]"]
CHECKS: list[Check] = []

_MCP_FILE = "mcp.json"  # where `qwenbelt mcp add` writes
EXTRAS = {  # what each is for
    "gui": "the chat in the browser",
    "charts": "charts to move and filter, diagrams in Mermaid",
    "oidc": "login to the chat at an OpenID provider",
    "local": "a small model inside this process",
    "ocr": "text in scanned pages and pictures",
    "fonts": "bold Chinese in reports",
    "docx": "reports as Word files",
    "sheets": "formulas of workbooks that no program has computed",
    "embed": "search by meaning",
    "postgres": "a document index in PostgreSQL",
    "qdrant": "a document index in Qdrant",
    "vision": "HEIC pictures and videos",
    "durable": "batch runs that survive a crash",
    "skills": "the shipped skills for slides and PDF forms",
    "otel": "traces to OpenTelemetry",
}


def check(function: Check) -> Check:
    """Registers a check."""
    CHECKS.append(function)
    return function


def run_checks() -> Iterator[DoctorFinding]:
    """Runs all checks in order."""
    for function in CHECKS:
        try:
            found = function()
        # whatever breaks in a check is a finding about this machine
        except Exception as error:
            name = function.__name__.strip("_").replace("_", " ")
            yield DoctorFinding(name, False, f"{type(error).__name__}: {one_line(error)}")
            continue
        yield from found if isinstance(found, list) else [found]


def probed_endpoints(spec: str | None = None) -> Iterator[DoctorFinding]:
    """Probes the endpoint of a spec; without one, the one that is set and each local server.

    Raises:
        ConfigError: the spec is not understood.
    """
    from qwenbelt.agents.models.endpoints import endpoint, local_servers
    from qwenbelt.core.errors import NoEndpointError

    llms = []
    try:
        llms.append(endpoint(spec))
    except NoEndpointError as error:
        yield DoctorFinding("probe", False, error.message, error.fix or "", needed=False)
    if not spec:
        llms += [endpoint(f"{d.name}:{models[0]}") for d, models in local_servers() if models]
    done = []
    for llm in llms:
        if llm not in done:
            done.append(llm)
            yield _probe(llm)


def _probe(llm: dict[str, Any]) -> DoctorFinding:
    from qwenbelt.agents.code_probe import probe_code
    from qwenbelt.agents.models.probing import probe_model

    name = f"{llm['dialect']}:{llm['model']}"
    try:
        found = probe_model(llm)
        why = probe_code(llm)
        found.notes += [why] if why else []
    except QwenbeltError as error:
        return DoctorFinding(name, False, error.message, error.fix or "", needed=False)
    detail = "; ".join([*_abilities(found.record), *found.notes])
    return DoctorFinding(name, True, detail, needed=False)


def _abilities(record: Capabilities) -> Iterator[str]:
    if record.first_token is not None:
        yield f"first token {record.first_token:.2f} s"
    if record.tokens_per_second is not None:
        yield f"{record.tokens_per_second:.0f} tokens a second"
    if record.context_tokens is not None:
        yield f"window {record.context_tokens} tokens"
    native = "in the text only" if record.calls_in_text else _verdict_word(record.native_tools)
    yield f"native tools {native}, used: {record.tool_format}"
    yield f"parallel calls {_verdict_word(record.parallel_calls)}"
    yield f"structured output {record.structured or 'no'}"
    yield f"code that calls tools {_verdict_word(record.writes_code)}"
    yield f"thinking {record.thinking or 'unknown'}"
    yield f"pictures {_verdict_word(record.vision)}"


def _verdict_word(value: bool | None) -> str:
    return "unknown" if value is None else "yes" if value else "no"


def _settings() -> Settings | None:
    try:
        return load_settings()
    except QwenbeltError:
        return None


@check
def python() -> DoctorFinding:
    """The Python version."""
    version = ".".join(str(part) for part in sys.version_info[:3])
    ok = (3, 10) <= sys.version_info[:2] <= (3, 13)
    return DoctorFinding("python", ok, version, "" if ok else "Use Python 3.10 to 3.13.")


@check
def packages() -> DoctorFinding:
    """The packages that the base install declares."""
    from importlib.metadata import PackageNotFoundError, requires, version

    missing = []
    for line in requires("qwenbelt") or []:
        requirement, _, marker = line.partition(";")
        name = requirement.split("[")[0].split("<")[0].split(">")[0].split("=")[0].split("!")[0]
        if "extra ==" in marker or ("python_version" in marker and sys.version_info >= (3, 11)):
            continue
        try:
            version(name.strip())
        except PackageNotFoundError:
            missing.append(name.strip())
    if missing:
        fix = f"pip install {' '.join(missing)}"
        return DoctorFinding("packages", False, f"missing: {', '.join(missing)}", fix)
    return DoctorFinding("packages", True, "all that the base install declares are there")


@check
def qwen_agent() -> DoctorFinding:
    """Whether qwen-agent imports."""
    from importlib.metadata import version

    importlib.import_module("qwen_agent.agents")
    return DoctorFinding("qwen-agent", True, version("qwen-agent"))


@check
def settings() -> DoctorFinding:
    """The settings file."""
    try:
        source = load_settings().source
    except QwenbeltError as error:
        return DoctorFinding("settings", False, error.message, error.fix or "Correct that file.")
    return DoctorFinding(
        "settings", True, str(source) if source else "no file; defaults and environment"
    )


@check
def endpoint() -> DoctorFinding:
    """Whether a model endpoint is set up or found."""
    known = _settings()
    found = local_servers()
    fix = (
        "Set DASHSCOPE_API_KEY, or start a local server (ollama serve), or set "
        "QWENBELT_ENDPOINT=openai:MODEL@URL."
    )
    usable = [(dialect, models) for dialect, models in found if models]
    if known is not None and known.endpoint:
        return DoctorFinding("endpoint", True, f"set: {known.endpoint}")
    if os.environ.get("DASHSCOPE_API_KEY") or (known is not None and "dashscope" in known.keys):
        return DoctorFinding("endpoint", True, "DashScope: a key is set")
    if usable:
        dialect, models = usable[0]
        return DoctorFinding("endpoint", True, f"{dialect.name}: {', '.join(models[:3])}")
    return DoctorFinding("endpoint", False, "none configured, none found here", fix, needed=False)


@check
def servers() -> DoctorFinding:
    """Local servers on their usual ports."""
    found = local_servers()
    if not found:
        return DoctorFinding("local servers", True, "none on the usual ports", needed=False)
    detail = "; ".join(f"{d.name} at {d.url}: {len(models)} models" for d, models in found)
    return DoctorFinding("local servers", True, detail, needed=False)


def local_servers() -> list[tuple[Dialect, list[str]]]:
    """Returns the model servers that answer on their usual ports, with their models."""
    from qwenbelt.agents.models import endpoints

    return endpoints.local_servers()


@check
def mcp_servers() -> list[DoctorFinding]:
    """The MCP servers of this folder: none is started, the file may be a stranger's."""
    from qwenbelt.tools.mcp.config import server_entries

    if not os.path.isfile(_MCP_FILE):
        return [DoctorFinding("MCP servers", True, "no mcp.json in this folder", needed=False)]
    try:
        entries = server_entries(_MCP_FILE)
    except QwenbeltError as error:
        return [
            DoctorFinding(
                "MCP servers", False, error.message, error.fix or "Correct that file.", needed=False
            )
        ]
    return [_mcp_server(str(name), entry) for name, entry in entries.items()]


def _mcp_server(name: str, entry: object) -> DoctorFinding:
    from qwenbelt.tools.mcp.config import find_program, read_config

    title = one_line(f"MCP {name}", 60)
    try:
        configs = read_config({"mcpServers": {name: entry}})
        if not configs:
            return DoctorFinding(title, True, "switched off", needed=False)
        if configs[0].kind != "stdio":
            detail = f"{configs[0].place} (not asked; qwenbelt mcp test {_MCP_FILE} does)"
            return DoctorFinding(title, True, detail, needed=False)
        program = find_program(configs[0])
    except QwenbeltError as error:
        return DoctorFinding(
            title, False, error.message, error.fix or "Correct that file.", needed=False
        )
    detail = f"{program} (not started; qwenbelt mcp test {_MCP_FILE} does)"
    return DoctorFinding(title, True, detail, needed=False)


@check
def sandbox() -> DoctorFinding:
    """How well the code interpreter is isolated here."""
    from qwenbelt.tools.code_interpreter import isolation_level

    level = isolation_level()
    if level != "none":
        return DoctorFinding("code sandbox", True, level, needed=False)
    fix = (
        "Use Linux 5.13 or newer, or Docker or Podman (docker pull jupyter/scipy-notebook); "
        "or set allow_unsandboxed = true where that is acceptable."
    )
    detail = "none here: model-written code is refused"
    return DoctorFinding("code sandbox", False, detail, fix, needed=False)


@check
def chinese_font() -> DoctorFinding:
    """A font with Chinese characters, for plots and reports."""
    from qwenbelt.tools.plot.fonts import cjk_font

    font = cjk_font()
    if font is not None:
        detail = f"{font.family} ({font.origin})"
        return DoctorFinding("Chinese font", True, detail, needed=False)
    fix = "pip install pylopdf-fonts-zh-cn, or set QWENBELT_CJK_FONT to a font file."
    return DoctorFinding(
        "Chinese font", False, "none found; Chinese is left out of charts", fix, False
    )


@check
def extras() -> list[DoctorFinding]:
    """The optional parts."""
    return [_extra(name, purpose) for name, purpose in EXTRAS.items()]


def _extra(name: str, purpose: str) -> DoctorFinding:
    missing = missing_modules(name)
    if not missing:
        return DoctorFinding(f"extra {name}", True, purpose, needed=False)
    part = "" if len(missing) == len(MODULES[name]) else f" ({', '.join(missing)})"
    detail = f"not installed{part}: {purpose}"
    return DoctorFinding(f"extra {name}", False, detail, fix_of(name), needed=False)


@check
def workspace() -> DoctorFinding:
    """Whether sessions can keep their files."""
    known = _settings()
    folder = (known or Settings()).workspace
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        fix = "Set workspace in qwenbelt.toml (or QWENBELT_WORKSPACE) to a folder you may write."
        return DoctorFinding("workspace", False, f"{folder}: {error.strerror or error}", fix)
    return DoctorFinding("workspace", True, str(folder))


@check
def sqlite() -> DoctorFinding:
    """Full-text search in SQLite, on which the document index is built."""
    connection = sqlite3.connect(":memory:")
    try:
        connection.execute("CREATE VIRTUAL TABLE t USING fts5(x)")
    except sqlite3.OperationalError:
        fix = "Use a Python whose sqlite3 has FTS5 (python.org, conda, Debian and uv builds do)."
        return DoctorFinding(
            "sqlite FTS5", False, f"SQLite {sqlite3.sqlite_version} without it", fix
        )
    finally:
        connection.close()
    return DoctorFinding("sqlite FTS5", True, f"SQLite {sqlite3.sqlite_version}")
