"""Decide what is measured, in which order, and estimate how long it takes.

This package uses no file, process or framework.
"""
