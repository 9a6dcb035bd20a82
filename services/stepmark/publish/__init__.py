"""The runner's way to a hub: sends what the local store has, again and again until the hub has it.

`client` is the one client of a hub's API: the controller uses it too.
The local store is the spool: nothing is kept elsewhere, and a hub that is away costs the measurement nothing.
"""
