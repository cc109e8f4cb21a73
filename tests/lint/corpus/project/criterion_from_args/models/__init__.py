from .resmlp import ResMLP

__all__ = ["ResMLP"]
