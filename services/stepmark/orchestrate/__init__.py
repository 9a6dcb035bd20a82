"""Run a plan: open a session, start one supervisor per rank, make the launches in order and store their records.

This package owns the session over Ray Train and the one without Ray, the exchange of addresses, the barriers between
launches, and the handling of early ends. It is the only package that imports Ray. It measures nothing itself.
"""
