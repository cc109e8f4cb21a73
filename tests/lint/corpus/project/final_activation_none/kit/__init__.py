from .tagger import Tagger as Tagger
