"""One record of several ranks: what is added up, what is kept, and what is said of a rank that left none."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from torch.distributed import TCPStore

from likelihead.watch import ranks
from likelihead.watch.ranks import gathered, merged
from likelihead.watch.record import Classes, Curve, Finding, Note, Part, Place, Record, Site

HERE, THERE = Place("a.py", 3), Place("a.py", 9)


def record(rank: int, **fields: object) -> Record:
    site = Site(
        "cross_entropy",
        HERE,
        calls=5 + rank,
        loss=Curve([0], [float(rank)]),
        classes=Classes(3, {rank: 4}, ignored=1, unseen=[n for n in range(3) if n != rank], unseen_count=2),
    )
    findings = [Finding("LH703", HERE, "far above", step=rank)]
    if rank:
        findings += [Finding("LH101", THERE, "a softmax", step=2, count=3)]
    notes = [Note("unseen-label", f"{rank} is seen alone"), Note("unseen-label", "2 was never a target")]
    return Record(["a.py"], steps=10 + rank, sites=[site], findings=findings, notes=notes, **fields)  # type: ignore[arg-type]


def test_what_ranks_saw_is_added_up() -> None:
    whole = merged({1: record(1), 0: record(0)})
    (site,) = whole.sites
    assert (site.calls, site.loss.values, whole.steps, whole.ranks) == (11, [0.0], 11, 2)
    assert site.classes == Classes(3, {0: 4, 1: 4}, ignored=2, unseen=[2], unseen_count=1)
    assert [(found.code, found.count, found.step, found.ranks) for found in whole.findings] == [
        ("LH101", 3, 2, (1,)),
        ("LH703", 2, 0, (0, 1)),
    ]
    assert [note.text for note in whole.notes] == ["2 was never a target"]
    assert whole.has_errors


@pytest.mark.parametrize(
    ("ends", "ended"),
    [
        (["finished", "finished"], "finished"),
        (["killed by SIGTERM", "raised ValueError"], "raised ValueError on rank 1"),
        (["raised KeyError", "raised ValueError"], "raised KeyError"),
        (["killed by SIGTERM", "finished"], "killed by SIGTERM"),
    ],
)
def test_how_the_run_ended_is_what_went_wrong_first(ends: list[str], ended: str) -> None:
    records = {number: record(number, ended=end) for number, end in enumerate(ends)}
    assert merged(records).ended == ended


@pytest.fixture
def as_rank(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """This process as one of two ranks, beside a store as torchrun's."""
    server = TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False, timeout=timedelta(seconds=5))

    def become(number: int, world: int = 2) -> None:
        for name, value in {
            "RANK": number,
            "WORLD_SIZE": world,
            "MASTER_ADDR": "127.0.0.1",
            "MASTER_PORT": server.port,
            "TORCHELASTIC_USE_AGENT_STORE": "True",
        }.items():
            monkeypatch.setenv(name, str(value))

    monkeypatch.setattr(ranks, "PATIENCE", 0.2)
    return become


def test_rank_0_has_the_records_of_all(as_rank: Callable[..., None]) -> None:
    as_rank(1)
    assert gathered(record(1)) is None
    as_rank(0)
    whole = gathered(record(0))
    assert whole is not None
    assert whole == merged({0: record(0), 1: record(1)})


