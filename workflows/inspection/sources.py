"""What is inspected: files, folders, addresses, and the frames of videos."""

from __future__ import annotations

import hashlib
import io
import itertools
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from qwenbelt.core.errors import ConfigError, InputError, one_line
from qwenbelt.core.limits import input_file
from qwenbelt.tools.images.picture import open_picture
from qwenbelt.tools.web.download import download_url

if TYPE_CHECKING:
    from PIL.Image import Image

PICTURES = {".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff", ".gif", ".heic", ".heif"}
VIDEOS = {".mp4", ".mov", ".mkv", ".avi", ".webm", ".m4v"}
MAX_FRAMES = 10_000
MAX_DOWNLOAD = 40 * 1024 * 1024


@dataclass(frozen=True)
class PictureSource:
    """One picture to inspect.

    Attributes:
        name: as it was given; frames of a video also carry their time.
        path: the local file, or None for an address.
        time: seconds into a video.
    """

    name: str
    path: Path | None = None
    time: float | None = None

    @property
    def is_url(self) -> bool:
        """Whether the picture is fetched from an address."""
        return self.path is None


def find_sources(given: Sequence[str], frames_per_second: float = 1.0) -> Iterator[PictureSource]:
    """Yields the pictures of files, folders (searched deeply, sorted), addresses and videos.

    Raises:
        InputError: a file or folder is missing, or a folder holds no pictures.
    """
    for name in given:
        if name.startswith(("http://", "https://")):
            yield PictureSource(name)
            continue
        path = Path(name).expanduser()
        if path.is_dir():
            found = sorted(p for p in path.rglob("*") if p.suffix.lower() in PICTURES | VIDEOS)
            if not found:
                raise InputError(f"{path}: the folder holds no pictures.")
            for file in found:
                yield from _file(str(file), file, frames_per_second)
        elif path.exists():
            yield from _file(name, path, frames_per_second)
        else:
            raise InputError(f"{path}: no such file or folder.")


def _file(name: str, path: Path, frames_per_second: float) -> Iterator[PictureSource]:
    if path.suffix.lower() not in VIDEOS:
        yield PictureSource(name, path)
        return
    for time, frame in video_frames(path, frames_per_second):
        yield PictureSource(f"{name}@{time:.2f}s", frame, time)


def video_frames(path: Path, frames_per_second: float) -> list[tuple[float, Path]]:
    """Returns the frames of a video as (seconds, picture file), in a temporary folder.

    Raises:
        ConfigError: ffmpeg is not installed.
        InputError: the file is not a video that can be read, or has too many frames.
    """
    try:
        import imageio_ffmpeg
    except ImportError as error:
        raise ConfigError("Videos need an extra.", fix='pip install "qwenbelt[vision]"') from error
    input_file(path)
    folder = Path(tempfile.mkdtemp(prefix="qwenbelt-frames-"))
    command = [
        imageio_ffmpeg.get_ffmpeg_exe(),
        *("-nostdin", "-loglevel", "error", "-protocol_whitelist", "file"),
        *("-i", str(path.resolve()), "-vf", f"fps={frames_per_second:g}"),
        *("-frames:v", str(MAX_FRAMES), "-q:v", "3", str(folder / "%06d.jpg")),
    ]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=3600, check=False)
    except subprocess.TimeoutExpired as error:
        raise InputError(f"{path}: reading its frames took over an hour.") from error
    frames = sorted(folder.glob("*.jpg"))
    if done.returncode != 0 or not frames:
        raise InputError(f"{path}: not a video that can be read ({one_line(done.stderr, 120)}).")
    return [(number / frames_per_second, frame) for number, frame in enumerate(frames)]


def open_source(source: PictureSource, *, allow_private: bool | None = None) -> tuple[Image, str]:
    """Returns a source's picture, upright and RGB, and a hash of its bytes.

    Raises:
        InputError: it cannot be fetched, or is not a picture.
        ToolRefused: its address is private.
    """
    _register_heif()
    if source.path is not None:
        data = input_file(source.path).read_bytes()
        return open_picture(source.path), hashlib.sha256(data).hexdigest()
    found = download_url(source.name, max_bytes=MAX_DOWNLOAD, allow_private=allow_private)
    with tempfile.NamedTemporaryFile(suffix=".picture") as file:
        file.write(found.data)
        file.flush()
        try:
            picture = open_picture(file.name)
        except InputError as error:
            reason = error.message.split(": ", 1)[-1]
            raise InputError(f"{source.name}: {reason}") from error
    return picture, hashlib.sha256(found.data).hexdigest()


def _register_heif() -> None:
    """Lets Pillow read HEIC pictures when the library for it is installed."""
    try:
        import pillow_heif
    except ImportError:
        return
    pillow_heif.register_heif_opener()


def as_jpeg(picture: Image, quality: int = 92) -> bytes:
    """Returns a picture as JPEG bytes."""
    out = io.BytesIO()
    picture.save(out, "JPEG", quality=quality)
    return out.getvalue()


def unique_stems(names: Sequence[str]) -> list[str]:
    """Returns a short file stem for each name, without doubles."""
    stems, taken = [], set()
    for name in names:
        base = name.replace("\\", "/").rstrip("/").rsplit("/", 1)[-1].split("?")[0]
        plain = "".join(c if c.isalnum() or c in "-_." else "_" for c in base)[:60] or "picture"
        for suffix in itertools.chain([""], (f"-{n}" for n in itertools.count(2))):
            if plain + suffix not in taken:
                break
        taken.add(plain + suffix)
        stems.append(plain + suffix)
    return stems
