"""The demo: the main job on a bundled public-domain PDF, with a real model or written replies."""
