"""Tools for developers: dev server, demo, chaos runs, screenshots, generated files."""
