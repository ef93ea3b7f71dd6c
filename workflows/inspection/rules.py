"""What an inspection looks for: classes, their grades and colours; built in, or from a file.

title: {en: Safety inspection, zh: 安全巡检}
max_objects: 10
classes:
  fire: {color: red, grades: [slight, medium, severe, unsure], zh: 火焰}
  smoke: {color: blue, zh: 烟雾}
  person: {color: green, grades: [wearing, not wearing, unsure], zh: 人员, about: helmet,
           alarms: [not wearing, unsure], warnings: [unsure]}
question: Look for open fire, smoke and persons.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from qwenbelt.core.errors import ConfigError, one_line
from qwenbelt.core.language import Language

Severity = Literal["alarm", "warning", "fine"]
SEVERITIES: tuple[Severity, ...] = ("alarm", "warning", "fine")
UNSURE = "unsure"  # the grade of what a second look should settle
# what people are shown, and never the model: it changes nothing of what was asked
_SHOWN_ONLY = {"classes": {"__all__": {"warnings", "words", "words_zh"}}}


class ClassRule(BaseModel):
    """One class of objects; of its grades, the later ones are worse."""

    model_config = ConfigDict(extra="forbid")

    color: str = "red"
    grades: list[str] = Field(default_factory=list)
    alarms: list[str] | None = Field(
        None, description="grades that make a finding; all of them when left out"
    )
    warnings: list[str] | None = Field(
        None, description="grades that only warn; `unsure` when left out"
    )
    zh: str = ""
    about: str = ""
    grades_zh: dict[str, str] = Field(default_factory=dict)
    words: dict[str, str] = Field(default_factory=dict, description="a grade in a few words")
    words_zh: dict[str, str] = Field(default_factory=dict)

    @field_validator("color")
    @classmethod
    def _known_color(cls, value: str) -> str:
        from PIL import ImageColor

        ImageColor.getrgb(value)
        return value

    def is_alarm(self, grade: str) -> bool:
        """Returns whether an object of this grade is a finding."""
        return self.alarms is None or grade in self.alarms

    def severity(self, grade: str) -> Severity:
        """Returns how bad an object of this grade is."""
        if grade in ((UNSURE,) if self.warnings is None else self.warnings):
            return "warning"
        return "alarm" if self.is_alarm(grade) else "fine"


class Rules(BaseModel):
    """The rules of an inspection."""

    model_config = ConfigDict(extra="forbid", ignored_types=(cached_property,))

    title: dict[str, str] = Field(
        default_factory=lambda: {"en": "Safety inspection", "zh": "安全巡检"}
    )
    classes: dict[str, ClassRule]
    question: str = ""
    max_objects: int = Field(10, ge=1, le=100)

    @cached_property
    def fingerprint(self) -> str:
        """A short hash of everything that changes what the model is asked."""
        asked = self.model_dump(exclude=_SHOWN_ONLY)
        text = json.dumps(asked, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def name(self, label: str, language: Language) -> str:
        """Returns a class's name for people."""
        rule = self.classes.get(label)
        return rule.zh if rule and rule.zh and language == "zh" else label

    def grade(self, label: str, grade: str, language: Language) -> str:
        """Returns a grade's name for people."""
        rule = self.classes.get(label)
        return rule.grades_zh.get(grade, grade) if rule and language == "zh" else grade

    def severity(self, found: Found) -> Severity:
        """Returns how bad an object is."""
        return self.classes[found.label].severity(found.sub_label)

    def worst_first(self, found: Found) -> tuple[int, int, int, float]:
        """Returns a sort key: by severity, class in the order of the rules, grade, and size."""
        x1, y1, x2, y2 = found.bbox
        grades = self.classes[found.label].grades
        grade = grades.index(found.sub_label) if found.sub_label in grades else 0
        place = SEVERITIES.index(self.severity(found)), list(self.classes).index(found.label)
        return *place, -grade, -abs((x2 - x1) * (y2 - y1))

    def words(self, found: Found, language: Language) -> str:
        """Returns what was found in a few words, such as "Person without a safety helmet"."""
        rule = self.classes[found.label]
        said = rule.words_zh if language == "zh" else rule.words
        if found.sub_label in said:
            return said[found.sub_label]
        name = self.name(found.label, language)
        grade = self.grade(found.label, found.sub_label, language)
        if language == "zh":
            return f"{name}（{grade}）" if grade else name
        return (name[:1].upper() + name[1:]) + (f" ({grade})" if grade else "")


