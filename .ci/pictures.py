"""The pictures of the documentation: makes them anew, and tells which are older than their code.

    python .ci/pictures.py                 # makes all of them
    python .ci/pictures.py report trace    # makes the pictures of some products
    python .ci/pictures.py --older         # makes those that are older than their code
    python .ci/pictures.py --check         # exits 1 and names those that are older than their code

What a picture shows is drawn by a few files: styles, templates, and the code that writes the page.
A picture is older than its code when one of them says something else than when the picture was
taken: `docs/pictures/made.json` keeps a hash of each set. Comments, docstrings and the way code is
laid out draw nothing, and are left out. Time stamps tell nothing in a clone. Who changes a maker
runs it. Needs the extras `gui` and `browser`, Chromium, and tmux for the terminal.
"""

from __future__ import annotations

import ast
import hashlib
import importlib
import json
import re
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / "docs" / "pictures"
MADE = FOLDER / "made.json"


@dataclass(frozen=True)
class Product:
    """What is shown.

    Attributes:
        pictures: files in `docs/pictures`.
        shows: patterns of the files that draw what they show.
        make: takes the pictures into a folder.
    """

    pictures: tuple[str, ...]
    shows: tuple[str, ...]
    make: Callable[[Path], None]


def _made_by(module: str, name: str) -> Callable[[Path], None]:
    def make(folder: Path) -> None:
        getattr(importlib.import_module(module), name)(folder)

    return make


def _both(*names: str) -> tuple[str, ...]:
    return tuple(f"{name}{suffix}.png" for name in names for suffix in ("", "_zh"))


def _product(name: str, pictures: tuple[str, ...], *shows: str) -> Product:
    return Product(pictures, shows, _made_by("product_pictures", name))


PRODUCTS = {
    "chat": Product(
        _both("chat", "citation", "approval"),
        (
            *("apps/gui/static/chat.css", "apps/gui/drawing/turn_view.py"),
            *("apps/gui/drawing/cards.py", "apps/gui/page.py", "apps/gui/panes/lanes_html.py"),
        ),
        _made_by("gui_pictures", "main"),
    ),
    "first": Product(
        ("first_minutes.png", "first_demo.png"),
        ("apps/gui/static/start.js", "apps/gui/first_steps.py"),
        _made_by("desk_pictures", "first"),
    ),
    "desk": Product(
        ("desk_data.png", "desk_code.png", "desk_document.png"),
        ("apps/gui/static/desk.js", "apps/gui/static/tables.js", "apps/gui/static/notebook.js"),
        _made_by("desk_pictures", "desk"),
    ),
    "report": _product(
        "report",
        _both("report", "report_page"),
        *("workflows/report/template.typ", "workflows/report/page.css"),
        *(f"workflows/report/{name}.py" for name in ("page", "pdf", "crops", "digest", "strings")),
        *("workflows/demo/*.yaml", "tools/plot/draw.py"),
    ),
    "inspection": _product(
        "inspection",
        _both("inspection", "review"),
        *("workflows/inspection/template.typ", "workflows/inspection/page.css"),
        *(f"workflows/inspection/{name}.py" for name in ("page", "views", "marking", "strings")),
        "apps/review/page.*",
    ),
    "labels": _product("labels", _both("review_labels"), "apps/review/page.*"),
    "trace": _product(
        "trace",
        _both("trace"),
        *("apps/trace_page.*", "apps/timeline.py"),
        *("apps/gui/panes/lanes_html.py", "apps/gui/panes/turn_times.py"),
    ),
    "terminal": _product(
        "terminal",
        ("terminal.svg", "terminal_zh.svg"),
        "apps/lanes.py",
        *(f"apps/terminal_chat/{name}.py" for name in ("run_display", "words")),
        *(f"apps/terminal_chat/terminal_{name}.py" for name in ("markdown", "table")),
    ),
}


def fingerprint(shows: Iterable[str], root: Path = ROOT) -> str:
    """Returns a hash of the names and contents of the files that the patterns name."""
    digest = hashlib.sha256()
    for path in sorted({path for pattern in shows for path in root.glob(pattern)}):
        digest.update(path.relative_to(root).as_posix().encode() + b"\0")
        digest.update(hashlib.sha256(_said(path).encode()).digest())
    return digest.hexdigest()[:20]


def _said(path: Path) -> str:
    """Returns a file's text without what draws nothing: docstrings, comments, layout."""
    text = path.read_text(encoding="utf-8")
    if path.suffix != ".py":
        return " ".join(re.sub(r"/\*.*?\*/", " ", text, flags=re.S).split())
    lines = text.splitlines()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            first = node.body[0] if node.body else None
            if isinstance(first, ast.Expr) and ast.get_docstring(node, clean=False) is not None:
                last = first.end_lineno or first.lineno
                lines[first.lineno - 1 : last] = [""] * (last - first.lineno + 1)
    return " ".join(word for line in lines if line.strip()[:1] != "#" for word in line.split())


def read_made(path: Path = MADE) -> dict[str, str]:
    """Returns the hash of what each product looked like when its pictures were taken."""
    if not path.is_file():
        return {}
    return dict(json.loads(path.read_text(encoding="utf-8")))


def older(products: dict[str, Product], made: dict[str, str], root: Path = ROOT) -> list[str]:
    """Returns the products whose pictures are older than their code, or are not there."""
    folder = root / "docs" / "pictures"
    return [
        name
        for name, product in products.items()
        if made.get(name) != fingerprint(product.shows, root)
        or not all((folder / picture).is_file() for picture in product.pictures)
    ]


def main(words: list[str]) -> int:
    """Makes pictures, or checks them."""
    made = read_made()
    if words == ["--check"]:
        found = older(PRODUCTS, made)
        for name in found:
            print(f"older than what they show: {name} ({', '.join(PRODUCTS[name].pictures)})")
        print(f"{len(PRODUCTS) - len(found)} of {len(PRODUCTS)} products have pictures of today")
        return 1 if found else 0
    sys.path.insert(0, str(ROOT / ".ci"))
    if words == ["--older"]:
        words = older(PRODUCTS, made)
        if not words:
            return 0
    for name in words or list(PRODUCTS):
        PRODUCTS[name].make(FOLDER)
        made[name] = fingerprint(PRODUCTS[name].shows)
        MADE.write_text(json.dumps(made, indent=1, sort_keys=True) + "\n", encoding="utf-8")
        print(f"made: {name}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
