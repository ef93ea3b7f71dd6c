"""PDF files: characters, fragments, rows, columns and tables of their pages."""
