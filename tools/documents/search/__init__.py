"""Searching pages: chunks, queries, ranking and passages."""
