"""Other people's training code on likelihead's losses; each module is imported by its name only."""
