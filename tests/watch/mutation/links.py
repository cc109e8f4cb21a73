"""LH101 to LH110 and LH112: an activation at the call of the loss, in the spellings in which one is met.

Those in the model (in its forward, behind its last layer, at the end of a Sequential) are the lint's.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator

from lint.mutation.source import Edit, Mutant
from watch.mutation.calls import Call, WatchedScript, calls

Mutants = Iterator[Mutant | None]

SOFTMAX = (
    "torch.softmax(z, 1)",
    "z.softmax(dim=1)",
    "torch.nn.functional.softmax(z, dim=1)[:]",
    "torch.nn.Softmax(dim=1)(z)",
    "torch.cat([z.softmax(1)], 0)",
    "torch.stack([z.softmax(1), z.softmax(1)]).mean(0)",
    "z.softmax(1).double().to(z.dtype)",
    "z.softmax(1).clamp(1e-7, 1 - 1e-7)",
    "torch.stack([z.softmax(1)])[0]",
    "z.softmax(1).unsqueeze(-1).squeeze(-1).contiguous()",
    "0.5 * z.softmax(1) + 0.5 * z.softmax(1)",
    "z.log_softmax(1).exp()",
    "z.detach().requires_grad_().softmax(1)",
    "torch.nn.Sequential(torch.nn.Identity(), torch.nn.Softmax(1))(z)",
    "z.float().softmax(1, dtype=torch.float64).float()",
    "torch.nn.functional.softmin(-z, dim=1)",
)
SIGMOID = (
    "torch.sigmoid(z)",
    "z.sigmoid()",
    "torch.nn.Sigmoid()(z)",
    "torch.nn.functional.sigmoid(z)",
    "torch.special.expit(z)",
    "torch.cat([z[:1].sigmoid(), z[1:].sigmoid()])",
    "z.sigmoid().clamp(1e-6, 1 - 1e-6)",
    "z.sigmoid().reshape(z.shape)",
    "torch.nn.functional.logsigmoid(z).exp()",
    "z.clone().sigmoid_()",
    "z.sigmoid().to(torch.bfloat16).to(z.dtype)",
)
LOG_SOFTMAX = (
    "z.log_softmax(1)",
    "torch.log_softmax(z, dim=1)",
    "torch.nn.LogSoftmax(1)(z)",
    "torch.nn.functional.log_softmax(z, 1)[:]",
    "torch.special.log_softmax(z, 1)",
)
OF_SOFTMAX = (
    "torch.log(torch.softmax(z, 1))",
    "z.softmax(1).log()",
    "torch.nn.functional.softmax(z, dim=1).log()[:]",
    "torch.nn.Softmax(1)(z).log()",
)


def _plain(call: Call) -> bool:
    """Whether the loss is not there to pick an entry, nor of what has been activated at the call already."""
    return call.option("reduction") != "'none'"


def _turned(script: WatchedScript, spellings: tuple[str, ...], turn: int) -> list[str]:
    """Three of the spellings, other ones for each script."""
    start = sum(map(ord, script.name)) + turn
    return [spellings[(start + 5 * k) % len(spellings)] for k in range(3)]


def into_cross_entropy(script: WatchedScript) -> Mutants:
    for turn, call in enumerate(calls(script)):
        if call.kind != "ce" or not _plain(call):
            continue
        for code, spellings in (
            ("LH101", SOFTMAX), ("LH102", SIGMOID), ("LH103", LOG_SOFTMAX), ("LH110", OF_SOFTMAX),
        ):  # fmt: skip
            for text in _turned(script, spellings, turn):
                yield script.mutant(code, text, call.with_input(text), [call.node])


def into_nll(script: WatchedScript) -> Mutants:
    """The input has been log-probabilities: their exp is a softmax, a softmax of them one again."""
    for turn, call in enumerate(calls(script)):
        if call.kind != "nll" or not _plain(call):
            continue
        for text in ("z.exp()", "torch.exp(z)[:]", *_turned(script, SOFTMAX[:11], turn)):
            yield script.mutant("LH104", text, call.with_input(text), [call.node])
        for text in ("z.exp().log()", "torch.log(torch.exp(z))"):
            yield script.mutant("LH110", text, call.with_input(text), [call.node])


def into_binary(script: WatchedScript) -> Mutants:
    for turn, call in enumerate(calls(script)):
        if call.kind != "logits":
            continue
        for text in _turned(script, SIGMOID, turn):
            yield script.mutant("LH106", text, call.with_input(text), [call.node])
        for text in ("torch.softmax(z, -1)", "z.softmax(0)", "torch.nn.Softmax(-1)(z)[:]"):
            yield script.mutant("LH107", text, call.with_input(text), [call.node])


def out_of_probabilities(script: WatchedScript) -> Mutants:
    """Logits where probabilities have been: by the inverse of the sigmoid, which the scripts end in."""
    for call in calls(script):
        if call.kind != "probs":
            continue
        for text in (
            "torch.logit(z, 1e-6)",
            "torch.special.logit(z, 1e-4) - 1",
            "z.clamp(1e-3, 0.999).logit() * 3",
        ):
            yield script.mutant("LH108", text, call.with_input(text), [call.node])


def logits_into_bce(script: WatchedScript) -> Mutants:
    for call in calls(script):
        if call.kind != "logits" or call.option("pos_weight") or call.node is not call.made:
            continue
        rename = script.replace(call.node.func, "torch.nn.functional.binary_cross_entropy")
        yield script.mutant("LH108", "of logits", [rename], [call.node])
        for text in SIGMOID[:3]:
            edits: list[Edit] = [rename, *call.with_input(text)]
            yield script.mutant("LH109", f"of {text}", edits, [call.node])


def over_the_wrong_dimension(script: WatchedScript) -> Mutants:
    for call in calls(script):
        if call.kind != "nll" or not _plain(call) or "scores" in ast.unparse(call.input):
            continue  # the rows of a square matrix are classes as well
        for text in ("z.log_softmax(0)", "torch.log_softmax(z, dim=0)[:]", "torch.nn.LogSoftmax(0)(z)"):
            yield script.mutant("LH112", text, call.with_input(text), [call.node])


WAYS = (
    into_cross_entropy,
    into_nll,
    into_binary,
    out_of_probabilities,
    logits_into_bce,
    over_the_wrong_dimension,
)
