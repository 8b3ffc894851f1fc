"""The guided demo: its script alone, and the whole of it as a person runs it."""
