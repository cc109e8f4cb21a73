from charlm.corpus import Corpus
from charlm.model import CharLSTM

__all__ = ["CharLSTM", "Corpus"]
