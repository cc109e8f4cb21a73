"""The project's benchmarks; README.md says how to run them."""
