"""Instructions, the loops among them, and what each loop moves and does."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

Where = tuple[str, ...]
"""The places in the source that an instruction comes from, innermost first, each as ``file:line``."""


@dataclass(frozen=True)
class Access:
    """A load or a store of device memory by one thread.

    Attributes:
        kind: ``"load"`` or ``"store"``.
        bytes: that it moves.
        parameters: of the kernel, that its address is formed from, where that is known.
    """

    kind: str
    bytes: int
    parameters: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Instruction:
    """One machine instruction, in the terms that both vendors share.

    Attributes:
        text: as the disassembler has it.
        opcode: with its suffixes.
        labels: of the place it stands at.
        targets: labels that it may jump to.
        continues: False where the next instruction is reached by a jump alone.
        where: in the source.
        access: what it moves from or to device memory.
    """

    text: str
    opcode: str
    labels: tuple[str, ...] = ()
    targets: tuple[str, ...] = ()
    continues: bool = True
    where: Where = ()
    access: Access | None = None


@dataclass
class Region:
    """A loop without the loops inside it; or, with no header, what stands in no loop."""

    instructions: list[Instruction]
    header: int | None = None
    parent: Region | None = None

    @property
    def is_loop(self) -> bool:
        return self.header is not None

    def accesses(self, kind: str) -> list[tuple[Instruction, Access]]:
        return [
            (at, at.access) for at in self.instructions if at.access is not None and at.access.kind == kind
        ]


def _edges(code: Sequence[Instruction]) -> list[list[int]]:
    places = {label: index for index, at in enumerate(code) for label in at.labels}
    edges = []
    for index, at in enumerate(code):
        after = [places[label] for label in at.targets if label in places]
        if at.continues and index + 1 < len(code):
            after.append(index + 1)
        edges.append(after)
    return edges


def _blocks(edges: list[list[int]]) -> tuple[list[range], list[list[int]]]:
    """Basic blocks, and the blocks that follow each."""
    starts = {0}
    for index, after in enumerate(edges):
        if after != [index + 1]:
            starts |= {index + 1, *after}
    starts.discard(len(edges))
    ordered = sorted(starts)
    blocks = [range(a, b) for a, b in zip(ordered, [*ordered[1:], len(edges)], strict=True)]
    number = {block.start: index for index, block in enumerate(blocks)}
    return blocks, [[number[place] for place in edges[block[-1]]] for block in blocks]


def _reachable(after: list[list[int]]) -> list[int]:
    """Blocks from the entry, each before what it leads to as far as there are no loops."""
    seen, order = {0}, []
    stack = [(0, iter(after[0]))]
    while stack:
        block, rest = stack[-1]
        following = next((place for place in rest if place not in seen), None)
        if following is None:
            order.append(block)
            stack.pop()
        else:
            seen.add(following)
            stack.append((following, iter(after[following])))
    return order[::-1]


def _dominators(order: list[int], before: dict[int, list[int]]) -> dict[int, frozenset[int]]:
    everything = frozenset(order)
    dominators = dict.fromkeys(order, everything) | {0: frozenset({0})}
    changed = True
    while changed:
        changed = False
        for block in order[1:]:
            shared = frozenset.intersection(*(dominators[b] for b in before[block])) | {block}
            if shared != dominators[block]:
                dominators[block], changed = shared, True
    return dominators


def regions(code: Sequence[Instruction]) -> list[Region]:
    """The loops of a program, outer before inner, behind one region for what stands in none.

    A loop is what can reach a jump back to its header without leaving through it (a natural loop), so code
    that the compiler moved out of line is counted where it belongs.
    """
    blocks, after = _blocks(_edges(code))
    order = _reachable(after)
    before: dict[int, list[int]] = {block: [] for block in order}
    for block in order:
        for following in after[block]:
            before[following].append(block)
    dominators = _dominators(order, before)

    bodies: dict[int, set[int]] = {}
    for block in order:
        for header in after[block]:
            if header in dominators[block]:
                body = bodies.setdefault(header, {header})
                stack = [block]
                while stack:
                    if (inside := stack.pop()) not in body:
                        body.add(inside)
                        stack += before[inside]

    outside = Region([])
    found = {header: Region([], header=blocks[header].start) for header in bodies}
    by_size = sorted(bodies, key=lambda header: -len(bodies[header]))
    for position, header in enumerate(by_size):
        around = [other for other in by_size[:position] if header in bodies[other]]
        found[header].parent = found[around[-1]] if around else outside
    for block in sorted(order):
        inner = [header for header in by_size if block in bodies[header]]
        region = found[inner[-1]] if inner else outside
        region.instructions += [code[index] for index in blocks[block]]
    return [outside, *(found[header] for header in by_size)]
