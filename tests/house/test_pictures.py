"""Pictures of the documentation: which are older than their code is told by content."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def pictures() -> ModuleType:
    spec = importlib.util.spec_from_file_location("pictures_of_docs", ROOT / ".ci" / "pictures.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # its dataclass looks itself up there
    spec.loader.exec_module(module)
    return module


def test_every_picture_is_made_by_a_product_and_every_pattern_finds_files(
    pictures: ModuleType,
) -> None:
    named = {name for product in pictures.PRODUCTS.values() for name in product.pictures}
    there = {path.name for path in (ROOT / "docs" / "pictures").iterdir()} - {"made.json"}
    assert there <= named
    for product in pictures.PRODUCTS.values():
        for pattern in product.shows:
            assert list(ROOT.glob(pattern)), pattern
    made = json.loads((ROOT / "docs" / "pictures" / "made.json").read_text(encoding="utf-8"))
    assert set(made) <= set(pictures.PRODUCTS)


def test_a_picture_is_older_when_what_it_shows_has_changed(
    pictures: ModuleType, tmp_path: Path
) -> None:
    (tmp_path / "docs" / "pictures").mkdir(parents=True)
    picture, style = tmp_path / "docs" / "pictures" / "a.png", tmp_path / "page.css"
    picture.write_bytes(b"x")
    style.write_text("a", encoding="utf-8")
    products = {"a": pictures.Product(("a.png",), ("*.css",), lambda folder: None)}
    made = {"a": pictures.fingerprint(("*.css",), tmp_path)}
    assert pictures.older(products, made, tmp_path) == []
    style.touch()  # times tell nothing
    assert pictures.older(products, made, tmp_path) == []
    style.write_text("b", encoding="utf-8")
    assert pictures.older(products, made, tmp_path) == ["a"]
    style.write_text("a", encoding="utf-8")
    (tmp_path / "more.css").write_text("", encoding="utf-8")
    assert pictures.older(products, made, tmp_path) == ["a"]
    (tmp_path / "more.css").unlink()
    picture.unlink()
    assert pictures.older(products, made, tmp_path) == ["a"]


def test_comments_and_layout_make_no_picture_older(pictures: ModuleType, tmp_path: Path) -> None:
    code, style = tmp_path / "page.py", tmp_path / "page.css"
    code.write_text('"""A."""\n\n\ndef f():\n    """B."""\n    return "# x"\n', encoding="utf-8")
    style.write_text("a { color: red }", encoding="utf-8")
    before = pictures.fingerprint(("page.*",), tmp_path)
    code.write_text(
        '"""C.\n\nD.\n"""\n\n# why\ndef f():\n    """E\n    F."""\n\n    return "# x"\n', "utf-8"
    )
    style.write_text("/* why */\na { color: red\n}\n", encoding="utf-8")
    assert pictures.fingerprint(("page.*",), tmp_path) == before
    code.write_text('"""A."""\n\n\ndef f():\n    return "# y"\n', encoding="utf-8")
    assert pictures.fingerprint(("page.*",), tmp_path) != before
