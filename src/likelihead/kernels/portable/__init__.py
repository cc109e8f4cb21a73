"""The portable backend: torch's own operators, in as few passes over memory as they allow, on any device."""
