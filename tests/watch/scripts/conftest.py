"""The scripts are run by the tests, never imported: pytest, which looks for doctests, is to pass them by."""

collect_ignore_glob = ["*"]
