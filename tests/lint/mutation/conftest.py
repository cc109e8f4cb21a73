"""The scripts are read, copied and run by the tests, never imported as tests."""

collect_ignore_glob = ["scripts/*"]
