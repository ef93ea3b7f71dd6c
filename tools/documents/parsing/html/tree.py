"""The tree of a web page: Beautiful Soup's, built from lxml's events without its general machinery.

Beautiful Soup's own way asks a dozen questions about each element (namespaces, strainers, line
numbers, lists in attributes) that have one answer for every page read here; they took half of the
time of reading a page. The result is the same tree of the same classes, but for comments and
invisible characters, which are left out at once.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bs4 import BeautifulSoup, Tag

_TAG_CHARACTERS = re.compile("[\U000e0001-\U000e007f]")  # invisible copies of ASCII
_UNSEEN = re.compile("[\u00ad\u200b\u2060\ufeff\U000e0001-\U000e007f]")
_SPACES = " \n\t\f\r"


@dataclass(slots=True)
class PageTree:
    """The parsed page.

    Attributes:
        soup: the tree.
        tags: all its elements in the page's order.
        ends: for each element, the number of the first one after it that is not inside of it.
        has_tag_characters: whether text written in invisible tag characters was left out.
    """

    soup: BeautifulSoup
    tags: list[Tag] = field(default_factory=list)
    ends: list[int] = field(default_factory=list)
    has_tag_characters: bool = False


def parsed(text: str) -> PageTree:
    """Returns the tree of a page's text."""
    from bs4 import BeautifulSoup
    from lxml import etree

    root = BeautifulSoup("", "lxml", multi_valued_attributes=None)
    builder = _Builder(root)
    parser = etree.HTMLParser(target=builder, recover=True)
    parser.feed(text.removeprefix("\ufeff"))
    try:
        parser.close()
    except etree.ParserError:  # no element at all
        builder.close()
    return builder.tree


class _Builder:
    """Takes lxml's events.

    Fields are written at once, by a copy of those that Beautiful Soup gives the first element of a
    name, so that whatever its version asks of an element later is there.
    """

    def __init__(self, root: BeautifulSoup) -> None:
        from bs4 import Tag
        from bs4.element import NavigableString, PageElement

        self.tree = PageTree(root)
        self._tags, self._ends = self.tree.tags, self.tree.ends
        self._tag_class: type[Any] = Tag
        self._new_tag = Tag.__new__
        self._new_attributes: type[dict[str, str]] = root.builder.attribute_dict_class
        self._plain = NavigableString
        self._containers: Mapping[str, type[NavigableString]] = root.builder.string_containers
        self._kept = root.builder.preserve_whitespace_tags
        self._string_fields: dict[str, Any] = dict(NavigableString("").__dict__)
        self._marked = {*self._kept, *self._containers}
        self._tag_fields: dict[str, dict[str, Any]] = {}
        self._open: list[Any] = [root]
        self._numbers: list[int] = [-1]
        self._special: list[str] = []  # the open elements whose text is of a class of its own
        self._last: PageElement = root
        self._data: list[str] = []
        self._preserving = 0

    def start(self, name: str, attributes: Mapping[str, str]) -> None:
        """Adds an element."""
        if self._data:
            self._add_text()
        fields = self._tag_fields.get(name) or self._fields_of(name)
        tag: Any = self._new_tag(self._tag_class)
        own = fields.copy()
        own["attrs"] = self._new_attributes(attributes)
        own["contents"] = []
        self._link(tag, own)
        self._open.append(tag)
        self._numbers.append(len(self._tags))
        self._tags.append(tag)
        self._ends.append(0)
        if name in self._marked:
            self._preserving += name in self._kept
            if name in self._containers:
                self._special.append(name)

    def end(self, name: str) -> None:
        """Closes an element."""
        if self._data:
            self._add_text()
        if self._open[-1].name != name and not any(tag.name == name for tag in self._open):
            return
        closed = ""
        while closed != name:
            closed = self._open.pop().name
            self._ends[self._numbers.pop()] = len(self._tags)
            if closed in self._marked:
                self._preserving -= closed in self._kept
                if closed in self._containers:
                    self._special.pop()

    def data(self, text: str) -> None:
        """Takes a piece of text."""
        self._data.append(text)

    def comment(self, text: str) -> None:
        """Leaves a comment out; text before and after it stays apart."""
        if self._data:
            self._add_text()

    def pi(self, target: str, data: str | None = None) -> None:
        """Leaves a processing instruction out."""
        if self._data:
            self._add_text()

    def doctype(self, name: str, public: str, system: str) -> None:
        """Leaves the document's type out."""
        if self._data:
            self._add_text()

    def close(self) -> None:
        """Ends the page."""
        if self._data:
            self._add_text()
        for number in self._numbers[1:]:
            self._ends[number] = len(self._tags)

    def _fields_of(self, name: str) -> dict[str, Any]:
        root = self.tree.soup
        fields = dict(root.new_tag(name).__dict__)
        fields["parser_class"] = type(root)
        self._tag_fields[name] = fields
        return fields

    def _link(self, node: Any, own: dict[str, Any]) -> None:
        parent, last = self._open[-1], self._last
        own["parent"] = parent
        own["previous_element"] = last
        siblings = parent.contents
        if siblings:
            own["previous_sibling"] = siblings[-1]
            siblings[-1].next_sibling = node
        node.__dict__ = own
        siblings.append(node)
        last.next_element = node
        self._last = node

    def _add_text(self) -> None:
        data = self._data
        text = data[0] if len(data) == 1 else "".join(data)
        data.clear()
        if not self._preserving and not text.strip(_SPACES):
            text = "\n" if "\n" in text else " "
        elif not text.isascii() and _UNSEEN.search(text):
            if _TAG_CHARACTERS.search(text):
                self.tree.has_tag_characters = True
            text = _UNSEEN.sub("", text)
        kind = self._containers[self._special[-1]] if self._special else self._plain
        node = str.__new__(kind, text)
        self._link(node, self._string_fields.copy())
