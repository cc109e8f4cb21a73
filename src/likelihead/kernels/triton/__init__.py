"""The Triton backend: the kernels of the fused ops for GPUs. Triton itself is imported by the first call."""
