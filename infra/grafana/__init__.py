"""The Grafana dashboard, built in Python; `panels.py` says what it shows."""
