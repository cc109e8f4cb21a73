"""What a training takes is counted before it is allocated, and the counts are those of the networks."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from command import run
from likelihead.likelihoods import Categorical
from likelihead.train import footprint
from likelihead.train.footprint import Footprint, conv_net, mlp, recurrent, require, transformer, u_net
from likelihead.train.images.network import ConvNet, UNet
from likelihead.train.language.models import GRU, Transformer
from likelihead.train.table.models import MLP


def kept(model: nn.Module, *inputs: Tensor) -> int:
    """Bytes that a forward pass leaves for the backward one, each memory once, without the weights."""
    seen: dict[int, int] = {}
    weights = {p.untyped_storage().data_ptr() for p in model.parameters()}

    def pack(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in weights:
            seen[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        output = model(*inputs)
        output = output[0] if isinstance(output, tuple) else output
        output.square().sum()
    return sum(seen.values())


def numel(model: nn.Module) -> int:
    return sum(parameter.numel() for parameter in model.parameters())


@pytest.mark.parametrize("hidden", [(), (7,), (64, 32)])
def test_tables(hidden: tuple[int, ...]) -> None:
    model = MLP(5, hidden, nn.Linear(hidden[-1] if hidden else 5, 3))
    parameters, numbers = mlp(5, hidden, 3)
    assert parameters == numel(model)
    assert kept(model, torch.randn(100, 5)) <= 4 * 100 * numbers


@pytest.mark.parametrize("hidden", [(40,), (40, 24)])
def test_text(hidden: tuple[int, ...]) -> None:
    tokens = torch.zeros(4, 16, dtype=torch.long)
    model = GRU(50, hidden, nn.Linear(hidden[-1], 50))
    parameters, numbers = recurrent(50, hidden[0], hidden)
    assert parameters == numel(model)
    assert kept(model, tokens) == pytest.approx(4 * 64 * numbers, rel=0.7)
    model = Transformer(50, (32, 32), nn.Linear(32, 50))
    parameters, numbers = transformer(50, (32, 32))
    assert parameters == numel(model)
    assert kept(model, tokens) == pytest.approx(4 * 64 * numbers, rel=0.7)


@pytest.mark.parametrize("hidden", [(8,), (8, 16, 24)])
def test_images(hidden: tuple[int, ...]) -> None:
    images = torch.randn(2, 3, 32, 32)
    for make, count in ((UNet, u_net), (ConvNet, conv_net)):
        model = make(3, hidden, Categorical(4))
        parameters, numbers = count(3, hidden, 4, 32 * 32)
        assert parameters == numel(model)
        assert kept(model, images) == pytest.approx(4 * 2 * numbers, rel=0.5)


def test_the_sum_its_parts_and_the_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(footprint, "available", lambda: 2**30)
    require(Footprint(10**6, 100, 32, "row", 8), "adam")
    with pytest.raises(
        ValueError, match=r"network \(100,000,000 parameters\) 762\.9 MiB.*gradients.*--hidden"
    ):
        require(Footprint(10**8, 100, 32, "row", 8), "adam")
    with pytest.raises(ValueError, match=r"a batch of 10,000,000 rows .*--batch-size \d+"):
        require(Footprint(1000, 1000, 10**7, "row", 8), "sgd")
    monkeypatch.setattr(footprint, "available", lambda: None)
    require(Footprint(10**30, 100, 32, "row", 8), "adam")


def group(folder: Path, files: dict[str, object]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (folder / name).write_text(f"{content}\n")


def test_what_the_control_groups_leave(tmp_path: Path) -> None:
    """Of the unified hierarchy: each group above the process may be the one that is short."""
    root, own = tmp_path / "cgroup", tmp_path / "own"
    group(root, {"memory.max": "max", "memory.current": 10**9})
    group(
        root / "a", {"memory.max": 5000, "memory.current": 4000, "memory.stat": "anon 7\ninactive_file 300"}
    )
    group(root / "a/b", {"memory.max": 9000, "memory.current": 100})
    own.write_text("0::/a/b\n")
    assert sorted(footprint._of_the_groups(root, own)) == [1300, 8900]
    own.write_text("0::/a\n")
    assert footprint._of_the_groups(root, own) == [1300]
    # A container that sees its own group as the root, under the name that it has outside.
    group(root, {"memory.max": 2000, "memory.current": 500})
    own.write_text("0::/docker/0123\n")
    assert footprint._of_the_groups(root, own) == [1500]


def test_what_the_older_control_groups_leave(tmp_path: Path) -> None:
    root, own = tmp_path / "cgroup", tmp_path / "own"
    group(root / "memory/a", {"memory.limit_in_bytes": 700, "memory.usage_in_bytes": 600})
    group(root / "cpu/a", {"memory.limit_in_bytes": 1, "memory.usage_in_bytes": 0})
    own.write_text("4:cpu,cpuacct:/a\n3:memory:/a\n1:name=systemd:/a\nnonsense\n")
    assert footprint._of_the_groups(root, own) == [100]


def test_no_control_groups(tmp_path: Path) -> None:
    assert footprint._of_the_groups(tmp_path / "none", tmp_path / "neither") == []


def test_the_least_of_what_is_free_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(footprint, "_of_the_machine", lambda: 900)
    monkeypatch.setattr(footprint, "_of_the_groups", lambda: [800, -5000])
    monkeypatch.setattr(footprint, "_of_the_process", lambda: None)
    assert footprint.available() == 0
    monkeypatch.setattr(footprint, "_of_the_groups", lambda: [800])
    assert footprint.available() == 800
    monkeypatch.setattr(footprint, "_of_the_process", lambda: 700)
    assert footprint.available() == 700
    for name in ("_of_the_machine", "_of_the_process"):
        monkeypatch.setattr(footprint, name, lambda: None)
    monkeypatch.setattr(footprint, "_of_the_groups", lambda: [])
    assert footprint.available() is None


def test_the_columns_of_categories_are_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """4,000 rows of 50 + 1 features: 1.6 MB, of which a file of two columns does not look."""
    path = tmp_path / "c.csv"
    path.write_text("c,x,y\n" + "".join(f"c{i % 50},{i * 7 % 11},{i % 2}\n" for i in range(4000)))
    monkeypatch.setattr(footprint, "available", lambda: 2**20)
    line = run("train", path, "--target", "y", "--out", tmp_path / "r", code=2).stderr
    assert "4,000 rows of 51 features (a category is a feature) take 1.6 MiB of memory, and 1.0 MiB" in line
    monkeypatch.setattr(footprint, "available", lambda: 2**22)
    run("train", path, "--target", "y", "--epochs", 1, "--out", tmp_path / "r")


@pytest.mark.parametrize(
    "argv",
    [
        ("iris", "--hidden", 99999999),
        ("iris", "--hidden", 10**22),
        ("iris", "--hidden", "99999,99999"),
        ("digit-scenes", "--hidden", 99999),
        ("digit-scenes", "--task", "multilabel", "--image-size", 999999),
        ("stdlib", "--hidden", 199999),
    ],
)
def test_what_does_not_fit_is_refused_in_one_line(tmp_path: Path, argv: tuple[object, ...]) -> None:
    lines = run("train", *argv, "--out", tmp_path / "r", code=2).stderr.splitlines()
    assert len(lines) == 1
    assert "the training takes" in lines[0]
    assert not (tmp_path / "r").exists()


def test_batches_and_contexts_are_no_larger_than_the_data(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run("train", "iris", "--batch-size", 10**18, "--epochs", 1, "--out", tmp_path / "r")
    monkeypatch.setattr(footprint, "available", lambda: 2**28)
    line = run("train", "stdlib", "--batch-size", 10**8, "--out", tmp_path / "t", code=2).stderr
    assert "tokens" in line
    assert "--batch-size or --context" in line
