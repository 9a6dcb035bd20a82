"""Check before timing that a cell trains the same model as the reference.

This package owns the check of one engine (`probe`), the figures of two checks, their limits, likely causes, and the
verdict. It runs in launches like those that are timed later, and knows nothing about Ray or how launches are placed.
"""
