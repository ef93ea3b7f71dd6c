"""Ruled tables: pdfium's paths become edges, pdfplumber's grid functions make cells of them.

Edges follow pdfminer's rule for paths (`PDFLayoutAnalyzer.paint_path`) and pdfplumber's for edges
(`rect_to_edges`, `curve_to_edges`), so that both find the same grids.
"""

from __future__ import annotations

import ctypes
from collections import deque
from collections.abc import Iterator
from math import inf
from typing import Any

import numpy as np
import numpy.typing as npt
import pypdfium2.raw as raw

from qwenbelt.tools.documents.model import Box
from qwenbelt.tools.documents.parsing.pdf.pdfium import (
    MAX_FORM_DEPTH,
    MAX_PATH_SEGMENTS,
    Floats,
    Placement,
    listed_objects,
    unchecked,
)

MAX_EDGES = 20_000
SNAP = JOIN = INTERSECT = 3.0  # points; pdfplumber's defaults
MIN_EDGE = 3.0
MIN_LINES = 3  # in each direction: around two rows and two columns

_segment_at = unchecked(raw.FPDFPath_GetPathSegment, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int)
_point_of = unchecked(raw.FPDFPathSegment_GetPoint, ctypes.c_int, *[ctypes.c_void_p] * 3)
_kind_of = unchecked(raw.FPDFPathSegment_GetType, ctypes.c_int, ctypes.c_void_p)
_segments_in = unchecked(raw.FPDFPath_CountSegments, ctypes.c_int, ctypes.c_void_p)
_mode_of = unchecked(raw.FPDFPath_GetDrawMode, ctypes.c_int, *[ctypes.c_void_p] * 3)
_matrix_of = unchecked(raw.FPDFPageObj_GetMatrix, ctypes.c_int, *[ctypes.c_void_p] * 2)
_closes = unchecked(raw.FPDFPathSegment_GetClose, ctypes.c_int, ctypes.c_void_p)

Matrix = tuple[float, float, float, float, float, float]
Point = tuple[float, float]
Edge = dict[str, Any]
Grid = list[list[Box | None]]
IDENTITY: Matrix = (1.0, 0.0, 0.0, 1.0, 0.0, 0.0)


def find_grids(page: Any, placement: Placement) -> list[Grid]:
    """Returns the grids of cells that rules draw on a page, from the top."""
    sides = _sides(page, placement)
    if not 4 <= len(sides) <= MAX_EDGES:
        return []
    level = sides[:, 1] == sides[:, 3]
    if _lines(sides[level, 1]) < MIN_LINES or _lines(sides[~level, 0]) < MIN_LINES:
        return []  # a frame, as around code, has no two rows or columns
    return _grids([_edge(*side) for side in sides.tolist()])


def _lines(places: Floats) -> int:
    """Returns on how many lines edges lie; those that are near are one, as in `merge_edges`."""
    return int((np.diff(np.sort(places), prepend=-inf) > SNAP).sum())


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


def _sides(page: Any, placement: Placement) -> Floats:
    """Returns the straight upright and level sides of what is drawn: x0, top, x1, bottom."""
    paths, matrices = _painted(list(_paths(page)))
    none: Floats = np.zeros((0, 4))
    counts = [max(0, n) for n in map(_segments_in, paths)]
    kept = int((np.cumsum(counts, dtype=np.intp) < MAX_PATH_SEGMENTS).sum())
    paths, counts = paths[:kept], counts[:kept]
    total = sum(counts)
    if total < 2:
        return none
    firsts = np.cumsum([0, *counts])[:-1]
    owners = np.repeat(np.array(paths, np.uint64), counts).tolist()
    numbers = (np.arange(total) - np.repeat(firsts, counts)).tolist()
    segments = list(map(_segment_at, owners, numbers))
    points = np.zeros((total, 2), np.float32)
    at = points.ctypes.data
    end = at + points.nbytes
    deque(map(_point_of, segments, range(at, end, 8), range(at + 4, end, 8)), maxlen=0)
    begins = np.fromiter(map(_kind_of, segments), np.int32, total) == raw.FPDF_SEGMENT_MOVETO
    begins[firsts[np.array(counts) > 0]] = True
    closed = np.fromiter(map(_closes, segments), np.int32, total) != 0
    spots = points.astype(np.float64)
    x, y = _moved(spots[:, 0], spots[:, 1], np.repeat(matrices[:kept], counts, axis=0).T)
    return _straight(*_moved(x, y, np.array(placement.matrix, np.float64)), begins, closed)


