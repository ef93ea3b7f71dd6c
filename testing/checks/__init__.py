"""Checks on what an agent did."""
