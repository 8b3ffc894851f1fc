"""What several tests need: the guarded home, and what this machine can do."""
