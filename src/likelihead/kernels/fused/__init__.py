"""The fused ops ``torch.ops.likelihead.*`` as PyTorch sees them: schemas, shapes, derivatives, calls.

Written once for every compiled backend: native brings the ops' kernels for the CPU, triton those for GPUs.
"""
