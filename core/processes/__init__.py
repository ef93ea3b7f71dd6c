"""Threads and processes: one object for each, children that answer lines of JSON, their end."""
