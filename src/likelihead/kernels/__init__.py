"""Per-example negative log-likelihoods, one file per op and backend; only `dispatch` chooses between them."""
