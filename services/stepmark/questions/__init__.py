"""Own the questions that people ask, each a scenario with its source and its limits, and the pages that answer them.

A page is made of a stored summary. No figure is computed or typed here.
"""
