"""Inspection: boxes in every coordinate convention, bad answers, a kill, pace and memory.

    python benchmarks/inspection.py truth [--keep DIR]   # 40 pictures, four conventions, URLs, kill
    python benchmarks/inspection.py pace                 # 16 pictures at 2 s a call, 8 in flight
    python benchmarks/inspection.py memory [--count N]   # 2000 pictures, resident memory

The vision endpoint is scripted: it really looks for the colours in the picture that it is sent,
and answers in the convention that is tested. A pattern at the bottom of a picture tells it which
kind of bad answer to give.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import contextlib
import functools
import io
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy
from PIL import Image, ImageDraw

Box = tuple[int, int, int, int]
COLORS = {"fire": (230, 20, 20), "smoke": (20, 20, 230), "person": (20, 220, 20)}
GRADES = {"fire": "severe", "smoke": "", "person": "not wearing"}
GREY = (125, 125, 125)
BITS = 6
SIZES = [(1920, 1080), (640, 480), (300, 900), (1280, 1280), (97, 61), (1000, 333)]
LAYOUTS: list[dict[str, tuple[float, float, float, float]]] = [
    {"fire": (0.1, 0.2, 0.35, 0.6), "person": (0.6, 0.1, 0.8, 0.8)},
    {"smoke": (0.05, 0.05, 0.45, 0.4)},
    {"fire": (0.5, 0.5, 0.9, 0.8), "smoke": (0.4, 0.1, 0.95, 0.45), "person": (0.1, 0.2, 0.3, 0.8)},
    {"person": (0.3, 0.3, 0.5, 0.75)},
]
BAD = (
    "refusal",
    "cut off",
    "single quotes",
    "doubles",
    "box outside",
    "unknown label",
    "prose around a fence",
    "empty",
    "corners swapped",
    "thirty objects",
    "numbers as text",
    "server error",
)
REPORTED = ("refusal", "empty", "server error")


# -- pictures ------------------------------------------------------------------------------------


def draw(
    size: tuple[int, int], layout: dict[str, Any], code: int
) -> tuple[Image.Image, dict[str, Box]]:
    """Returns a picture with plain rectangles and bits at the bottom, and the truth."""
    picture = Image.new("RGB", size, GREY)
    pen, boxes = ImageDraw.Draw(picture), {}
    for label, (x1, y1, x2, y2) in layout.items():
        box = (round(x1 * size[0]), round(y1 * size[1]), round(x2 * size[0]), round(y2 * size[1]))
        pen.rectangle((box[0], box[1], box[2] - 1, box[3] - 1), fill=COLORS[label])
        boxes[label] = box
    top = round(size[1] * 0.9)
    for bit in range(BITS):
        left, right = (round(size[0] * (bit + n) / BITS) for n in (0, 1))
        color = (255, 255, 255) if code >> bit & 1 else (0, 0, 0)
        pen.rectangle((left, top, right - 1, size[1] - 1), fill=color)
    return picture, boxes


def code_of(pixels: Any) -> int:
    row = pixels[round(pixels.shape[0] * 0.95)].mean(axis=1)
    spots = (row[round(len(row) * (bit + 0.5) / BITS)] > 127 for bit in range(BITS))
    return sum(1 << bit for bit, on in enumerate(spots) if on)


def seen(pixels: Any) -> dict[str, tuple[float, ...]]:
    """Returns each colour's box in pixels of the picture as it was sent, in parts of a pixel."""
    found = {}
    for label, color in COLORS.items():
        channel = color.index(max(color))
        others = [c for c in range(3) if c != channel]
        mask = pixels[:, :, channel] > (color[channel] + GREY[0]) / 2
        for other in others:
            mask &= pixels[:, :, other] < (color[other] + GREY[0]) / 2
        mask[round(mask.shape[0] * 0.88) :] = False
        columns, rows = (numpy.flatnonzero(mask.mean(axis=axis) > 0.02) for axis in (0, 1))
        if len(columns) and len(rows):
            x, y = (columns[0] + columns[-1]) // 2, (rows[0] + rows[-1]) // 2
            cover = (pixels[:, :, channel] - GREY[0]) / (color[channel] - GREY[0])
            left, right = _edges(cover[y - 2 : y + 3].mean(axis=0), columns[0], columns[-1])
            top, bottom = _edges(cover[:, x - 2 : x + 3].mean(axis=1), rows[0], rows[-1])
            found[label] = (left, top, right, bottom)
    return found


