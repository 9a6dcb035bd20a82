"""From records to statements: medians, intervals, verdicts, speed-up. Every figure can be recomputed from the records.

Owns: the statistics, each with its source. Imports no framework and no Ray, and reads no file: records come in, models
come out.
"""
