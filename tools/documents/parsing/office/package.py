"""Packages of Office Open XML: parts and their relations, whichever of its two dialects they speak.

A part that is missing or damaged costs only itself: callers get None and report it. Strict files
(ISO 29500) differ in the names of their namespaces alone; parts are read as the other one.
"""

from __future__ import annotations

import io
import posixpath
import re
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

MAX_PART = 256 * 1024 * 1024
_STRICT = re.compile(rb"http://purl\.oclc\.org/ooxml/(\w+)/([\w/-]+)")
_RELATION = "{http://schemas.openxmlformats.org/package/2006/relationships}Relationship"
_OTHER_NAMES = {b"extendedProperties": b"extended-properties"} | {
    b"customProperties": b"custom-properties"
}
R = "{http://schemas.openxmlformats.org/officeDocument/2006/relationships}"


class Relation(NamedTuple):
    """A relation of a part: its kind ("footnotes", "chart") and the part that it leads to."""

    kind: str
    target: str
    external: bool


class OfficePackage:
    """An open package; a context manager."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self._archive = zipfile.ZipFile(file)
        self._names = {name.lower().lstrip("/"): name for name in self._archive.namelist()}
        self._relations: dict[str, dict[str, Relation]] = {}

    def __enter__(self) -> OfficePackage:
        return self

    def __exit__(self, *error: object) -> None:
        self._archive.close()

    def data(self, part: str) -> bytes | None:
        """Returns the bytes of a part, or None where it is missing or damaged."""
        name = self._names.get(part.lower())
        if name is None or self._archive.getinfo(name).file_size > MAX_PART:
            return None
        try:
            return self._archive.read(name)
        except (
            zipfile.BadZipFile,
            zlib.error,
            OSError,
            EOFError,
            NotImplementedError,
            RuntimeError,
        ):
            return None

    def xml(self, part: str) -> Any:
        """Returns the root element of a part, or None where it is missing or damaged."""
        from lxml import etree

        data = self.data(part)
        if data is None:
            return None
        parser = etree.XMLParser(
            resolve_entities=False, no_network=True, huge_tree=False, recover=True
        )
        return etree.fromstring(transitional(data), parser)

    def main(self) -> str:
        """Returns the name of the main part.

        Raises:
            ValueError: the package has none.
        """
        for relation in self.relations("").values():
            if relation.kind == "officeDocument" and relation.target.lower() in self._names:
                return relation.target
        usual = ("word/document.xml", "ppt/presentation.xml", "xl/workbook.xml")
        for name in usual:
            if name in self._names:
                return name
        raise ValueError("no main part")

    def relations(self, part: str) -> dict[str, Relation]:
        """Returns the relations of a part by their ids; of the package itself for ""."""
        if part not in self._relations:
            self._relations[part] = dict(self._read_relations(part))
        return self._relations[part]

    def related(self, part: str, kind: str) -> list[str]:
        """Returns the parts of the package that a part leads to by relations of a kind."""
        return [
            r.target for r in self.relations(part).values() if r.kind == kind and not r.external
        ]

    def has(self, part: str) -> bool:
        """Returns whether a part is there."""
        return part.lower() in self._names

    def _read_relations(self, part: str) -> Iterator[tuple[str, Relation]]:
        folder, name = posixpath.split(part)
        root = self.xml(posixpath.join(folder, "_rels", f"{name}.rels"))
        for node in root.iter(_RELATION) if root is not None else ():
            target = str(node.get("Target", ""))
            external = node.get("TargetMode") == "External"
            if not external:
                target = posixpath.normpath(posixpath.join("/", folder, target)).lstrip("/")
            kind = str(node.get("Type", "")).rpartition("/")[2]
            yield str(node.get("Id", "")), Relation(kind, target, external)

    def healed(self, *, plain: bool = False) -> Path | io.BytesIO:
        """Returns the file, or a repaired copy where it is strict or refers to missing parts.

        For libraries that take a whole file.

        Args:
            plain: of a workbook's styles keep the number formats alone, in a copy.
        """
        rels = [name for name in self._archive.namelist() if name.endswith(".rels")]
        missing = any(
            not r.external and not self.has(r.target)
            for name in rels
            for r in self.relations(_owner(name)).values()
        )
        if not missing and not self._is_strict() and not plain:
            return self.file
        copy = io.BytesIO()
        with zipfile.ZipFile(copy, "w", zipfile.ZIP_STORED) as out:
            for name in self._archive.namelist():
                data = self.data(name.lstrip("/"))
                if data is None:
                    continue
                if name.endswith(".rels"):
                    data = self._without_missing(name, transitional(data))
                elif name.endswith(".xml"):
                    data = transitional(data)
                if plain and name.lower().endswith("xl/styles.xml"):
                    data = _number_formats(data)
                out.writestr(name, data)
        copy.seek(0)
        return copy

    def _is_strict(self) -> bool:
        return b"purl.oclc.org/ooxml" in (self.data(self.main()) or b"")[:20_000]

    def _without_missing(self, name: str, data: bytes) -> bytes:
        from lxml import etree

        root = etree.fromstring(data, etree.XMLParser(resolve_entities=False, no_network=True))
        known = self.relations(_owner(name))
        for node in list(root):
            relation = known.get(str(node.get("Id", "")))
            if relation is not None and not relation.external and not self.has(relation.target):
                root.remove(node)
        return bytes(etree.tostring(root))


def _owner(relations: str) -> str:
    """Returns the part that a part of relations is about."""
    folder, name = posixpath.split(relations.lstrip("/"))
    return posixpath.join(posixpath.dirname(folder), name.removesuffix(".rels"))


def _number_formats(styles: bytes) -> bytes:
    """Returns styles of a workbook with nothing but what says how numbers are shown."""
    from lxml import etree

    parser = etree.XMLParser(resolve_entities=False, no_network=True, recover=True)
    root = etree.fromstring(styles, parser)
    space = root.tag.rpartition("}")[0] + "}" if root is not None else ""
    made = etree.Element(f"{space}styleSheet")
    formats = root.find("{*}numFmts") if root is not None else None
    if formats is not None:
        made.append(formats)
    for many, one in (("fonts", "font"), ("fills", "fill"), ("borders", "border")):
        etree.SubElement(etree.SubElement(made, f"{space}{many}"), f"{space}{one}")
    etree.SubElement(made.find("{*}fills/{*}fill"), f"{space}patternFill")
    etree.SubElement(etree.SubElement(made, f"{space}cellStyleXfs"), f"{space}xf")
    cells = etree.SubElement(made, f"{space}cellXfs")
    for node in root.iterfind("{*}cellXfs/{*}xf") if root is not None else ():
        etree.SubElement(cells, f"{space}xf", numFmtId=str(node.get("numFmtId") or 0))
    names = etree.SubElement(made, f"{space}cellStyles")  # readers want the usual one
    etree.SubElement(names, f"{space}cellStyle", name="Normal", xfId="0", builtinId="0")
    return bytes(etree.tostring(made))


def transitional(data: bytes) -> bytes:
    """Returns a part with the namespaces of the usual dialect."""
    if b"purl.oclc.org/ooxml" not in data:
        return data

    def usual(match: re.Match[bytes]) -> bytes:
        rest = _OTHER_NAMES.get(match[2], match[2])
        return b"http://schemas.openxmlformats.org/" + match[1] + b"/2006/" + rest

    return _STRICT.sub(usual, data)


def comment_label(author: str, written: str | None, place: str = "") -> str:
    """Returns what stands before a comment: who wrote it, when and on what, as far as is known."""
    by = f" by {author}" if author else ""
    day = f", {written[:10]}" if written and written[:4].isdigit() else ""
    return f"[comment{by}{day}{f' on {place}' if place else ''}]"
