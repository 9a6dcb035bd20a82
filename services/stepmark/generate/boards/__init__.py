"""Grafana dashboards as code: one file a board, written as JSON into charts/stepmark/dashboards.

Every query is made of `names`, and the tests run every query
against a Prometheus. Only this folder needs grafana-foundation-sdk.
"""
