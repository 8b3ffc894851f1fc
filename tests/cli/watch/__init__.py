"""Tests of the screen that watches a hive."""
