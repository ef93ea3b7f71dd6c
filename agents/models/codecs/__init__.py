"""How tools are offered and calls are written: one codec a form, all over the same loop."""

from __future__ import annotations

from qwenbelt.agents.models.codecs.base import NOTHING_YET, Codec, Reader, SoFar
from qwenbelt.agents.models.codecs.constrained import ConstrainedCodec
from qwenbelt.agents.models.codecs.native import NativeCodec
from qwenbelt.agents.models.codecs.nous import NousCodec
from qwenbelt.agents.models.codecs.react import ReActCodec
from qwenbelt.core.errors import ConfigError

__all__ = [
    "NOTHING_YET",
    "Codec",
    "ConstrainedCodec",
    "NativeCodec",
    "NousCodec",
    "ReActCodec",
    "Reader",
    "SoFar",
    "codec_for",
]

_FORMS: dict[str, type[Codec]] = {
    "native": NativeCodec,
    "nous": NousCodec,
    "react": ReActCodec,
    "constrained": ConstrainedCodec,
}


def codec_for(form: str) -> Codec:
    """Returns the codec of a `tool_format`.

    Raises:
        ConfigError: there is no such form.
    """
    if form not in _FORMS:
        raise ConfigError(f"tool_format must be one of {', '.join(_FORMS)}, not {form!r}.")
    return _FORMS[form]()
