"""All metric names in one table, and the collectors that fill them at each scrape.

Collectors are given functions that return figures, and know no database. Labels hold no run id and no rank.
"""
