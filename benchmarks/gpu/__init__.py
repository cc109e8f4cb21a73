"""The GPU table: CUDA events, rotated inputs, and the peers from PyPI."""
