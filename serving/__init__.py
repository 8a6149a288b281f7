"""Requests in, recommendations out: retrieval, ranking, diversity, reasons, adapter swaps."""
