"""Tests of the shell face."""
