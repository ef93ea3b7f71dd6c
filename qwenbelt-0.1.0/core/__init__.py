"""The ground floor: errors, settings, guards, typed events and traces. Imports nothing above it."""
