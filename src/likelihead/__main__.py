"""``python -m likelihead``, which is what ``torchrun -m`` starts."""

from __future__ import annotations

from likelihead.cli import run

if __name__ == "__main__":
    run()
