"""Grafana dashboards as code: one module per dashboard, written as JSON into charts/stepmark/dashboards.

Every query is made from `stepmark.telemetry.names`, and the tests run every query against a Prometheus. Only this
package needs grafana-foundation-sdk.
"""
