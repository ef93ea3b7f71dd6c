"""Kernels that run elsewhere: in containers and on Jupyter servers."""
