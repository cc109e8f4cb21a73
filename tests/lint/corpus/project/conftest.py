# The cases are projects that are read and never imported.
collect_ignore_glob = ["*"]
