"""Cells of tables for spreadsheets."""

from __future__ import annotations


def harmless_cell(value: str) -> str:
    """Returns a cell that no spreadsheet takes for a formula (OWASP, CSV injection)."""
    return f"'{value}" if value.startswith(("=", "+", "-", "@", "\t", "\r")) else value
