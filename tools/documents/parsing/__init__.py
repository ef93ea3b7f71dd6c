"""Reading files: from bytes to pages of lines, tables and notes."""
