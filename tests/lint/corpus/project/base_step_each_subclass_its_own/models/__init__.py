from .image import ImageClassifier
from .text import TextClassifier

__all__ = ["ImageClassifier", "TextClassifier"]
