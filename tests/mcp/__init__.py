"""The tools as an agent sees them: over a real socket, served by a forked child."""
