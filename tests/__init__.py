"""Facts about hyperhive, each shown by a test."""
