"""One report over the processes of a distributed run, which torchrun started.

At its end each rank leaves its record in the store of torchrun, which outlives the ranks and their process
groups, and rank 0 puts them together. No collective is called: at the end of a run some ranks may be gone.
"""

from __future__ import annotations

import os
import pickle
import time
from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

from likelihead.watch import shares
from likelihead.watch.record import Classes, Finding, Note, Record, Site

if TYPE_CHECKING:
    from torch._C._distributed_c10d import Store

__all__ = ["PATIENCE", "gathered", "merged", "rank", "world_size"]

# Seconds that rank 0 waits for the others: where one was killed, torchrun kills the rest 30 seconds later.
PATIENCE = 20.0
_FAILED_PATIENCE = 5.0  # where something went wrong: others may be gone


def rank() -> int:
    """Of this process, as torchrun numbers them; 0 where it is alone."""
    return _number("RANK", 0)


def world_size() -> int:
    """How many processes the run has."""
    return _number("WORLD_SIZE", 1)


def gathered(record: Record) -> Record | None:
    """The record of all ranks, on rank 0; on another, which leaves its own for it, None."""
    world = world_size()
    if world < 2:
        return record
    records, why = {rank(): record}, "they were not started by torchrun"
    if os.environ.get("TORCHELASTIC_USE_AGENT_STORE") == "True":
        why = "they left no record in time"
        try:
            store = _store()
            if rank() > 0:
                store.set(str(rank()), pickle.dumps(record))  # type: ignore[arg-type]
            else:
                patience = PATIENCE if record.ended == "finished" else _FAILED_PATIENCE
                records |= _left(store, range(1, world), patience)
        except Exception as error:  # the store's agent may be gone; so may be the network
            why = f"the store of torchrun does not answer ({type(error).__name__})"
    if rank() > 0:
        return None
    result = merged(records)
    missing = [str(number) for number in range(world) if number not in records]
    if missing:
        text = f"This report is without {_ranks(missing)} of {world}: {why}."
        result.notes.append(Note("children", text))
    return result


def merged(records: Mapping[int, Record]) -> Record:
    """One record of those of several ranks; curves and costs are the lowest rank's."""
    numbers = sorted(records)
    first = records[numbers[0]]
    everything = [records[number] for number in numbers]
    sites: dict[object, Site] = {}
    findings: dict[object, Finding] = {}
    for number in numbers:
        for site in records[number].sites:
            key = site.function, site.at, site.phase
            sites[key] = _site(sites[key], site) if key in sites else site
        for finding in records[number].findings:
            where = finding.code, finding.at
            found = findings.get(where, replace(finding, count=0))
            findings[where] = replace(
                found,
                count=found.count + finding.count,
                step=min(found.step, finding.step),
                ranks=(*found.ranks, number),
            )
    for finding in shares.compared(records):
        findings[finding.code, finding.at] = finding
    return replace(
        first,
        parts=[],
        ended=_ended(records),
        seconds=max(record.seconds for record in everything),
        steps=max(record.steps for record in everything),
        sites=list(sites.values()),
        findings=sorted(
            findings.values(),
            key=lambda finding: ("EWI".index(finding.hazard.severity), finding.step, finding.code),
        ),
        notes=_notes(everything),
        compiled=sorted({place for record in everything for place in record.compiled}),
        ranks=len(numbers),
    )


def _store() -> Store:
    from torch import distributed

    address, port = os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"])
    server = (address, port, None, False, timedelta(seconds=5))
    store = distributed.TCPStore(*server)  # type: ignore[attr-defined]
    # The store goes on from one start of the ranks to the next.
    prefix = f"likelihead/watch/{os.environ.get('TORCHELASTIC_RESTART_COUNT', '0')}"
    found: Store = distributed.PrefixStore(prefix, store)  # type: ignore[attr-defined]
    return found


def _left(store: Store, ranks: Iterable[int], patience: float) -> dict[int, Record]:
    records = {}
    until = time.monotonic() + patience
    for number in ranks:
        try:
            # At least a moment each, so that who has left a record is heard after one who has not.
            store.wait([str(number)], timedelta(seconds=max(until - time.monotonic(), 0.1)))
        except RuntimeError:  # as torch raises where nothing came in time
            continue
        records[number] = pickle.loads(store.get(str(number)))
    return records


def _site(one: Site, other: Site) -> Site:
    return replace(
        one,
        calls=one.calls + other.calls,
        looked_at=one.looked_at + other.looked_at,
        classes=_classes(one.classes, other.classes),
    )


def _classes(one: Classes | None, other: Classes | None) -> Classes | None:
    if one is None or other is None or one.classes != other.classes:
        return one or other
    counts = {
        label: one.counts.get(label, 0) + other.counts.get(label, 0)
        for label in sorted(one.counts.keys() | other.counts.keys())
    }
    seen = {label for label, number in counts.items() if number}
    return Classes(
        classes=one.classes,
        counts=counts,
        ignored=one.ignored + other.ignored,
        unseen=[label for label in one.unseen if label not in seen],
        unseen_count=max(one.classes - len(seen), 0),
    )


def _notes(records: Iterable[Record]) -> list[Note]:
    """Each of them once; that a label was never seen, where no rank has seen it."""
    sets = [dict.fromkeys(record.notes) for record in records]
    return [
        note
        for note in dict.fromkeys(note for notes in sets for note in notes)
        if note.kind != "unseen-label" or all(note in notes for notes in sets)
    ]


def _ended(records: Mapping[int, Record]) -> str:
    """What went wrong first of all: a rank that is killed was so for another that failed."""
    own = records[min(records)].ended
    if own != "finished" and not own.startswith("killed"):
        return own
    for number in sorted(records):
        ended = records[number].ended
        if ended != "finished" and not ended.startswith("killed"):
            return f"{ended} on rank {number}"
    return own


def _ranks(numbers: list[str]) -> str:
    return f"rank {numbers[0]}" if len(numbers) == 1 else f"ranks {', '.join(numbers)}"


def _number(name: str, default: int) -> int:
    text = os.environ.get(name, "")
    return int(text) if text.isdecimal() else default
