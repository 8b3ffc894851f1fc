"""Agents' configuration as commits, with the real git."""
