"""Know the GPUs of this machine: which ones a process may use, what they are, how they are used and connected.

This package is the only one that talks to NVML, NVIDIA's management library. It starts no CUDA and imports no
framework. What a driver does not say is None.
"""
