"""Source to be linted: no tests, nothing to import."""

collect_ignore_glob = ["*"]
