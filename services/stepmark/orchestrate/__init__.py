"""Runs a plan: one session, one supervisor per rank, launches in order, finished records into the store.

Owns: the session over Ray Train and the one without Ray, agreeing on addresses, barriers between launches, and what
happens when something ends early. The only package that imports Ray. Measures nothing itself.
"""
