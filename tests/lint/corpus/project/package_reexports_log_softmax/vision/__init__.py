from .engine import *  # noqa: F403
from .models import *  # noqa: F403