def _edges(line: Any, first: int, last: int, around: int = 4) -> tuple[float, float]:
    """Returns where a line goes up and down again: what JPEG blurred keeps its sum."""
    inner = min(around, (last - first) // 2)
    begin = max(0, first - around)
    left = first + inner - line[begin : first + inner].clip(0, 1).sum()
    right = last - inner + line[last - inner : last + around + 1].clip(0, 1).sum()
    return float(left), float(right)


def make_folder(folder: Path) -> dict[str, dict[str, Box]]:
    """Writes 40 pictures: odd formats, one for each bad answer, plain ones, and real ones."""
    truth: dict[str, dict[str, Box]] = {}
    folder.mkdir(parents=True)

    def save(name: str, number: int, code: int = 0, **options: Any) -> Image.Image:
        picture, boxes = draw(SIZES[number % len(SIZES)], LAYOUTS[number % len(LAYOUTS)], code)
        truth[name] = boxes
        make = options.pop("make", None)
        (make or Image.Image.save)(picture, folder / name, **options)
        return picture

    save("turned.jpg", 0, make=_turned)
    save("ink.jpg", 1, make=lambda p, path: p.convert("CMYK").save(path, quality=95))
    save("moving.gif", 2, make=_moving)
    save("web.webp", 3, quality=95)
    save("phone.heic", 7, make=_heic)
    save("alpha.png", 5, make=lambda p, path: p.convert("RGBA").save(path))
    save("scan.tiff", 6)
    for number, kind in enumerate(BAD, 1):
        save(f"bad-{number:02}-{kind.replace(' ', '_')}.png", number + 1, number)
    for number in range(13):
        save(f"site-{number:02}.png", number)
    for number, path in enumerate(real_pictures(40 - len(truth))):
        (folder / f"real-{number:02}{path.suffix}").write_bytes(path.read_bytes())
    return truth


def _turned(picture: Image.Image, path: Path) -> None:
    """Saves it lying on its side, with the EXIF note that says so."""
    exif = Image.Exif()
    exif[0x0112] = 6
    picture.rotate(90, expand=True).save(path, quality=95, exif=exif)


def _moving(picture: Image.Image, path: Path) -> None:
    other = Image.new("RGB", picture.size, GREY)
    picture.save(path, save_all=True, append_images=[other], duration=200)


def _heic(picture: Image.Image, path: Path) -> None:
    import pillow_heif

    pillow_heif.register_heif_opener()
    picture.save(path, quality=95)


def real_pictures(count: int) -> list[Path]:
    """Returns photographs and drawings that installed packages bring along."""
    homes = sorted({Path(place) for place in sys.path if place.endswith("site-packages")})
    found = [p for home in homes for kind in ("jpg", "png") for p in home.rglob(f"*.{kind}")]
    fit = sorted((p for p in found if 4000 < p.stat().st_size < 2_000_000), key=lambda p: p.suffix)
    names: dict[str, Path] = {}
    for path in fit:
        names.setdefault(path.name, path)
    return list(names.values())[:count]


# -- the endpoint --------------------------------------------------------------------------------


class Vision:
    """Answers about pictures in one convention; counts the requests."""

    def __init__(self, convention: str, delay: float = 0.0, look: bool = True) -> None:
        self.requests = 0
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *parts: Any) -> None:
                pass

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                outer.requests += 1
                time.sleep(delay)
                text = answer(body, convention) if look else "[]"
                with contextlib.suppress(OSError):
                    self._send(text)

            def _send(self, text: str | None) -> None:
                choice = {"index": 0, "delta": {"content": text}, "finish_reason": "stop"}
                chunk = {"id": "x", "object": "chat.completion.chunk", "choices": [choice]}
                data = f"data: {json.dumps(chunk)}\n\ndata: [DONE]\n\n".encode()
                self.send_response(400 if text is None else 200)
                self.send_header("Content-Type", "text/event-stream")
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

        class Server(ThreadingHTTPServer):
            daemon_threads = True
            request_queue_size = 128

            def handle_error(self, request: Any, client_address: Any) -> None:
                pass

        self._server = Server(("127.0.0.1", 0), Handler)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        model = "qwen2.5-vl-7b" if convention == "resized" else "qwen3-vl-8b"
        self.spec = f"openai:{model}@http://127.0.0.1:{self._server.server_port}/v1"

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


