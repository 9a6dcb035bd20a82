"""What was measured, kept for ever: versioned records with the raw arrays, and the stores they lie in.

Owns: `LaunchRecord`, its schema version, the store protocol and SQLite. Derives nothing: statistics are `analysis`'s.
"""
