from .mlp import MLP
from .trainer import Trainer

__all__ = ["MLP", "Trainer"]
