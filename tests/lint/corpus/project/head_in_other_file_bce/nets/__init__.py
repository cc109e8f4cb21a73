from .backbone import TinyResNet
from .heads import ClassifierHead

__all__ = ["ClassifierHead", "TinyResNet"]
