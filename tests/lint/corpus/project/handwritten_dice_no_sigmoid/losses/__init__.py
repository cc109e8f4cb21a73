from .dice import DiceLoss

__all__ = ["DiceLoss"]
