"""A knowledge graph that remembers across conversations."""
