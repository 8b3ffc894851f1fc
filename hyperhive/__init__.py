"""A swarm of AI coding agents on your own machines, run from a shell."""

__version__ = "0.1.0"
