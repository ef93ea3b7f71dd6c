"""Ruled tables: pdfium's paths become edges, pdfplumber's grid functions make cells of them.

Edges follow pdfminer's rule for paths (`PDFLayoutAnalyzer.paint_path`) and pdfplumber's for edges
(`rect_to_edges`, `curve_to_edges`), so that both find the same grids.
"""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from itertools import pairwise
from math import inf
from typing import Any

import numpy as np
import pypdfium2.raw as raw

from qwenbelt.tools.documents.model import Box
from qwenbelt.tools.documents.parsing.pdf.pdfium import (
    MAX_FORM_DEPTH,
    MAX_PATH_SEGMENTS,
    Placement,
    objects_of,
    unchecked,
)

MAX_EDGES = 20_000
SNAP = JOIN = INTERSECT = 3.0  # points; pdfplumber's defaults
MIN_EDGE = 3.0
MIN_LINES = 3  # in each direction: around two rows and two columns

_DRAWN = frozenset((raw.FPDF_PAGEOBJ_PATH, raw.FPDF_PAGEOBJ_FORM))

_segment_at = unchecked(raw.FPDFPath_GetPathSegment, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int)
_point_of = unchecked(raw.FPDFPathSegment_GetPoint, ctypes.c_int, *[ctypes.c_void_p] * 3)
_kind_of = unchecked(raw.FPDFPathSegment_GetType, ctypes.c_int, ctypes.c_void_p)
_closes = unchecked(raw.FPDFPathSegment_GetClose, ctypes.c_int, ctypes.c_void_p)

Matrix = tuple[float, float, float, float, float, float]
Point = tuple[float, float]
Edge = dict[str, Any]
Grid = list[list[Box | None]]
IDENTITY: Matrix = (1.0, 0.0, 0.0, 1.0, 0.0, 0.0)


def find_grids(page: Any, placement: Placement) -> list[Grid]:
    """Returns the grids of cells that rules draw on a page, from the top."""
    edges = list(_edges(page, placement))
    if not 4 <= len(edges) <= MAX_EDGES:
        return []
    if _lines(edges, "h", "top") < MIN_LINES or _lines(edges, "v", "x0") < MIN_LINES:
        return []  # a frame, as around code, has no two rows or columns
    return _grids(edges)


def _lines(edges: list[Edge], orientation: str, place: str) -> int:
    """Returns on how many lines edges lie; those that are near are one, as in `merge_edges`."""
    places = sorted(e[place] for e in edges if e["orientation"] == orientation)
    return sum(b - a > SNAP for a, b in pairwise([-inf, *places]))


def _grids(edges: list[Edge]) -> list[Grid]:
    from pdfplumber.table import Table, cells_to_tables, merge_edges
    from pdfplumber.utils import filter_edges

    merged = filter_edges(merge_edges(edges, SNAP, SNAP, JOIN, JOIN), min_length=MIN_EDGE)
    if len(merged) > MAX_EDGES // 10:
        return []
    tables = cells_to_tables(_cells(merged))
    return [
        [[None if c is None else Box(*c) for c in row.cells] for row in Table(None, cells).rows]
        for cells in tables
    ]


def _cells(edges: list[Edge]) -> list[tuple[float, ...]]:
    """Returns the smallest cells between crossing edges, as pdfplumber's `intersections_to_cells`.

    That took a quarter of the time of reading a page of tables.
    """
    upright = np.unique([[e["x0"], e["top"], e["bottom"]] for e in edges if _is(e, "v")], axis=0)
    level = np.unique([[e["top"], e["x0"], e["x1"]] for e in edges if _is(e, "h")], axis=0)
    if not len(upright) or not len(level):
        return []
    x, top, bottom = (upright[:, n : n + 1] for n in range(3))
    y, left, right = level.T
    reach = INTERSECT
    met = (top <= y + reach) & (bottom >= y - reach) & (x >= left - reach) & (x <= right + reach)
    down: dict[Point, set[int]] = {}
    across: dict[Point, set[int]] = {}
    columns: dict[float, list[float]] = {}
    rows: dict[float, list[float]] = {}
    xs, ys = x[:, 0].tolist(), y.tolist()
    for one, other in np.argwhere(met).tolist():
        point = xs[one], ys[other]
        if point not in down:
            columns.setdefault(point[0], []).append(point[1])
            rows.setdefault(point[1], []).append(point[0])
        down.setdefault(point, set()).add(one)
        across.setdefault(point, set()).add(other)
    return list(_smallest_cells(down, across, columns, rows))


def _is(edge: Edge, orientation: str) -> bool:
    return bool(edge["orientation"] == orientation)


