"""Proof before timing: does a cell train the same model as the reference?

Owns: the check of one engine (`probe`), the figures of two checks, their limits, likely causes, and the verdict. It
runs in launches like those that are timed later, and knows nothing of Ray or of how launches are placed.
"""
