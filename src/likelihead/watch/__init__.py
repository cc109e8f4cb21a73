"""The run-time doctor: follows a training script and says what its losses really do.

``likelihead watch SCRIPT`` runs a script as python would; ``with likelihead.watch() as w:`` watches a block.
`engine` is what stands in the script's way, `session` what it writes to, `record` what is left for the
report; `kinds` knows how torch's functions make and keep what a tensor is, `checks` what may go wrong.
"""