_UNSURE = {UNSURE: "不确定"}
SAFETY = Rules(
    classes={
        "fire": ClassRule(
            color="red",
            grades=["slight", "medium", "severe", "unsure"],
            zh="火焰",
            grades_zh={"slight": "轻微", "medium": "中等", "severe": "严重", **_UNSURE},
            words={
                "slight": "A slight fire",
                "medium": "A fire of medium size",
                "severe": "A severe fire",
                "unsure": "Perhaps a fire",
            },
            words_zh={
                "slight": "轻微火焰",
                "medium": "中等火焰",
                "severe": "严重火焰",
                "unsure": "疑似火焰",
            },
        ),
        "smoke": ClassRule(color="blue", zh="烟雾"),
        "person": ClassRule(
            color="green",
            grades=["wearing", "not wearing", "unsure"],
            alarms=["not wearing", "unsure"],
            zh="人员",
            about="whether the person wears a safety helmet correctly on the head",
            grades_zh={"wearing": "已佩戴安全帽", "not wearing": "未佩戴安全帽", **_UNSURE},
            words={
                "wearing": "A person with a helmet",
                "not wearing": "A person without a helmet",
                "unsure": "A person, perhaps without a helmet",
            },
            words_zh={
                "wearing": "人员已佩戴安全帽",
                "not wearing": "人员未佩戴安全帽",
                "unsure": "人员是否佩戴安全帽不确定",
            },
        ),
    }
)


def load_rules(path: str | Path | None) -> Rules:
    """Returns the rules of a YAML file, or the built-in safety rules when `path` is None.

    Raises:
        ConfigError: the file cannot be read, or is not of this form; the message names the place.
    """
    if path is None:
        return SAFETY
    import yaml

    try:
        table = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
        return Rules.model_validate(table)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(str(step) for step in first["loc"])
        raise ConfigError(f"{path}: {place}: {first['msg']}.") from error
    except (OSError, yaml.YAMLError, ValueError, RecursionError) as error:  # ValueError: a date
        raise ConfigError(f"{path}: cannot be read as YAML ({one_line(error)}).") from error


@dataclass(frozen=True)
class Found:
    """An object in a picture; the box is in pixels of the upright original."""

    bbox: tuple[float, float, float, float]
    label: str
    sub_label: str = ""
    reason: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Returns the JSON form."""
        out: dict[str, Any] = {
            "bbox": [round(value, 2) for value in self.bbox],
            "label": self.label,
            "sub_label": self.sub_label,
        }
        return {**out, "reason": self.reason} if self.reason else out


@dataclass(frozen=True)
class Inspected:
    """What became of one picture.

    Attributes:
        image: the name or address as it was given.
        ok: whether the model's answer could be used.
        error: why not, one line.
        notes: what was repaired or left out of the answer.
        time: seconds into a video, for a frame of one.
    """

    image: str
    ok: bool
    error: str = ""
    objects: tuple[Found, ...] = ()
    notes: tuple[str, ...] = ()
    size: tuple[int, int] = (0, 0)
    time: float | None = None
    files: Mapping[str, str] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Returns the JSON form."""
        out: dict[str, Any] = {
            "image": self.image,
            "ok": self.ok,
            "error": self.error or None,
            "objects": [found.to_dict() for found in self.objects],
            "notes": list(self.notes),
            "size": list(self.size),
            **self.files,
        }
        return {**out, "time": round(self.time, 3)} if self.time is not None else out


def inspected_of(table: Mapping[str, Any]) -> Inspected:
    """Returns an inspected picture from its JSON form."""
    objects = tuple(
        Found(tuple(o["bbox"]), o["label"], o.get("sub_label") or "", o.get("reason") or "")
        for o in table["objects"]
    )
    names = ("annotated", "shown", "copy", "thumbnail")
    files = {name: table[name] for name in names if name in table}
    return Inspected(
        table["image"],
        table["ok"],
        table.get("error") or "",
        objects,
        tuple(table.get("notes") or ()),
        tuple(table.get("size") or (0, 0)),
        table.get("time"),
        files,
    )
