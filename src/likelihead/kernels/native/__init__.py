"""The native backend: C++ kernels for the CPU, on PyTorch's stable ABI (sources in ``csrc/``)."""
