"""Repeated trials: outcomes, intervals and their report."""