def answer(body: dict[str, Any], convention: str) -> str | None:
    """Returns what the model says about the picture of a request; None for a refusal by HTTP."""
    parts = body["messages"][-1]["content"]
    url = next(p["image_url"]["url"] for p in parts if p["type"] == "image_url")
    picture = Image.open(io.BytesIO(base64.b64decode(url.split(",", 1)[1])))
    pixels = numpy.asarray(picture.convert("RGB")).astype(int)
    high, wide = pixels.shape[:2]
    frames = {"resized": (wide, high), "thousand": (1000, 1000), "unit": (1, 1)}
    frame = frames[convention]
    entries = []
    for label, box in seen(pixels).items():
        scaled = [v * frame[i % 2] / (wide, high)[i % 2] for i, v in enumerate(box)]
        numbers = [round(v, 5) if convention == "unit" else round(v) for v in scaled]
        entries.append({"bbox_2d": numbers, "label": label, "sub_label": GRADES[label]})
    code = code_of(pixels)
    return spoil(entries, BAD[code - 1] if 0 < code <= len(BAD) else "", frame)


def spoil(entries: list[dict[str, Any]], kind: str, frame: tuple[float, float]) -> str | None:
    """Returns the answer as text, in one of the ways in which models get it wrong."""
    text = json.dumps(entries)
    far = [frame[0] * 2, frame[1] * 2, frame[0] * 3, frame[1] * 3]
    more: dict[str, Callable[[], str | None]] = {
        "refusal": lambda: "I'm sorry, I cannot look at people.",
        "cut off": lambda: text[:-1] + ', {"bbox_2d": [1, 2',
        "single quotes": lambda: str(entries),
        "doubles": lambda: json.dumps(entries + entries),
        "box outside": lambda: json.dumps([*entries, {**entries[0], "bbox_2d": far}]),
        "unknown label": lambda: json.dumps([*entries, {**entries[0], "label": "dragon"}]),
        "prose around a fence": lambda: f"Sure!\n```json\n{text}\n```\nStay safe.",
        "empty": lambda: "",
        "corners swapped": lambda: json.dumps([_swapped(e) for e in entries]),
        "thirty objects": lambda: json.dumps((entries * 30)[:30] + _many(frame)),
        "numbers as text": lambda: json.dumps([_as_text(e) for e in entries]),
        "server error": lambda: None,
    }
    return more[kind]() if kind else text


def _swapped(entry: dict[str, Any]) -> dict[str, Any]:
    x1, y1, x2, y2 = entry["bbox_2d"]
    return {**entry, "bbox_2d": [x2, y2, x1, y1]}


def _as_text(entry: dict[str, Any]) -> dict[str, Any]:
    return {**entry, "bbox_2d": str(entry["bbox_2d"])}


def _many(frame: tuple[float, float]) -> list[dict[str, Any]]:
    step = frame[0] / 30
    return [
        {"bbox_2d": [n * step, 0, (n + 0.9) * step, frame[1] / 40], "label": "smoke"}
        for n in range(30)
    ]


# -- truth ---------------------------------------------------------------------------------------


@contextlib.contextmanager
def site(folder: Path) -> Iterator[str]:
    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *parts: Any) -> None:
            pass

    handler = functools.partial(Quiet, directory=str(folder))
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def inspect_command(images: list[str], out: Path, vision: Vision, *more: str) -> list[str]:
    command = ["qwenbelt", "inspect", *images, "--out", str(out), "-e", vision.spec]
    return [*command, "--lang", "en", "--json", str(out.with_suffix(".out.json")), *more]


def judge(out: Path, truth: dict[str, dict[str, Box]]) -> dict[str, Any]:
    """Compares a run's JSON with the truth."""
    table = json.loads(out.with_suffix(".out.json").read_text(encoding="utf-8"))
    found = {Path(entry["image"]).name: entry for entry in table}
    worst, missing, extra = 0.0, [], []
    reported = [name for name, entry in found.items() if not entry["ok"]]
    for name, boxes in truth.items():
        if any(kind.replace(" ", "_") in name for kind in REPORTED):
            continue
        objects = found[name]["objects"]
        for label, box in boxes.items():
            errors = [
                max(abs(a - b) for a, b in zip(entry["bbox"], box, strict=True))
                for entry in objects
                if entry["label"] == label
            ]
            if errors:
                worst = max(worst, min(errors))
            else:
                missing.append(f"{name}: {label}")
        if len(objects) > len(boxes) and "thirty" not in name:
            extra.append(name)
    kinds = {"pictures": len(table), "reported": len(reported), "worst": round(worst, 2)}
    notes = sum(bool(entry["notes"]) for entry in table)
    return {**kinds, "repaired or noted": notes, "missing": missing, "extra": extra}


