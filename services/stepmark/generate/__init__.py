"""Files that are made of code and committed: `make generate` writes them, and a test fails when one is stale.

It owns the scenario's schema and reference, the CRD, the chart's values schema and README, dashboards, rules, and the
generated parts of docs/metrics.md. Nothing that runs may import it.
"""
