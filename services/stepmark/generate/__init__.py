"""Files that are generated from code and committed. `make generate` writes them, and a test fails when one is stale.

This package owns the scenario's schema and reference page, the CRD, the chart's values schema and README, the
dashboards, the rules, and the generated parts of docs/metrics.md. Nothing that runs may import it.
"""
