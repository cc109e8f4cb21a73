"""Which subscribers will leave."""

from .model import SubscriberModel
from .training import evaluate, train

__all__ = ["SubscriberModel", "evaluate", "train"]
