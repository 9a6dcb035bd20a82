"""Define the frameworks that can train a model: one file each, with the same functions under the same names.

This package owns how to build a model, take a step with or without its exchange, synchronise, and move weights in and
out. It knows nothing of clocks, Ray, records or scenarios beyond one rank's context. A file imports its framework
inside its functions, so that listing what an engine supports costs nothing.
"""
