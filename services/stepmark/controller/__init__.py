"""The service that runs scenarios on Kubernetes: from Scenario objects to RayJobs, and back to their status.

Owns the profiles, the decisions and the objects that it makes. It measures nothing: no framework and no Ray is
importable here.
"""
