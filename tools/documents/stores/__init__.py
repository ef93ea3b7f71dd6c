"""Where an index lives: SQLite, PostgreSQL or Qdrant."""
