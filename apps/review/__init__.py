"""The faces of a review: a page on this machine, and keys in the terminal."""
