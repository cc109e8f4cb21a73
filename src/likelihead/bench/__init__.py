"""The benchmark: the losses beside torch's, interleaved in one process, with the floor in the same run.

`case` says what a case is, one file per op lists the cases, `clock` and `memory` measure, `run` puts a table
together, `results` keeps it and `show` prints it. ``likelihead bench`` and ``python -m benchmarks`` run it.
"""
