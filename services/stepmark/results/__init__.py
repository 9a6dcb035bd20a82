"""The stored results of a run: versioned launch records with their raw arrays, and the store that keeps them.

This package owns `LaunchRecord`, its schema version, the certificates and the SQLite store. It computes no statistics:
`analysis` does.
"""
