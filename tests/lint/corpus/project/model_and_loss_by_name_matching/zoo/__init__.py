from .models import get_model
from .objectives import get_objective

__all__ = ["get_model", "get_objective"]
