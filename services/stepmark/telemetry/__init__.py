"""Metric names in one table, the collectors that fill them when they are scraped, dashboards and alert rules.

Knows figures, not where they are kept: collectors are given functions to call. No run id and no rank in a label.
"""
