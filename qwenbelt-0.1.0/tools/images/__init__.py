"""Pictures: boxes and labels drawn on copies, zoomed regions, text read from them."""
