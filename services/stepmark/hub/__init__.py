"""The hub: the service that stores records of runs and shows them to people, programs and Prometheus.

This package owns rights, limits, the database and its migrations, the HTTP API and the pages. It measures nothing: it
cannot import a framework or Ray, and derives every figure from the raw records that it stores.
"""
