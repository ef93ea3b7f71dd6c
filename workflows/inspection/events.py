"""Events in a video: stretches of time in which the same class is seen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from qwenbelt.workflows.inspection.rules import Inspected


@dataclass(frozen=True)
class VideoEvent:
    """A class and grade seen from `start` to `end`, in seconds, and most objects at once."""

    video: str
    label: str
    sub_label: str
    start: float
    end: float
    most: int


def video_events(pictures: Sequence[Inspected], gap: float = 2.5) -> list[VideoEvent]:
    """Returns the events of all videos among the pictures.

    Args:
        pictures: inspected pictures; those without a time are passed over.
        gap: seconds without a sighting that end an event.
    """
    sightings: dict[tuple[str, str, str], list[tuple[float, int]]] = {}
    for picture in pictures:
        if picture.time is None:
            continue
        video = picture.image.rpartition("@")[0]
        counts: dict[tuple[str, str], int] = {}
        for found in picture.objects:
            key = (found.label, found.sub_label)
            counts[key] = counts.get(key, 0) + 1
        for (label, grade), count in counts.items():
            sightings.setdefault((video, label, grade), []).append((picture.time, count))
    events = []
    for (video, label, grade), seen in sorted(sightings.items()):
        seen.sort()
        start, last, most = seen[0][0], seen[0][0], 0
        for time, count in seen:
            if time - last > gap:
                events.append(VideoEvent(video, label, grade, start, last, most))
                start, most = time, 0
            last, most = time, max(most, count)
        events.append(VideoEvent(video, label, grade, start, last, most))
    return events


MOMENTS = 6  # pictures of the strip of an event


def moments(
    event: VideoEvent, pictures: Sequence[Inspected], most: int = MOMENTS
) -> list[Inspected]:
    """Returns frames of an event, spread over it from its first to its last."""
    seen = [
        picture
        for picture in pictures
        if picture.time is not None
        and event.start <= picture.time <= event.end
        and picture.image.rpartition("@")[0] == event.video
        and any((o.label, o.sub_label) == (event.label, event.sub_label) for o in picture.objects)
    ]
    seen.sort(key=lambda picture: picture.time or 0.0)
    if len(seen) <= most:
        return seen
    return [seen[round(n * (len(seen) - 1) / (most - 1))] for n in range(most)]
