"""What a call on a GPU costs the host, measured without a GPU."""
