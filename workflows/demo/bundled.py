"""What the demo brings along; found without loading the job that uses it."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

from qwenbelt.core.language import Language

PDF = "eia-923-instructions.pdf"
_PACKAGE = "qwenbelt.workflows.demo"


def scripted_replies(language: Language) -> str:
    """Returns the scenario with the replies written in advance, as YAML."""
    return resources.files(_PACKAGE).joinpath(f"replies.{language}.yaml").read_text("utf-8")


def demo_pdf() -> Path:
    """Returns the path of the bundled PDF, instructions for a form on power plants (48 pages)."""
    return Path(str(resources.files(_PACKAGE).joinpath(PDF)))
