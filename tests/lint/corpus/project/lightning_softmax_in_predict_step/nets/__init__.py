from nets.wide import WideNet

__all__ = ["WideNet"]
