"""Ruled tables: pdfium's paths become edges, pdfplumber's grid functions make cells of them.

Edges follow pdfminer's rule for paths (`PDFLayoutAnalyzer.paint_path`) and pdfplumber's for edges
(`rect_to_edges`, `curve_to_edges`), so that both find the same grids.
"""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import numpy as np
import pypdfium2.raw as raw

from qwenbelt.tools.documents.model import Box
from qwenbelt.tools.documents.parsing.pdf.pdfium import (
    MAX_FORM_DEPTH,
    MAX_PATH_SEGMENTS,
    Placement,
    objects_of,
)

MAX_EDGES = 20_000
SNAP = JOIN = INTERSECT = 3.0  # points; pdfplumber's defaults
MIN_EDGE = 3.0

_DRAWN = frozenset((raw.FPDF_PAGEOBJ_PATH, raw.FPDF_PAGEOBJ_FORM))

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
    across = {round(e["top"]) for e in edges if e["orientation"] == "h"}
    down = {round(e["x0"]) for e in edges if e["orientation"] == "v"}
    if len(across) < 2 or len(down) < 2:
        return []
    return _grids(edges)


def _grids(edges: list[Edge]) -> list[Grid]:
    from pdfplumber.table import (
        Table,
        cells_to_tables,
        edges_to_intersections,
        intersections_to_cells,
        merge_edges,
    )
    from pdfplumber.utils import filter_edges

    merged = filter_edges(merge_edges(edges, SNAP, SNAP, JOIN, JOIN), min_length=MIN_EDGE)
    if len(merged) > MAX_EDGES // 10:
        return []
    crossings = edges_to_intersections(merged, INTERSECT, INTERSECT)
    tables = cells_to_tables(intersections_to_cells(crossings))
    return [
        [[None if c is None else Box(*c) for c in row.cells] for row in Table(None, cells).rows]
        for cells in tables
    ]


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
    x, y = ctypes.c_float(), ctypes.c_float()
    count = raw.FPDFPath_CountSegments(path)
    budget[0] -= count
    for index in range(count if budget[0] > 0 else 0):
        segment = raw.FPDFPath_GetPathSegment(path, index)
        raw.FPDFPathSegment_GetPoint(segment, x, y)
        kind = raw.FPDFPathSegment_GetType(segment)
        if kind == raw.FPDF_SEGMENT_MOVETO and points:
            yield points
            points = []
        points.append((a * x.value + c * y.value + e, b * x.value + d * y.value + f))
        if raw.FPDFPathSegment_GetClose(segment) and points[-1] != points[0]:
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
