"""Answers to shoppers' questions, from what the shop knows: items, reviews and documents."""
