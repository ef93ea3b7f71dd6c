"""The pictures of the documentation: makes them anew, and tells which are older than their code.

    python .ci/pictures.py                 # makes all of them
    python .ci/pictures.py report trace    # makes the pictures of some products
    python .ci/pictures.py --older         # makes those that are older than their code
    python .ci/pictures.py --check         # exits 1 and names those that are older than their code

What a picture shows is a set of files. A picture is older than its code when the content of one of
them is no longer what it was when the picture was taken: `docs/pictures/made.json` keeps a hash of
each set. Time stamps tell nothing in a clone. Needs the extras `gui` and `browser`, Chromium, and
tmux for the terminal.
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / "docs" / "pictures"
MADE = FOLDER / "made.json"
_REPORT = ("workflows/report/*.typ", "workflows/report/*.css", "workflows/report/p*.py")
_CHAT = (
    *("apps/gui/static/chat.css", "apps/gui/drawing/turn_view.py"),
    *("apps/gui/drawing/cards.py", "apps/gui/page.py"),
)

DESK = ("desk_data.png", "desk_code.png", "desk_document.png")


@dataclass(frozen=True)
class Product:
    """What is shown.

    Attributes:
        pictures: files in `docs/pictures`.
        shows: patterns of the files whose look they show; the maker itself is one of them.
        make: takes the pictures into a folder; None where it takes a person.
    """

    pictures: tuple[str, ...]
    shows: tuple[str, ...]
    make: Callable[[Path], None] | None


def _chat(folder: Path) -> None:
    import gui_pictures

    gui_pictures.main(folder)


def _product(name: str) -> Callable[[Path], None]:
    def make(folder: Path) -> None:
        import product_pictures

        getattr(product_pictures, name)(folder)

    return make


def _both(*names: str) -> tuple[str, ...]:
    return tuple(f"{name}{suffix}.png" for name in names for suffix in ("", "_zh"))


PRODUCTS = {
    "chat": Product(
        _both("chat", "citation", "approval"),
        (*_CHAT, "apps/gui/panes/lanes_html.py", ".ci/gui_pictures.py"),
        _chat,
    ),
    "first": Product(
        ("first_minutes.png", "first_demo.png", *DESK), ("apps/gui/first_steps.py",), None
    ),
    "report": Product(
        (*_both("report", "report_page"),),
        (*_REPORT, "workflows/demo/*.yaml", ".ci/product_pictures.py"),
        _product("report"),
    ),
    "inspection": Product(
        _both("inspection", "review"),
        (
            *("workflows/inspection/*.typ", "workflows/inspection/*.css", "apps/review/page.*"),
            *("workflows/inspection/page.py", "workflows/inspection/views.py"),
            ".ci/product_pictures.py",
        ),
        _product("inspection"),
    ),
    "labels": Product(
        _both("review_labels"),
        ("apps/review/page.*", ".ci/product_pictures.py"),
        _product("labels"),
    ),
    "trace": Product(
        _both("trace"),
        ("apps/trace_page.*", "apps/gui/panes/*_*.py", ".ci/product_pictures.py"),
        _product("trace"),
    ),
    "terminal": Product(
        ("terminal.svg", "terminal_zh.svg"),
        ("apps/lanes.py", "apps/terminal_chat/*.py", ".ci/product_pictures.py"),
        _product("terminal"),
    ),
}


def fingerprint(shows: Iterable[str], root: Path = ROOT) -> str:
    """Returns a hash of the names and contents of the files that the patterns name."""
    digest = hashlib.sha256()
    for path in sorted({path for pattern in shows for path in root.glob(pattern)}):
        digest.update(path.relative_to(root).as_posix().encode() + b"\0")
        digest.update(hashlib.sha256(path.read_bytes().replace(b"\r\n", b"\n")).digest())
    return digest.hexdigest()[:20]


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
        product = PRODUCTS[name]
        if product.make is not None:
            product.make(FOLDER)
            made[name] = fingerprint(product.shows)
            MADE.write_text(json.dumps(made, indent=1, sort_keys=True) + "\n", encoding="utf-8")
            print(f"made: {name}")
        else:
            print(f"by hand: {name}; then python .ci/pictures.py --seen {name}")
    return 0


def seen(names: list[str]) -> int:
    """Notes that a person has looked at pictures that no script makes, and finds them right."""
    made = read_made() | {name: fingerprint(PRODUCTS[name].shows) for name in names}
    MADE.write_text(json.dumps(made, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    asked = sys.argv[1:]
    sys.exit(seen(asked[1:]) if asked[:1] == ["--seen"] else main(asked))
