"""Padding that is scored, in the ways in which scripts pad; and everything that only looks like it."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence

import likelihead
from watch.ragged import Model, V, filled, scored, sentences, watched

# -- wrong ------------------------------------------------------------------------------------------------

Step = Callable[[int], Tensor]
WRONG: dict[str, Callable[[], Step]] = {}
RIGHT: dict[str, Callable[[], Step]] = {}


def wrong(step: Callable[[], Step]) -> Callable[[], Step]:
    WRONG[step.__name__.replace("_", " ")] = step
    return step


def right(step: Callable[[], Step]) -> Callable[[], Step]:
    RIGHT[step.__name__.replace("_", " ")] = step
    return step


@wrong
def language_model() -> Step:
    model = Model()

    def step(seed: int) -> Tensor:
        ids = pad_sequence(sentences(seed), batch_first=True, padding_value=0)
        return scored(model(ids[:, :-1]), ids[:, 1:])

    return step


@wrong
def made_from_lists() -> Step:
    model = Model()

    def step(seed: int) -> Tensor:
        ids = filled(sentences(seed), 0)
        return scored(model(ids[:, :-1]), ids[:, 1:].contiguous())

    return step


@wrong
def shifted_within_the_model() -> Step:
    """As Hugging Face's models do: the labels move up by one, and the last step is ignored in every row."""
    model = Model()

    def step(seed: int) -> Tensor:
        ids = filled(sentences(seed), 0)
        return scored(model(ids), F.pad(ids, (0, 1), value=-100)[:, 1:].contiguous())

    return step


@wrong
def to_one_length() -> Step:
    model = Model(padding_idx=1)

    def step(seed: int) -> Tensor:
        ids = filled(sentences(seed), 1, to=20)
        return scored(model(ids)[:, :-1], ids[:, 1:])

    return step


@wrong
def end_of_text_unmasked() -> Step:
    model = Model()

    def step(seed: int) -> Tensor:
        ids = filled([torch.cat([row, torch.tensor([2])]) for row in sentences(seed)], 2)
        return scored(model(ids[:, :-1]), ids[:, 1:])

    return step


@wrong
def tags_whose_padding_is_a_tag() -> Step:
    model = Model(classes=3)

    def step(seed: int) -> Tensor:
        words = sentences(seed)
        tags = filled([row % 3 for row in words], 0)
        return F.cross_entropy(model(filled(words, 0)).transpose(1, 2), tags)

    return step


@wrong
def time_first() -> Step:
    model = Model()

    def step(seed: int) -> Tensor:
        ids = filled(sentences(seed), 0).t().contiguous()
        return scored(model(ids[:-1]), ids[1:])

    return step


@wrong
def time_first_ids_only() -> Step:
    model = Model()

    def step(seed: int) -> Tensor:
        ids = filled(sentences(seed), 0)
        return scored(model(ids.t()), ids.t())

    return step


@wrong
def without_ids() -> Step:
    head = nn.Linear(8, V)

    def step(seed: int) -> Tensor:
        rows = sentences(seed, least=5, most=24)
        target = pad_sequence(rows, batch_first=True)
        return F.cross_entropy(head(torch.randn(*target.shape, 8)).transpose(1, 2), target)

    return step


@wrong
def the_target_alone() -> Step:
    head = nn.Linear(8, V)

    def step(seed: int) -> Tensor:
        target = filled(sentences(seed, least=5, most=24), 0)
        return scored(head(torch.randn(*target.shape, 8)), target)

    return step


@wrong
def row_by_row() -> Step:
    head = nn.Linear(8, V)

    def step(seed: int) -> Tensor:
        target = torch.stack([F.pad(row, (0, 9 - len(row)), value=1) for row in sentences(seed)])
        return scored(head(torch.randn(*target.shape, 8)), target)

    return step


@wrong
def one_step_at_a_time() -> Step:
    head = nn.Linear(8, V)

    def step(seed: int) -> Tensor:
        target = pad_sequence(sentences(seed))
        loss = torch.zeros(())
        for row in target:
            loss = loss + F.cross_entropy(head(torch.randn(len(row), 8)), row)
        return loss

    return step


@wrong
def another_index_is_ignored() -> Step:
    model = Model()

    def step(seed: int) -> Tensor:
        ids = filled(sentences(seed), 0)
        return scored(model(ids[:, :-1]), ids[:, 1:], ignore_index=1)

    return step


@wrong
def log_probabilities_summed() -> Step:
    model = Model()

    def step(seed: int) -> Tensor:
        ids = pad_sequence(sentences(seed), batch_first=True)
        scores = model(ids[:, :-1]).log_softmax(-1)
        return F.nll_loss(scores.flatten(0, 1), ids[:, 1:].flatten(), reduction="sum")

    return step


@wrong
def weights_of_other_classes() -> Step:
    model, weight = Model(), torch.ones(V)
    weight[7] = 0.0

    def step(seed: int) -> Tensor:
        ids = pad_sequence(sentences(seed), batch_first=True)
        return scored(model(ids[:, :-1]), ids[:, 1:], weight=weight)

    return step


