"""Text that a trained run writes."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from pathlib import Path

import torch
from torch import Tensor

from likelihead.errors import DomainError, OptionError
from likelihead.train.language.models import GRU, LanguageModel
from likelihead.train.language.tokens import Tokenizer, characters
from likelihead.train.language.trained import load_run

__all__ = ["draw", "sample"]


def sample(
    run: Path,
    *,
    prompt: str = "",
    tokens: int = 500,
    temperature: float = 1.0,
    top_k: int = 0,
    seed: int = 0,
) -> Iterator[str]:
    """Pieces of a text that begins with a prompt, as a run writes it: the prompt first.

    The text ends after so many tokens, or where the run ends a document. Bytes that are no UTF-8 are
    replaced.

    Args:
        run: the run's folder.
        prompt: how the text begins; nothing for the beginning of a document.
        tokens: how many to write at most.
        temperature: divides the logits: below 1 for what is likely, above for what is not; 0 always takes the
            likeliest.
        top_k: draw from so many of the likeliest tokens; 0 for all.
        seed: of the drawing; the same seed writes the same text.

    Raises:
        OptionError: an option outside its range, or a run of another task.
        RunError, CheckpointError: no finished run, or a damaged one.
        DataError: the run's tokenizer cannot encode the prompt.
        DomainError: the network's output is not finite.
    """
    if tokens < 1:
        raise OptionError(f"tokens is {tokens}; expected at least 1")
    if not 0 <= temperature < math.inf:
        raise OptionError(f"temperature is {temperature}; expected 0 or a positive number")
    if top_k < 0:
        raise OptionError(f"top_k is {top_k}; expected a number of tokens, or 0 for all")
    if not 0 <= seed < 2**63:
        raise OptionError(f"seed is {seed}; expected a number in [0, 2**63)")
    trained = load_run(run)
    tokenizer = trained.tokenizer
    # A terminal's bytes that are no UTF-8 come as surrogates.
    ids = tokenizer.encode(os.fsencode(prompt), "the prompt").tolist() if prompt else []
    generator = torch.Generator().manual_seed(seed)
    written = draw(
        trained.model,
        tokenizer,
        ids,
        trained.config.context,
        tokens=tokens,
        temperature=temperature,
        top_k=top_k,
        generator=generator,
    )
    return characters(_parts(tokenizer, ids, written))


def _parts(tokenizer: Tokenizer, prompt: list[int], written: Iterator[int]) -> Iterator[bytes]:
    for i in prompt:
        yield tokenizer.bytes_of[i]
    for i in written:
        yield tokenizer.bytes_of[i]


def draw(
    model: LanguageModel,
    tokenizer: Tokenizer,
    prompt: list[int],
    context: int,
    *,
    tokens: int,
    temperature: float,
    top_k: int,
    generator: torch.Generator,
) -> Iterator[int]:
    """Token ids behind a prompt, up to the end of the document.

    A recurrent network carries its state; a transformer reads the last ``context`` tokens anew for each.
    """
    read = [tokenizer.separator, *prompt]
    recurrent = isinstance(model, GRU)
    state = None
    given = read if recurrent else read[-context:]
    for _ in range(tokens):
        with torch.no_grad():
            hidden, state = model.hidden(torch.tensor([given]), state if recurrent else None)
            logits = model.head(hidden[0, -1])
        chosen = _choose(logits, temperature, top_k, generator)
        if chosen == tokenizer.separator:
            return
        yield chosen
        read.append(chosen)
        given = [chosen] if recurrent else read[-context:]


def _choose(logits: Tensor, temperature: float, top_k: int, generator: torch.Generator) -> int:
    if not bool(torch.isfinite(logits).all()):
        raise DomainError("the network's output is not finite; train again with a lower --lr")
    if temperature == 0:
        return int(logits.argmax())
    # The likeliest at 0, so that a low temperature does not overflow.
    scaled = (logits.double() - logits.max().double()) / temperature
    if 0 < top_k < len(scaled):
        kept = scaled.topk(top_k).indices
        return int(kept[torch.multinomial(torch.softmax(scaled[kept], 0), 1, generator=generator)])
    return int(torch.multinomial(torch.softmax(scaled, 0), 1, generator=generator))
