"""What a Triton kernel becomes on a GPU, read from its machine code: no device is needed."""
