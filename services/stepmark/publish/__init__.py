"""The client side of a hub: sends what the local store has, and repeats that until the hub has it.

`client` is the one client of a hub's API; the controller uses it too. The local store is the only queue, and a hub that
cannot be reached does not disturb the measurement.
"""
