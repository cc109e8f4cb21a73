"""The functions, with chunks of a linear head's tokens of as many as CHUNK_TOKENS says, for any call."""

import os

from likelihead.functional import *  # noqa: F403
from likelihead.kernels.fused import linear_chunks

if "CHUNK_TOKENS" in os.environ:
    _TOKENS = int(os.environ["CHUNK_TOKENS"])
    linear_chunks.chunk_rows = lambda *_: _TOKENS
