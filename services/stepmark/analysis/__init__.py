"""Derive statements from records: medians, intervals, verdicts and speed-ups.

Every figure can be recomputed from the records. This package owns the statistics, each with its source. It imports no
framework and no Ray and reads no file: it takes records and returns models.
"""
