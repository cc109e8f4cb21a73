"""How the watch does on mutants and on right scripts: ``python -m watch.score``, tests/ being on the path.

Options: ``--codes LH101,LH104``; ``--most 60`` mutants of each hazard (all without it); ``--seeds 20`` of the
right scripts; ``--scripts NAME,...``; ``-v`` names what each right script was told.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path

from lint.mutation.source import Mutant
from watch.mutation.drive import Outcome, told, watched
from watch.mutation.inject import FOLLOWS, IN_THE_END, WATCHED, chosen
from watch.mutation.tasks import RIGHT, TRUE, text_of
from watch.running import SCRIPTS, scripts, true_hazards


def outcomes(mutants: Iterable[Mutant], folder: Path) -> list[Outcome]:
    """Run them one after another in this process."""
    return [
        told(
            mutant, folder / f"{mutant.code}-{number}", true=_true(mutant.script),
            follows=FOLLOWS, in_the_end=mutant.code in IN_THE_END,
        )
        for number, mutant in enumerate(mutants)
    ]  # fmt: skip


def _true(name: str) -> frozenset[str]:
    """The codes that hold for a right script by its nature."""
    return TRUE.get(name, frozenset()) if name in RIGHT else true_hazards(SCRIPTS / f"{name}.py")


def false_alarms(name: str, seed: int, folder: Path) -> list[str]:
    """What the watch tells of a right script, an example or a task beyond what holds for it by its nature."""
    path = SCRIPTS / f"{name}.py"
    if name in RIGHT:
        path = folder / f"{name}-{seed}.py"
        path.write_text(text_of(name, seed), encoding="utf-8")
    record, _, error = watched(path, ["--seed", str(seed)])
    told_of = [f"{f.code} in {f.at}" for f in record.findings if f.code not in _true(name)]
    faults = [f"fault: {note.text}" for note in record.notes if note.kind == "fault"]
    return told_of + faults + ([error] if error else [])


def right_names() -> list[str]:
    """The scripts, the tasks and the examples."""
    return [*(path.stem for path in scripts()), *RIGHT]


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--codes", default=",".join(sorted(WATCHED)))
    parser.add_argument("--most", type=int, default=100_000)
    parser.add_argument("--seeds", type=int, default=0)
    parser.add_argument("--scripts", default="")
    parser.add_argument("-v", action="store_true")
    args = parser.parse_args(arguments)
    total = caught = wrong = 0
    names = set(filter(None, args.scripts.split(",")))
    with tempfile.TemporaryDirectory() as folder:
        for code in filter(None, args.codes.split(",")):
            mutants = [m for m in chosen(code, args.most) if not names or m.script in names]
            done = outcomes(mutants, Path(folder))
            missed = [one for one in done if not one.caught]
            beside = [one for one in done if one.others or one.faults]
            total, caught = total + len(done), caught + len(done) - len(missed)
            wrong += len(beside)
            share = 1 - len(missed) / max(len(done), 1)
            print(
                f"{code}: {len(done)} mutants, {share:.1%} caught, {len(beside)} with another error",
                flush=True,
            )
            for one in missed:
                print(f"  MISSED {one}")
            for one in beside:
                print(f"  BESIDE {one}")
    if total:
        print(f"all: {caught} of {total} caught, {caught / total:.2%}; {wrong} with another error")
    alarms = runs = 0
    for name in right_names() if args.seeds else ():
        if names and name not in names:
            continue
        for seed in range(args.seeds):
            with tempfile.TemporaryDirectory() as own:
                found = false_alarms(name, seed, Path(own))
            runs, alarms = runs + 1, alarms + bool(found)
            if found or args.v:
                print(f"{name}, seed {seed}: {', '.join(found) or 'silent'}", flush=True)
    if runs:
        print(f"right scripts: {runs} runs, {alarms} with a false alarm")
    return int(caught < total or wrong > 0 or alarms > 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
