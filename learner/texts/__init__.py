"""Sentences about items: what is known, who may word it, and what is let through."""
