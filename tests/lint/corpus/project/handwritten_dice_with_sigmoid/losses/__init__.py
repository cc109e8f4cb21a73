from .combo import BCEDiceLoss
from .dice import DiceLoss

__all__ = ["BCEDiceLoss", "DiceLoss"]
