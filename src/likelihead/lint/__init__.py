"""The static doctor: finds the mistakes of the table of hazards in source code. It never imports torch."""
