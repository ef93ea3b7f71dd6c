"""The web: guarded downloads, pages as readable text, and search by a provider."""
