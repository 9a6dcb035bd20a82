"""Show the same result to people: as a terminal table, as Markdown, and as one HTML page.

This package renders a `Summary` and computes no figure.
"""
