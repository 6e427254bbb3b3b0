"""Composition root: command line, configuration, HTTP interface, processes."""