def test_a_rank_that_left_no_record_is_named(
    as_rank: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    as_rank(2, 4)
    gathered(record(2))
    as_rank(0, 4)
    whole = gathered(record(0))
    assert whole is not None
    assert whole.ranks == 2
    said = "This report is without ranks 1, 3 of 4: they left no record in time."
    assert said in [note.text for note in whole.notes]
    monkeypatch.setenv("TORCHELASTIC_USE_AGENT_STORE", "False")
    whole = gathered(record(0))
    assert whole is not None
    assert "without ranks 1, 2, 3 of 4: they were not started by torchrun" in whole.notes[-1].text


def test_a_process_alone_keeps_its_record() -> None:
    alone = record(0)
    assert gathered(alone) is alone


def part(rank: int, step: int, loss: float, count: float, line: int = 3) -> Part:
    return Part("cross_entropy", Place("a.py", line), step, loss, loss * count, count)


def test_uneven_parts_are_one_finding_with_both_losses() -> None:
    records = {
        0: record(0, parts=[part(0, step, 1.0, 30) for step in range(3)]),
        1: record(1, parts=[part(1, step, 3.0 + step, 10) for step in range(3)]),
    }
    whole = merged(records)
    (finding,) = [one for one in whole.findings if one.code == "LH503"]
    assert (finding.count, finding.step, finding.ranks, str(finding.at)) == (3, 0, (0, 1), "a.py:3")
    assert finding.values["optimised"] == 3.0  # at the step where they are furthest apart
    assert finding.values["meant"] == 2.0
    assert "at step 2 there are 30 on rank 0, 10 on rank 1" in finding.detail
    assert (finding.values["count_on_rank_0"], finding.values["count_on_rank_1"]) == (30, 10)
    assert whole.parts == []


@pytest.mark.parametrize(
    "second",
    [
        [part(1, step, 3.0, 30) for step in range(3)],  # even
        [part(1, step, 3.0, 29.5) for step in range(3)],  # nearly
        [part(1, step, 3.0, 10 if step == 2 else 30) for step in range(3)],  # the last of an epoch
        [part(1, step, 3.0, 10, line=9) for step in range(3)],  # another loss
        [],  # nothing that can be compared
    ],
)
def test_parts_that_do_not_differ_say_nothing(second: list[Part]) -> None:
    first = record(0, parts=[part(0, step, 1.0, 30) for step in range(3)])
    whole = merged({0: first, 1: record(1, parts=second)})
    assert "LH503" not in [finding.code for finding in whole.findings]


def test_a_note_is_said_once() -> None:
    records = {n: record(n) for n in range(2)}
    for number, one in records.items():
        one.notes = [Note("dtype", "of all", HERE), Note("fault", f"of {number}", HERE)]
    assert [note.text for note in merged(records).notes] == ["of all", "of 0", "of 1"]


# -- real ranks ------------------------------------------------------------------------------------------

TRAIN = """
import json, os, sys
import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.nn.parallel import DistributedDataParallel

dist.init_process_group("gloo")
rank, world = dist.get_rank(), dist.get_world_size()

def total(y):
    count = torch.tensor(float(len(y)))
    dist.all_reduce(count)
    return count

def sharded(model):
    mesh = init_device_mesh("cpu", (world,))
    for part in (model[0], model):
        fully_shard(part, mesh=mesh)
    return model

CASES = {
    "uneven": (DistributedDataParallel, lambda z, y: F.cross_entropy(z, y)),  # LH503
    "fsdp": (sharded, lambda z, y: F.cross_entropy(z, y)),  # LH503
    "alone": (lambda model: model, lambda z, y: F.cross_entropy(z, y)),
    "even": (DistributedDataParallel, lambda z, y: F.cross_entropy(z, y)),
    "scaled": (DistributedDataParallel, lambda z, y: F.cross_entropy(z, y) * len(y) * world / total(y)),
    "sums": (DistributedDataParallel, lambda z, y: F.cross_entropy(z, y, reduction="sum") * world / total(y)),
    "fsdp sums": (sharded, lambda z, y: F.cross_entropy(z, y, reduction="sum") / (total(y) / world)),
}
said, weights = {}, []
for name, (wrap, loss_of) in CASES.items():
    torch.manual_seed(0)
    model = wrap(nn.Sequential(nn.Linear(6, 16), nn.ReLU(), nn.Linear(16, 3)))
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.01)
    torch.manual_seed(rank)
    for step in range(3):
        size = 16 if rank == 0 or name == "even" else 5
        x, y = torch.randn(size, 6), torch.randint(3, (size,))
        optimizer.zero_grad()
        loss = loss_of(model(x), y)
        loss.backward()
        optimizer.step()
        said.setdefault(name, []).append((loss.item(), size))
    weights += [getattr(p, "to_local", lambda: p)().flatten().tolist() for p in model.parameters()]
with open(f"{sys.argv[1]}.{rank}", "w") as file:
    json.dump([said, weights, torch.get_rng_state().tolist()], file)
dist.barrier()
dist.destroy_process_group()
"""

LAUNCH = [
    *(sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2"),
    *("--rdzv-backend", "c10d", "--rdzv-endpoint", "localhost:0"),
]


def launched(folder: Path, script: str, *arguments: str, watched: bool = True) -> subprocess.Popen[str]:
    (folder / "a.py").write_text(script)
    ours = ["-m", "likelihead", "watch", "--json", str(folder / "r.json")] if watched else []
    command = [*LAUNCH, *ours, str(folder / "a.py"), *arguments]
    return subprocess.Popen(command, stderr=subprocess.PIPE, text=True)


def test_ranks_that_average_uneven_means_are_told_and_change_nothing(tmp_path: Path) -> None:
    bare = launched(tmp_path, TRAIN, str(tmp_path / "bare"), watched=False)
    run = launched(tmp_path, TRAIN, str(tmp_path / "watched"))
    for process in (bare, run):
        _, errors = process.communicate(timeout=120)
        assert process.returncode == 0, errors
    assert errors.count("likelihead watch") == 1
    for rank in range(2):
        assert (tmp_path / f"watched.{rank}").read_text() == (tmp_path / f"bare.{rank}").read_text()

    whole = json.loads((tmp_path / "r.json").read_text())
    lines = TRAIN.splitlines()
    marked = [number for number, line in enumerate(lines, 1) if line.endswith("# LH503")]
    found = [finding for finding in whole["findings"] if finding["code"].startswith("LH5")]
    assert sorted((one["code"], one["at"]["line"]) for one in found) == [("LH503", line) for line in marked]
    assert [note for note in whole["notes"] if note["kind"] in ("fault", "children")] == []
    assert whole["ranks"] == 2
    assert sum(site["calls"] for site in whole["sites"]) == 2 * 3 * 7

    said = [json.loads((tmp_path / f"watched.{rank}").read_text())[0]["uneven"] for rank in range(2)]
    (first,) = [one["values"] for one in found if one["at"]["line"] == marked[0]]
    both = [(a, b) for (a, _), (b, _) in zip(*said, strict=True)]
    assert any(first["optimised"] == pytest.approx((a + b) / 2) for a, b in both)
    assert any(first["meant"] == pytest.approx((16 * a + 5 * b) / 21) for a, b in both)
    assert (first["count_on_rank_0"], first["count_on_rank_1"]) == (16, 5)


FAIL = """
import os, sys
import torch
import torch.distributed as dist
dist.init_process_group("gloo")
x = torch.zeros(4, 3, requires_grad=True)
torch.nn.functional.cross_entropy(x, torch.tensor([0, 1, 2, 0])).backward()
dist.barrier()
if dist.get_rank() == 1:
    if sys.argv[1] == "kill":
        os.kill(os.getpid(), 9)
    raise ValueError("a bad batch")
dist.barrier()
"""


def test_a_rank_that_ends_early_keeps_its_exit_code_and_the_report_is_written(tmp_path: Path) -> None:
    runs = {}
    for way in ("raise", "kill"):
        (tmp_path / way).mkdir()
        runs[way] = launched(tmp_path / way, FAIL, way)
    reports, errors = {}, {}
    for way, run in runs.items():
        _, errors[way] = run.communicate(timeout=120)
        assert run.returncode == 1
        reports[way] = json.loads((tmp_path / way / "r.json").read_text())
        assert reports[way]["sites"][0]["calls"] == reports[way]["ranks"]

    assert "ValueError: a bad batch" in errors["raise"]
    assert "exitcode  : 1 " in errors["raise"]
    assert reports["raise"]["ranks"] == 2
    assert reports["raise"]["ended"] in ("raised RuntimeError", "raised ValueError on rank 1")

    assert "exitcode  : -9 " in errors["kill"]
    missing = [note["text"] for note in reports["kill"]["notes"] if note["kind"] == "children"]
    assert missing == ["This report is without rank 1 of 2: they left no record in time."]
