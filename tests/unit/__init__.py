"""Unit tests, a folder per room."""
