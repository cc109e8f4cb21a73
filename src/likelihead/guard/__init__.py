"""Checks made on each loss call.

``switch`` holds the levels and actions and loads nothing but the standard library; ``check.check_call`` is
what the losses call. The hazards lie in the file of their kind: ``provenance`` (what the input's
``grad_fn`` proves), ``shape``, ``dtype`` and ``values`` (which read the data, at level *full* only).
"""
