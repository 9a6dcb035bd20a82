"""The service that keeps results: takes records from runs, shows them to people, programs and Prometheus.

Owns rights, limits, the database and its migrations, the HTTP API and the pages. It measures nothing: no framework and
no Ray is importable here, and every figure it shows is derived from the raw records that it stores.
"""
