"""Tools that are called from code, and their calls that begin while the model still writes."""
