"""SQL on SQLite databases, bounded in time and size."""
