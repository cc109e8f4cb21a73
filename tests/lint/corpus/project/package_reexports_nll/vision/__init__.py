from .engine import *  # noqa: F403
from .models import LeNet, build_lenet  # noqa: F401

__version__ = "0.2.0"
