"""The composition root: settings, the command, the broker, supervision, dashboards."""
