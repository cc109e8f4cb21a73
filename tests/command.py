"""The command line, called in this process."""

from __future__ import annotations

from click.testing import CliRunner, Result

from likelihead.cli import main

__all__ = ["run"]


def run(*argv: object, code: int = 0) -> Result:
    """``likelihead ARGV...``, which has to end with the exit code."""
    result = CliRunner().invoke(main, [str(word) for word in argv])
    assert result.exit_code == code, result.output
    return result