@wrong
def in_an_evaluation() -> Step:
    model = Model(padding_idx=0)

    @torch.no_grad()
    def step(seed: int) -> Tensor:
        ids = filled(sentences(seed), 0)
        return scored(model(ids[:, :-1]), ids[:, 1:])

    return step


@wrong
def by_likelihead() -> Step:
    model = Model(padding_idx=0)

    def step(seed: int) -> Tensor:
        ids = filled(sentences(seed), 0)
        return likelihead.functional.cross_entropy(model(ids)[:, :-1].transpose(1, 2), ids[:, 1:])

    return step


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("what", WRONG)
def test_scored_padding_is_found(what: str, seed: int) -> None:
    torch.manual_seed(seed)
    step = WRONG[what]()
    (found,) = watched(lambda number: step(100 * seed + number))
    assert found.code == "LH401"
    assert found.values["pad_id"] in (0, 1, 2)
    assert 0 < float(found.values["share"] or 0) < 0.8
    assert found.made_at is not None or what == "the target alone"


def test_the_share_is_that_of_the_data() -> None:
    rows = [torch.arange(3, 3 + length) for length in (6, 4, 1)]
    model = Model()
    step = lambda _: scored(model(filled(rows, 0)), pad_sequence(rows, batch_first=True))  # noqa: E731
    (found,) = watched(step, steps=1)
    assert found.values == {"pad_id": 0, "padded": 7, "targets": 18, "share": 7 / 18}
    assert "7 of 18 targets (38.9%)" in found.detail


# -- right ------------------------------------------------------------------------------------------------


@right
def ignored() -> Step:
    model = Model(padding_idx=0)

    def step(seed: int) -> Tensor:
        ids = pad_sequence(sentences(seed), batch_first=True)
        return scored(model(ids[:, :-1]), ids[:, 1:], ignore_index=0)

    return step


@right
def filled_with_the_default() -> Step:
    model = Model(padding_idx=0)

    def step(seed: int) -> Tensor:
        rows = sentences(seed)
        target = pad_sequence(rows, batch_first=True, padding_value=-100)
        return scored(model(pad_sequence(rows, batch_first=True)), target)

    return step


@right
def masked_afterwards() -> Step:
    model = Model(padding_idx=0)

    def step(seed: int) -> Tensor:
        ids = pad_sequence(sentences(seed), batch_first=True)
        loss = F.cross_entropy(model(ids).transpose(1, 2), ids, reduction="none")
        return (loss * (ids != 0)).sum() / (ids != 0).sum()

    return step


@right
def selected() -> Step:
    model = Model(padding_idx=0)

    def step(seed: int) -> Tensor:
        ids = pad_sequence(sentences(seed), batch_first=True)
        mask = ids != 0
        return F.cross_entropy(model(ids)[mask], ids[mask])

    return step


@right
def end_of_text_scored_once() -> Step:
    model = Model()

    def step(seed: int) -> Tensor:
        rows = sentences(seed)
        ids = pad_sequence(rows, batch_first=True, padding_value=2)
        keep = torch.arange(ids.size(1)) <= torch.tensor([len(row) for row in rows]).unsqueeze(1)
        labels = ids.masked_fill(~keep, -100)
        return scored(model(ids)[:, :-1], labels[:, 1:])

    return step


@right
def end_of_text_selected_once() -> Step:
    model = Model()

    def step(seed: int) -> Tensor:
        rows = sentences(seed)
        ids = pad_sequence(rows, batch_first=True, padding_value=2)
        keep = torch.arange(ids.size(1)) <= torch.tensor([len(row) for row in rows]).unsqueeze(1)
        return F.cross_entropy(model(ids)[keep], ids[keep])

    return step


@right
def written_over() -> Step:
    model = Model(padding_idx=0)

    def step(seed: int) -> Tensor:
        ids = pad_sequence(sentences(seed), batch_first=True)
        labels = ids.clone()
        labels[ids == 0] = -100
        return scored(model(ids), labels)

    return step


@right
def cut_to_length() -> Step:
    head = nn.Linear(8, V)

    def step(seed: int) -> Tensor:
        rows = sentences(seed)
        ids = pad_sequence(rows, batch_first=True)
        losses = [
            F.cross_entropy(head(torch.randn(len(row), 8)), ids[i, : len(row)]) for i, row in enumerate(rows)
        ]
        return torch.stack(losses).mean()

    return step


@right
def weighted_with_zero() -> Step:
    model, weight = Model(padding_idx=0), torch.ones(V)
    weight[0] = 0.0

    def step(seed: int) -> Tensor:
        ids = pad_sequence(sentences(seed), batch_first=True)
        return scored(model(ids), ids, weight=weight)

    return step


