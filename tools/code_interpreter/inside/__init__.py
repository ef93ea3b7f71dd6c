"""What is loaded into kernels beside the libraries of the person."""
