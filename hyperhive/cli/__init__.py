"""The shell face: one command for all that the operator does."""
