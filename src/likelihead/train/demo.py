"""The textbooks' 4-7-3 network on iris, trained both ways: ``python -m likelihead.train.demo``.

Once as logits into cross-entropy, once as a log-softmax into the NLL loss. Both are the same likelihood, so
from the same seed both arrive at the same weights.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from rich.console import Console
from rich.table import Table

from likelihead.train import Outcome, TrainConfig, train
from likelihead.train.run import read_model

__all__ = ["ACCURACY", "DIFFERENCE", "main"]

ACCURACY = 0.93
"""The least test accuracy that counts as trained."""

DIFFERENCE = 1e-6
"""The largest difference between two weights that counts as the same."""

_ROUTES = {
    "logits": "logits, CrossEntropyLoss, softmax",
    "log-probs": "LogSoftmax, NLLLoss, exp",
}


def main(epochs: int = 100) -> int:
    """Train both ways and print the two side by side.

    Returns:
        0; 1 where an accuracy is below :data:`ACCURACY` or the weights differ by more than
        :data:`DIFFERENCE`.
    """
    with tempfile.TemporaryDirectory() as scratch:
        outcomes: dict[str, Outcome] = {}
        for output in _ROUTES:
            config = TrainConfig(data="iris", hidden=(7,), activation="tanh", output=output, epochs=epochs)
            outcomes[output] = train(config, out=Path(scratch) / output)
        weights = [read_model(outcome.folder)[0] for outcome in outcomes.values()]
    difference = max(float((a - b).abs().max()) for a, b in zip(*(w.values() for w in weights), strict=True))
    table = Table(title="iris, 4-7-3, tanh")
    for heading in ("output", "test accuracy", "test NLL", "class-prior baseline"):
        table.add_column(heading, justify="left" if heading == "output" else "right")
    for output, outcome in outcomes.items():
        figures = (outcome.score, outcome.test_nll, outcome.baseline_nll)
        table.add_row(_ROUTES[output], *(f"{value:.4f}" for value in figures))
    console = Console()
    console.print(table)
    console.print(f"largest difference between two weights: {difference:.2e}", highlight=False)
    good = difference <= DIFFERENCE and all(outcome.score >= ACCURACY for outcome in outcomes.values())
    if not good:
        console.print(f"expected an accuracy of {ACCURACY} at least and a difference of {DIFFERENCE} at most")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
