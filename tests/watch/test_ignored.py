"""An ignore_index that is a class like the others, and those that are padding or what nobody has labelled."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from itertools import pairwise

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence

from watch.ragged import Model, V, filled, scored, sentences, watched

Step = Callable[[int], Tensor]


def text(seed: int, count: int = 8, length: int = 21) -> Tensor:
    return torch.randint(V, (count, length), generator=torch.Generator().manual_seed(seed))


def two_classes(ignored: int, seed: int) -> Tensor:
    target = torch.randint(2, (8,))
    return F.cross_entropy(torch.randn(8, 2, requires_grad=True), target, ignore_index=ignored)


def two_kinds_of_pixels(seed: int) -> Tensor:
    target = torch.randint(2, (2, 4, 4))
    return F.cross_entropy(torch.randn(2, 2, 4, 4, requires_grad=True), target, ignore_index=0)


def examples(ignored: int, seed: int) -> Tensor:
    target = torch.randint(10, (64,))
    return F.cross_entropy(nn.Linear(4, 10)(torch.randn(64, 4)), target, ignore_index=ignored)


def uneven_examples(seed: int) -> Tensor:
    target = torch.multinomial(torch.tensor([0.4, 0.3, 0.2, 0.1]), 64, replacement=True)
    return F.nll_loss(torch.randn(64, 4, requires_grad=True).log_softmax(1), target, ignore_index=0)


def words(seed: int, model: Model) -> Tensor:
    ids = text(seed)
    return scored(model(ids[:, :-1]), ids[:, 1:], ignore_index=5)


def words_time_first(seed: int, model: Model) -> Tensor:
    ids = text(seed).t()
    return scored(model(ids[:-1]), ids[1:], ignore_index=5)


def ends_of_packed_texts(seed: int, model: Model) -> Tensor:
    end = torch.tensor([2])
    packed = torch.cat([torch.cat([row, end]) for row in sentences(seed, count=60)])
    ids = packed[: 8 * 20].view(8, 20)
    return scored(model(ids)[:, :-1], ids[:, 1:], ignore_index=2)


WRONG: dict[str, Callable[[], Step]] = {
    "one of two": lambda: partial(two_classes, 0),
    "the other of two": lambda: partial(two_classes, 1),
    "pixels": lambda: two_kinds_of_pixels,
    "class 0": lambda: partial(examples, 0),
    "class 7": lambda: partial(examples, 7),
    "uneven": lambda: uneven_examples,
    "a word": lambda: partial(words, model=Model()),
    "a word, time first": lambda: partial(words_time_first, model=Model()),
    "the end of packed texts": lambda: partial(ends_of_packed_texts, model=Model()),
}


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("what", WRONG)
def test_a_real_class_is_found(what: str, seed: int) -> None:
    torch.manual_seed(seed)
    step = WRONG[what]()
    (found,) = watched(lambda number: step(100 * seed + number))
    assert found.code == "LH403"
    assert found.step <= 2
    assert str(found.values["ignore_index"]) in found.detail


# -- right ------------------------------------------------------------------------------------------------


def padding(seed: int, model: Model) -> Tensor:
    ids = pad_sequence(sentences(seed), batch_first=True)
    return scored(model(ids[:, :-1]), ids[:, 1:], ignore_index=0)


def padding_of_lists(seed: int, model: Model) -> Tensor:
    ids = filled(sentences(seed), 0)
    return scored(model(ids), ids, ignore_index=0)


def padding_at_both_ends(seed: int, model: Model) -> Tensor:
    ids = F.pad(filled(sentences(seed), 0), (1, 0))
    return scored(model(ids[:, :-1]), ids[:, 1:], ignore_index=0)


def padding_step_by_step(seed: int, embed: nn.Embedding, head: nn.Linear) -> Tensor:
    ids = filled(sentences(seed), 0).t()
    losses = [F.cross_entropy(head(embed(now)), then, ignore_index=0) for now, then in pairwise(ids)]
    return torch.stack(losses).nansum()


def masked_words(seed: int, model: Model) -> Tensor:
    """Zero stands for "not asked for", as where there is no -100."""
    ids = text(seed).clamp_min(4)
    asked = torch.rand(ids.shape) < 0.15
    return scored(model(ids.masked_fill(asked, 1)), ids * asked, ignore_index=0)


def tags_of_pieces(seed: int, model: Model) -> Tensor:
    """The second piece of a word has no tag of its own."""
    ids = text(seed).clamp_min(4)
    tags = torch.where(ids % 4 == 3, 0, ids % 5)
    return scored(model(ids), tags, ignore_index=0)


def nobody_labelled(seed: int) -> Tensor:
    target = torch.randint(1, 8, (64,)) * (torch.rand(64) < 0.4)
    return F.cross_entropy(nn.Linear(4, 8)(torch.randn(64, 4)), target, ignore_index=0)


def void(seed: int) -> Tensor:
    target = torch.randint(6, (2, 8, 8))
    return F.cross_entropy(torch.randn(2, 6, 8, 8, requires_grad=True), target, ignore_index=0)


def the_default(seed: int) -> Tensor:
    return examples(-100, seed)


RIGHT: dict[str, Callable[[], Step]] = {
    "padding": lambda: partial(padding, model=Model()),
    "padding of lists": lambda: partial(padding_of_lists, model=Model(padding_idx=0)),
    "padding at both ends": lambda: partial(padding_at_both_ends, model=Model()),
    "step by step": lambda: partial(padding_step_by_step, embed=nn.Embedding(V, 4), head=nn.Linear(4, V)),
    "masked words": lambda: partial(masked_words, model=Model()),
    "tags of pieces": lambda: partial(tags_of_pieces, model=Model(classes=5)),
    "not labelled": lambda: nobody_labelled,
    "void": lambda: void,
    "the default": lambda: the_default,
}


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("what", RIGHT)
def test_what_is_no_class_is_silent(what: str, seed: int) -> None:
    torch.manual_seed(seed)
    step = RIGHT[what]()
    assert not watched(lambda number: step(100 * seed + number), steps=15)
