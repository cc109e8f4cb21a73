from .lenet import *  # noqa: F403
from .lenet import build_lenet  # noqa: F401
