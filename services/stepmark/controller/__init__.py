"""The service that runs scenarios on Kubernetes: Scenario objects become RayJobs, whose state becomes their status.

It owns the profiles, the decisions and the objects that it creates. It measures nothing and can import neither a
framework nor Ray.
"""
