"""Search: a query becomes a ranked, personal list of items, by words and by meaning."""
