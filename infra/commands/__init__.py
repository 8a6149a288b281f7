"""The subcommands of `tidemill`. They import what they need when they run: help stays quick."""