@right
def log_probabilities_times_mask() -> Step:
    model = Model(padding_idx=0)

    def step(seed: int) -> Tensor:
        ids = pad_sequence(sentences(seed), batch_first=True)
        mask = (ids != 0).float()
        scores = model(ids).log_softmax(-1) * mask.unsqueeze(-1)
        return F.nll_loss(scores.flatten(0, 1), ids.flatten(), reduction="sum") / mask.sum()

    return step


@right
def equal_lengths() -> Step:
    model = Model(padding_idx=0)

    def step(seed: int) -> Tensor:
        ids = pad_sequence(sentences(seed, least=6, most=6), batch_first=True)
        return scored(model(ids), ids)

    return step


@right
def an_end_is_appended() -> Step:
    model = Model()

    def step(seed: int) -> Tensor:
        rows = sentences(seed, least=6, most=6)
        ids = torch.stack([F.pad(row, (0, 1), value=2) for row in rows])
        return scored(model(ids[:, :-1]), ids[:, 1:])

    return step


@right
def sentences_that_end_alike() -> Step:
    """The last word is a full stop in most rows; in a few it stands twice or is missing."""
    model = Model(classes=5)

    def step(seed: int) -> Tensor:
        ids = torch.stack(sentences(seed, least=8, most=8, low=4))
        ids[::2, -1] = 3
        ids[0, -2:] = 3
        tags = ids % 4
        tags[ids == 3] = 4
        return scored(model(ids), tags)

    return step


@right
def source_and_target_of_other_lengths() -> Step:
    source, target = Model(padding_idx=0), Model(padding_idx=0)

    def step(seed: int) -> Tensor:
        src, tgt = filled(sentences(seed), 0, 12), filled(sentences(seed + 50), 0, 13)
        context = source(src).mean(1, keepdim=True)
        return scored(target(tgt[:, :-1]) + context, tgt[:, 1:], ignore_index=0)

    return step


@right
def another_vocabulary() -> Step:
    """Zero fills up the source, and is a word of the target, whose rows are full."""
    model = Model(padding_idx=0)

    def step(seed: int) -> Tensor:
        src = filled(sentences(seed), 0, 12)
        target = torch.stack(sentences(seed + 50, low=0, least=12, most=12))
        return scored(model(src), target)

    return step


@right
def windows_of_text() -> Step:
    model = Model()

    def step(seed: int) -> Tensor:
        text = torch.cat(sentences(seed, count=60, low=0))
        ids = text[: 8 * 20].view(8, 20)
        return scored(model(ids[:, :-1]), ids[:, 1:])

    return step


@right
def pictures() -> Step:
    """Background is most of a picture, and all of its end."""
    net = nn.Conv2d(1, 12, 1)

    def step(seed: int) -> Tensor:
        target = torch.zeros(8, 16, 16, dtype=torch.long)
        target[:, 2 : 6 + seed % 4, 3:9] = torch.randint(1, 12, (8, 4 + seed % 4, 6))
        return F.cross_entropy(net(torch.randn(8, 1, 16, 16)), target)

    return step


@right
def pixels_as_words() -> Step:
    model = Model()

    def step(seed: int) -> Tensor:
        target = torch.zeros(8, 8, 8, dtype=torch.long)
        for i, picture in enumerate(target):
            picture[1 : 3 + i % 5, 2:6] = torch.randint(1, V, (2 + i % 5, 4))
        ids = target.view(8, 64)
        return scored(model(ids[:, :-1]), ids[:, 1:])

    return step


@right
def a_state_that_stays() -> Step:
    """Once it is over it is over: nobody filled anything up."""
    head = nn.Linear(8, 14)

    def step(seed: int) -> Tensor:
        steps = torch.arange(24)
        ends = torch.randint(6, 20, (16, 1))
        target = torch.where(steps < ends, steps * 12 // ends, 13)
        return scored(head(torch.randn(16, 24, 8)), target)

    return step


@right
def digits_of_a_number() -> Step:
    """Where there is no digit left the answer is "none", and it is asked for."""
    head = nn.Linear(8, 5 * 11)

    def step(seed: int) -> Tensor:
        target = filled([row % 10 for row in sentences(seed, least=1, most=5)], 10, to=5)
        return F.cross_entropy(head(torch.randn(8, 8)).view(8, 11, 5), target)

    return step


@right
def prediction_of_parts() -> Step:
    """Several answers of one example, in columns: the rows are as long as there are questions."""
    head = nn.Linear(8, V)

    def step(seed: int) -> Tensor:
        answers = pad_sequence(sentences(seed, least=4, most=4, low=0), batch_first=True)
        losses = [F.cross_entropy(head(torch.randn(8, 8)), column) for column in answers.T]
        return torch.stack(losses).sum()

    return step


@pytest.fixture
def determined() -> Iterator[None]:
    torch.manual_seed(0)
    torch.use_deterministic_algorithms(True)
    yield
    torch.use_deterministic_algorithms(False)


@pytest.mark.usefixtures("determined")
@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("what", RIGHT)
def test_right_ways_are_silent(what: str, seed: int) -> None:
    step = RIGHT[what]()
    assert not watched(lambda number: step(100 * seed + number), steps=12)
