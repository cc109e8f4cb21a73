"""Predict which customers leave."""

from churn.model import ChurnNet

__all__ = ["ChurnNet"]
