from fraud.inference import score
from fraud.model import FraudNet

__all__ = ["FraudNet", "score"]
