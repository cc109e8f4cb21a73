"""A run's network, made anew in the same way each time."""

from __future__ import annotations

import torch

from likelihead.errors import OptionError
from likelihead.likelihoods import Categorical
from likelihead.train.config import TrainConfig
from likelihead.train.language.corpus import Text
from likelihead.train.language.models import GRU, LanguageModel, Transformer

__all__ = ["build_model", "set_prior"]


def build_model(config: TrainConfig, vocabulary: int) -> LanguageModel:
    """The network, with random layers and a head of zeros, in float32; draws from torch's global generator.

    Raises:
        OptionError: no hidden layer, or layers that the network cannot have.
    """
    if not config.hidden:
        raise OptionError("hidden is none; a language model needs a layer that reads the text, such as 512")
    head = Categorical(vocabulary).head(config.hidden[-1])
    make = Transformer if config.network == "transformer" else GRU
    return make(vocabulary, config.hidden, head)


def set_prior(model: LanguageModel, text: Text) -> None:
    """Set the head's bias to the log frequencies of a text's tokens, and keep them as the baseline."""
    likelihood = Categorical(model.head.out_features)
    # Blocks, so that a long text is not there in 64 bits as a whole.
    blocks = (
        torch.from_numpy(text.ids[at : at + 2**20].astype("int64")) for at in range(0, text.tokens, 2**20)
    )
    likelihood.init_bias_(model.head, blocks)
    model.log_prior.copy_(model.head.bias.detach())
