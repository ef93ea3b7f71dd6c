"""What pictures are labelled with, from a YAML file.

question: What is the state of the extinguisher?
labels:
  ok: gauge in the green
  empty: gauge in the red
  missing:
multiple: false          # whether a picture may have several labels
votes: 3                 # how often each picture is asked about
ocr: true                # give the model the text that OCR finds (`ocr` extra)
agree: 0.66              # a smaller share of votes for the winner is doubtful
examples:
  - {image: examples/a.jpg, label: ok, reason: the needle is in the green part}
"""

from __future__ import annotations

import hashlib
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from qwenbelt.core.errors import ConfigError, one_line


class LabelledExample(BaseModel):
    """A picture whose label is known, shown to the model before it is asked."""

    model_config = ConfigDict(extra="forbid")

    image: str
    label: str | list[str]
    reason: str = ""

    @property
    def names(self) -> list[str]:
        """The labels as a list."""
        return [self.label] if isinstance(self.label, str) else self.label


class Labels(BaseModel):
    """The labels, and how pictures are asked about."""

    model_config = ConfigDict(extra="forbid")

    question: str = ""
    labels: dict[str, str | None] = Field(min_length=2)
    multiple: bool = False
    votes: int = Field(1, ge=1, le=25)
    ocr: bool = False
    agree: float = Field(0.66, ge=0, le=1)
    examples: list[LabelledExample] = Field(default_factory=list, max_length=20)

    @model_validator(mode="before")
    @classmethod
    def _list_or_table(cls, values: object) -> object:
        if isinstance(values, dict) and isinstance(values.get("labels"), list):
            return {**values, "labels": {str(name): None for name in values["labels"]}}
        return values

    @model_validator(mode="after")
    def _known(self) -> Labels:
        for example in self.examples:
            unknown = [name for name in example.names if name not in self.labels]
            if unknown:
                raise ValueError(f"the example {example.image} has the unknown label {unknown[0]}")
        return self

    @property
    def fingerprint(self) -> str:
        """A short hash of everything that changes what the model is asked."""
        return hashlib.sha256(self.model_dump_json().encode()).hexdigest()[:16]


def load_labels(path: str | Path) -> Labels:
    """Returns the labels of a YAML file; its examples are looked for beside it.

    Raises:
        ConfigError: the file cannot be read, or is not of this form; the message names the place.
    """
    import yaml

    file = Path(path).expanduser()
    try:
        # all values as text: YAML takes the labels `off` and `no` for a truth value
        table = yaml.load(file.read_text(encoding="utf-8"), Loader=yaml.BaseLoader)  # noqa: S506
        found = Labels.model_validate(table)
    except (OSError, UnicodeDecodeError, yaml.YAMLError, RecursionError) as error:
        raise ConfigError(f"{path}: cannot be read as YAML ({one_line(error)}).") from error
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(str(step) for step in first["loc"])
        raise ConfigError(f"{path}: {place}: {first['msg']}.".replace(": : ", ": ")) from error
    for example in found.examples:
        example.image = str((file.parent / example.image).absolute())
    return found
