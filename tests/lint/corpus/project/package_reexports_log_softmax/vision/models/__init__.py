from .lenet import LeNet, TinyLeNet

__all__ = ["LeNet", "TinyLeNet"]
