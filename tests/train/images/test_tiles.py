"""Tiles: every pixel once, and no seam between pieces."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from torch import nn

from likelihead.likelihoods import Bernoulli, Categorical
from likelihead.train.images.network import UNet
from likelihead.train.images.pictures import as_batch
from likelihead.train.images.tiles import cut, drawn_starts, pieces, tiles_in, windows


class Arrays:
    """Images in memory."""

    def __init__(self, images: list[NDArray[Any]]) -> None:
        self.images = images
        self.names = [str(i) for i in range(len(images))]

    def size(self, index: int) -> tuple[int, int]:
        height, width = self.images[index].shape[:2]
        return height, width

    def image(self, index: int) -> NDArray[Any]:
        return self.images[index]

    def mask(self, index: int) -> NDArray[np.int64]:
        raise NotImplementedError


def trained_net(widths: tuple[int, ...]) -> UNet:
    """A net whose normalisation has seen something, in evaluation mode."""
    net = UNet(3, widths, Categorical(4))
    with torch.no_grad():
        for module in net.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.running_mean.normal_(0, 0.1)  # type: ignore[union-attr]
                module.running_var.uniform_(0.05, 0.3)  # type: ignore[union-attr]
    return net.double().eval()


@pytest.mark.parametrize("widths", [(4,), (4, 6), (4, 6, 8)])
@pytest.mark.parametrize("size", [(64, 64), (61, 83), (16, 90)])
def test_pieces_join_to_the_answer_on_the_whole(widths: tuple[int, ...], size: tuple[int, int]) -> None:
    net = trained_net(widths)
    image = np.random.default_rng(0).integers(0, 256, (*size, 3), dtype=np.uint8)
    whole = net(as_batch([image], (0.5,) * 3, (0.3,) * 3).double())[0].detach()
    joined = torch.full_like(whole, torch.nan)
    net.float()
    for piece in pieces(net, Arrays([image]), [0], (16, 16), (0.5,) * 3, (0.3,) * 3):
        assert bool(joined[:, piece.rows, piece.columns].isnan().all())
        joined[:, piece.rows, piece.columns] = piece.logits[0].double()
    assert float((joined - whole).abs().max()) < 1e-4 * float(whole.abs().max())


def test_without_the_reach_there_are_seams() -> None:
    """The test above can fail."""
    net = trained_net((4, 6, 8)).float()
    image = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    whole = net(as_batch([image], (0.5,) * 3, (0.3,) * 3))[0].detach()
    net.reach = 4
    parts = list(pieces(net, Arrays([image]), [0], (16, 16), (0.5,) * 3, (0.3,) * 3))
    worst = max(float((p.logits[0] - whole[:, p.rows, p.columns]).abs().max()) for p in parts)
    assert worst > 1e-3 * float(whole.abs().max())


def test_small_images_of_one_size_go_together() -> None:
    draw = np.random.default_rng(0)
    images = [draw.integers(0, 256, (h, 8, 3), dtype=np.uint8) for h in (8, 8, 8, 7, 8)]
    net = trained_net((4, 6)).float()
    found = list(pieces(net, Arrays(images), range(5), (16, 16), (0.5,) * 3, (0.3,) * 3))
    assert [piece.indices for piece in found] == [[0, 1, 2], [3], [4]]
    alone = net(as_batch([images[1]], (0.5,) * 3, (0.3,) * 3))[0]
    assert torch.allclose(found[0].logits[1], alone, atol=1e-5)


@given(length=st.integers(1, 300), edge=st.integers(1, 64), margin=st.integers(0, 20))
def test_windows_cover_each_place_once(length: int, edge: int, margin: int) -> None:
    seen = np.zeros(length, dtype=int)
    for core, outer in windows(length, edge, margin):
        seen[core] += 1
        assert outer.start == max(core.start - margin, 0)
        assert outer.stop == min(core.start + edge + margin, length)
        assert outer.stop >= core.stop
    assert (seen == 1).all()


@given(length=st.integers(1, 300), edge=st.integers(1, 64), seed=st.integers(0, 99))
def test_drawn_tiles_lie_in_the_image(length: int, edge: int, seed: int) -> None:
    count = tiles_in((length, 1), (edge, 1))[0]
    starts = drawn_starts(length, edge, count, np.random.default_rng(seed))
    assert len(starts) == count
    assert all(0 <= start <= max(length - edge, 0) for start in starts)


def test_drawn_tiles_see_borders_and_middle() -> None:
    seen = np.zeros(100)
    for seed in range(400):
        for start in drawn_starts(100, 32, 4, np.random.default_rng(seed)):
            seen[start : start + 32] += 1
    assert seen.min() > 0.3 * seen.max()


def test_what_follows_where_an_image_ends() -> None:
    image = np.arange(6).reshape(2, 3, 1)
    tile = cut(image, 0, 0, (4, 4))
    assert tile[:, :, 0].tolist() == [[0, 1, 2, 2], [3, 4, 5, 5], [3, 4, 5, 5], [3, 4, 5, 5]]
    assert cut(np.ones((1, 1)), 0, 0, (2, 2), -100).tolist() == [[1, -100], [-100, -100]]


def test_a_binary_net_has_one_logit() -> None:
    net = UNet(1, (4, 6), Bernoulli())
    assert net(torch.zeros(2, 1, 9, 11)).shape == (2, 1, 9, 11)
