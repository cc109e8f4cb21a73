from .audio import AudioClassifier

__all__ = ["AudioClassifier"]
