"""Typesets a report as PDF, one volume after the other, each in its own process if need be.

The typesetter keeps every picture that it has decoded until its process ends (typst 0.13).
"""

from __future__ import annotations

import json
import subprocess
import sys
from importlib import resources
from pathlib import Path
from typing import Any

from qwenbelt.core.errors import QwenbeltError, one_line
from qwenbelt.core.files import write_bytes
from qwenbelt.tools.plot.fonts import page_fonts

PICTURES_A_VOLUME = 100
_SECONDS = 1800.0


def set_volumes(path: Path, folder: Path, data: dict[str, Any]) -> list[Path]:
    """Writes a report; more than a hundred pages of pictures make further volumes, `NAME-2.pdf`.

    Args:
        path: the first volume.
        folder: where the pictures that the data name are.
        data: what the template shows.

    Raises:
        QwenbeltError: typesetting failed; the message is one line.
    """
    pages, size = data["pages"], PICTURES_A_VOLUME
    parts = [pages[start : start + size] for start in range(0, len(pages), size)] or [[]]
    names = [
        path if n == 1 else path.with_stem(f"{path.stem}-{n}") for n in range(1, len(parts) + 1)
    ]
    at_end = {name: data[name] for name in ("misses", "clean", "problems")}
    for number, (name, part) in enumerate(zip(names, parts, strict=True)):
        end = at_end if number == len(parts) - 1 else {key: [] for key in at_end}
        more = {"pages": part, "cover": number == 0, "volumes": [n.name for n in names[1:]]}
        volume = {**data, **end, **more}
        write_bytes(name, _set(folder, volume) if len(parts) == 1 else _elsewhere(folder, volume))
    return names


def _set(folder: Path, data: dict[str, Any]) -> bytes:
    import typst

    fonts = page_fonts()
    families = {"latin": fonts.latin, "chinese": fonts.chinese, "bold_chinese": fonts.bold_chinese}
    data = {**data, "fonts": families}
    template = resources.files("qwenbelt.workflows.inspection").joinpath("template.typ")
    try:
        compiler = typst.Compiler(
            root=folder.resolve(),
            font_paths=list(fonts.folders),
            ignore_system_fonts=True,
            sys_inputs={"data": json.dumps(data, ensure_ascii=False)},
        )
        made = compiler.compile(template.read_bytes(), format="pdf")
    except typst.TypstError as error:
        raise QwenbeltError(f"The PDF could not be set: {one_line(error, 300)}") from error
    return made if isinstance(made, bytes) else b"".join(made or [])


def _elsewhere(folder: Path, data: dict[str, Any]) -> bytes:
    done = subprocess.run(
        [sys.executable, "-m", __name__, str(folder)],
        input=json.dumps(data).encode(),
        capture_output=True,
        check=False,
        timeout=_SECONDS,
    )
    if done.returncode:
        reason = one_line(done.stderr.decode("utf-8", "replace")[-300:], 300)
        raise QwenbeltError(f"The PDF could not be set: {reason}")
    return done.stdout


if __name__ == "__main__":
    sys.stdout.buffer.write(_set(Path(sys.argv[1]), json.loads(sys.stdin.buffer.read())))
