"""The benchmarking harness: spec → stack → load → records → analysis → charts → report."""