def _moved(x: Floats, y: Floats, matrix: Floats) -> tuple[Floats, Floats]:
    a, b, c, d, e, f = matrix
    return a * x + c * y + e, b * x + d * y + f


def _straight(
    x: Floats, y: Floats, begins: npt.NDArray[np.bool_], closed: npt.NDArray[np.bool_]
) -> Floats:
    """Returns the sides between the points of subpaths; a closed one ends where it began."""
    start = np.maximum.accumulate(np.where(begins, np.arange(len(x)), 0))
    closing = np.flatnonzero(closed & ((x != x[start]) | (y != y[start])))
    last = np.arange(len(x))
    last[closing] = start[closing]  # where the pen is after each point
    on = np.flatnonzero(~begins[1:])
    ends = np.stack([np.r_[closing, last[on]], np.r_[start[closing], on + 1]])
    ends = ends[:, np.argsort(np.r_[closing, on], kind="stable")]
    across, down = x[ends], y[ends]
    level, upright = np.abs(down[0] - down[1]) < 0.01, np.abs(across[0] - across[1]) < 0.01
    left, right, top, bottom = across.min(0), across.max(0), down.min(0), down.max(0)
    kept = (level != upright) & (np.maximum(right - left, bottom - top) >= 1)
    right, bottom = np.where(level, right, left), np.where(level, top, bottom)
    found: Floats = np.stack([left, top, right, bottom], axis=1)[kept]
    return found


def _edge(x0: float, top: float, x1: float, bottom: float) -> Edge:
    return {
        "x0": x0,
        "x1": x1,
        "top": top,
        "bottom": bottom,
        "width": x1 - x0,
        "height": bottom - top,
        "orientation": "h" if top == bottom else "v",
        "object_type": "edge",
    }


def _paths(page: Any) -> Iterator[tuple[int, Matrix]]:
    """Yields the paths of a page and of its form XObjects, with the matrices of the forms."""
    for address, kind in listed_objects(page):
        if kind == raw.FPDF_PAGEOBJ_PATH:
            yield address, IDENTITY
        elif kind == raw.FPDF_PAGEOBJ_FORM:
            yield from _paths_in(address, IDENTITY, 0)


def _paths_in(form: int, outer: Matrix, depth: int) -> Iterator[tuple[int, Matrix]]:
    found = ctypes.cast(form, raw.FPDF_PAGEOBJECT)
    inner = _times(_matrix(found), outer)
    for index in range(raw.FPDFFormObj_CountObjects(found)):
        part = raw.FPDFFormObj_GetObject(found, index)
        address = ctypes.cast(part, ctypes.c_void_p).value
        kind = raw.FPDFPageObj_GetType(part)
        if address and kind == raw.FPDF_PAGEOBJ_PATH:
            yield address, inner
        elif address and kind == raw.FPDF_PAGEOBJ_FORM and depth + 1 < MAX_FORM_DEPTH:
            yield from _paths_in(address, inner, depth + 1)


def _painted(paths: list[tuple[int, Matrix]]) -> tuple[list[int], Floats]:
    """Returns those paths that are filled or stroked, and their matrices on the page."""
    modes = np.zeros((len(paths), 2), np.int32)
    own = np.zeros((len(paths), 6), np.float32)
    addresses = [address for address, _ in paths]
    at, end = modes.ctypes.data, modes.ctypes.data + modes.nbytes
    deque(map(_mode_of, addresses, range(at, end, 8), range(at + 4, end, 8)), maxlen=0)
    at = own.ctypes.data
    known = np.fromiter(
        map(_matrix_of, addresses, range(at, at + own.nbytes, 24)), np.int32, len(paths)
    )
    own[known == 0] = IDENTITY
    drawn = np.flatnonzero(modes.any(1)).tolist()
    matrices = own.astype(np.float64)
    for n in drawn:
        if paths[n][1] is not IDENTITY:
            matrices[n] = _times(tuple(matrices[n].tolist()), paths[n][1])
    return [addresses[n] for n in drawn], matrices[drawn]


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


def grid_box(grid: Grid) -> Box:
    """Returns the box around a grid."""
    cells = np.array([cell for row in grid for cell in row if cell is not None])
    return Box(
        float(cells[:, 0].min()),
        float(cells[:, 1].min()),
        float(cells[:, 2].max()),
        float(cells[:, 3].max()),
    )