def truth(keep: Path | None) -> None:
    with tempfile.TemporaryDirectory(prefix="bench-inspect-") as name:
        work = keep or Path(name)
        folder = work / "in"
        known = make_folder(folder)
        before = {p.name: p.read_bytes() for p in folder.iterdir()}
        for convention in ("resized", "thousand", "unit"):
            vision = Vision(convention)
            out = work / convention / "report.pdf"
            more = ["--coordinates", "unit"] if convention == "unit" else []
            subprocess.run(inspect_command([str(folder)], out, vision, *more), check=True)
            print(convention, judge(out, known), flush=True)
            vision.close()
        vision = Vision("thousand")
        with site(folder) as url:
            images = [f"{url}/{p}" for p in sorted(before)]
            out = work / "urls" / "report.pdf"
            subprocess.run(inspect_command(images, out, vision, "--allow-private-urls"), check=True)
            print("by URL", judge(out, known), flush=True)
            refused = subprocess.run(
                inspect_command(images[:1], work / "no" / "r.pdf", vision),
                capture_output=True,
                text=True,
                check=False,
            )
            print(f"by URL without permission: exit {refused.returncode},", end=" ")
            print(refused.stderr.strip().splitlines()[0])
        vision.close()
        killed(folder, work / "killed" / "report.pdf", known)
        print("originals unchanged", before == {p.name: p.read_bytes() for p in folder.iterdir()})


def killed(folder: Path, out: Path, known: dict[str, dict[str, Box]]) -> None:
    vision = Vision("thousand", delay=0.5)
    command = inspect_command([str(folder)], out, vision, "--in-flight", "4")
    process = subprocess.Popen(command, start_new_session=True)
    while vision.requests < 20:
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    kept = len((out.parent / "report_files" / "done.jsonl").read_text().splitlines())
    first = vision.requests
    subprocess.run(command, check=True)
    print(f"killed after {first} requests with {kept} pictures kept; the second run asked ", end="")
    print(f"{vision.requests - first} times;", judge(out, known), flush=True)
    vision.close()


# -- pace and memory -----------------------------------------------------------------------------


async def run_job(folder: Path, out: Path, vision: Vision, tell: Callable[[Any], None]) -> float:
    from qwenbelt.workflows.inspection.asking import Inspector
    from qwenbelt.workflows.inspection.job import InspectionJob
    from qwenbelt.workflows.inspection.rules import load_rules
    from qwenbelt.workflows.inspection.sources import find_sources

    job = InspectionJob(Inspector(vision.spec, load_rules(None)), out)
    started = time.perf_counter()
    await job.run(list(find_sources([str(folder)])), tell)
    return time.perf_counter() - started


def pace() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "in"
        folder.mkdir()
        for number in range(16):
            draw(SIZES[0], LAYOUTS[number % 4], number)[0].save(folder / f"{number}.jpg")
        vision = Vision("thousand", delay=2.0, look=False)
        for turn in range(4):
            before = time.process_time()
            took = asyncio.run(run_job(folder, Path(name) / f"o{turn}", vision, lambda found: None))
            cpu = time.process_time() - before
            print(f"16 pictures at 2 s, 8 in flight: {took:.2f} s, the limit 4.00 s, ", end="")
            print(f"CPU {cpu:.2f} s, others' load {os.getloadavg()[0]:.0f}", flush=True)
        vision.close()


def resident() -> float:
    """Returns this process's resident memory in MB."""
    text = Path("/proc/self/statm").read_text(encoding="ascii")
    return int(text.split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


def memory(count: int) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "in"
        folder.mkdir()
        for number in range(count):
            picture, _ = draw((1280, 720), LAYOUTS[number % 4], 0)
            picture.putpixel((0, 0), (number % 256, number // 256, 0))
            picture.save(folder / f"{number:05}.jpg", quality=80)
        vision = Vision("thousand", look=False)
        done = 0

        def tell(found: Any) -> None:
            nonlocal done
            done += 1
            if done in (50, count // 4, count // 2, 3 * count // 4, count):
                print(f"after {done} pictures: {resident():.0f} MB", flush=True)

        took = asyncio.run(run_job(folder, Path(name) / "out", vision, tell))
        print(f"{count} pictures in {took:.0f} s")
        vision.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=["truth", "pace", "memory"])
    parser.add_argument("--keep", type=Path)
    parser.add_argument("--count", type=int, default=2000)
    given = parser.parse_args()
    if given.what == "truth":
        truth(given.keep)
    elif given.what == "pace":
        pace()
    else:
        memory(given.count)


if __name__ == "__main__":
    sys.exit(main())
