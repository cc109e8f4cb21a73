from .backbone import AttentiveNet

__all__ = ["AttentiveNet"]
