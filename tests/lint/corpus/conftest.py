"""The corpus is read, never imported: pytest, which looks into every module for doctests, is to pass it by."""

collect_ignore_glob = ["*"]