def _smallest_cells(
    down: dict[Point, set[int]],
    across: dict[Point, set[int]],
    columns: dict[float, list[float]],
    rows: dict[float, list[float]],
) -> Iterator[tuple[float, ...]]:
    """Yields the smallest cell right of and below each point, where edges go all around.

    Args:
        down: the upright edges through each point.
        across: the level edges through each point.
        columns: where points are on each upright line.
        rows: where points are on each level line.
    """
    for x, y in sorted(down):
        here, level = down[x, y], across[x, y]
        right = [r for r in sorted(rows[y]) if r > x and not level.isdisjoint(across[r, y])]
        for b in sorted(columns[x]):
            if b <= y or not right or here.isdisjoint(down[x, b]):
                continue
            below = across[x, b]
            r = next(
                (
                    r
                    for r in right
                    if (r, b) in down
                    and not down[r, b].isdisjoint(down[r, y])
                    and not below.isdisjoint(across[r, b])
                ),
                None,
            )
            if r is not None:
                yield x, y, r, b
                break


def _edges(page: Any, placement: Placement) -> Iterator[Edge]:
    budget = [MAX_PATH_SEGMENTS]
    a, b, c, d, e, f = placement.matrix
    for path, matrix in _paths(page):
        for points in _subpaths(path, matrix, budget):
            placed = [(a * x + c * y + e, b * x + d * y + f) for x, y in points]
            yield from _edges_of(placed)
        if budget[0] <= 0:
            return


def _paths(page: Any) -> Iterator[tuple[Any, Matrix]]:
    """Yields the painted paths of a page and of its form XObjects with their matrices."""
    for found in objects_of(page, _DRAWN):
        yield from _painted(found, IDENTITY, 0)


def _painted(found: Any, outer: Matrix, depth: int) -> Iterator[tuple[Any, Matrix]]:
    kind = raw.FPDFPageObj_GetType(found)
    if kind == raw.FPDF_PAGEOBJ_PATH:
        fill, stroke = ctypes.c_int(), ctypes.c_int()
        raw.FPDFPath_GetDrawMode(found, fill, stroke)
        if fill.value or stroke.value:
            yield found, _times(_matrix(found), outer)
    elif kind == raw.FPDF_PAGEOBJ_FORM and depth < MAX_FORM_DEPTH:
        inner = _times(_matrix(found), outer)
        for index in range(raw.FPDFFormObj_CountObjects(found)):
            yield from _painted(raw.FPDFFormObj_GetObject(found, index), inner, depth + 1)


def _matrix(found: Any) -> Matrix:
    matrix = raw.FS_MATRIX()
    if not raw.FPDFPageObj_GetMatrix(found, matrix):
        return IDENTITY
    return (matrix.a, matrix.b, matrix.c, matrix.d, matrix.e, matrix.f)


def _times(m: Matrix, n: Matrix) -> Matrix:
    """Returns the matrix that applies `m`, then `n`."""
    if n is IDENTITY:
        return m
    return (
        m[0] * n[0] + m[1] * n[2],
        m[0] * n[1] + m[1] * n[3],
        m[2] * n[0] + m[3] * n[2],
        m[2] * n[1] + m[3] * n[3],
        m[4] * n[0] + m[5] * n[2] + n[4],
        m[4] * n[1] + m[5] * n[3] + n[5],
    )


def _subpaths(path: Any, matrix: Matrix, budget: list[int]) -> Iterator[list[Point]]:
    """Yields the points of each subpath; a closed one ends where it began."""
    a, b, c, d, e, f = matrix
    points: list[Point] = []
    spot = (ctypes.c_float * 2)()
    at = ctypes.addressof(spot)
    handle = ctypes.cast(path, ctypes.c_void_p).value
    count = raw.FPDFPath_CountSegments(path)
    budget[0] -= count
    for index in range(count if budget[0] > 0 else 0):
        segment = _segment_at(handle, index)
        _point_of(segment, at, at + 4)
        x, y = spot
        if points and _kind_of(segment) == raw.FPDF_SEGMENT_MOVETO:
            yield points
            points = []
        points.append((a * x + c * y + e, b * x + d * y + f))
        if _closes(segment) and points[-1] != points[0]:
            points.append(points[0])
    if len(points) > 1:
        yield points


def _edges_of(points: list[Point]) -> Iterator[Edge]:
    """Yields an edge for each straight upright or level side."""
    for (x0, y0), (x1, y1) in pairwise(points):
        level, upright = abs(y0 - y1) < 0.01, abs(x0 - x1) < 0.01
        if level == upright:
            continue
        left, right, top, bottom = min(x0, x1), max(x0, x1), min(y0, y1), max(y0, y1)
        width, height = right - left, bottom - top
        if max(width, height) < 1:
            continue
        yield {
            "x0": left,
            "x1": right if level else left,
            "top": top,
            "bottom": top if level else bottom,
            "width": width if level else 0.0,
            "height": 0.0 if level else height,
            "orientation": "h" if level else "v",
            "object_type": "edge",
        }


def grid_box(grid: Grid) -> Box:
    """Returns the box around a grid."""
    cells = np.array([cell for row in grid for cell in row if cell is not None])
    return Box(
        float(cells[:, 0].min()),
        float(cells[:, 1].min()),
        float(cells[:, 2].max()),
        float(cells[:, 3].max()),
    )
