"""Frameworks that can train a model: one file each, with the same functions under the same names.

Owns: how to build, step, step without reducing, synchronise, read memory, and move weights in and out. Knows nothing
of clocks, Ray, records or scenarios beyond one rank's context. A file imports its framework inside its functions, so
that listing what an engine supports costs nothing.
"""
