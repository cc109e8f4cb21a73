"""The abstract interpretation of a project's source: which value is what, and where the losses take it."""
