"""Search for the largest batch that trains: by doubling from a first guess, then by bisection."""

from dataclasses import dataclass


@dataclass
class Search:
    """Keep what is known of one cell. Batches are multiples of `unit`, the number of micro-batches, up to `limit`.

    `fits` is the largest batch known to train, or 0. `fails` is the smallest batch known to fail, or None.
    """

    first: int
    limit: int
    unit: int = 1
    fits: int = 0
    fails: int | None = None

    def following(self) -> int | None:
        """Return the batch to try next, or None where the search is at its end."""
        if self.fails is None and not self.fits:
            wanted = self.first
        elif self.fails is None:
            wanted = 2 * self.fits
        else:
            wanted = (self.fits + self.fails) // 2
        found = min(wanted, self.limit) // self.unit * self.unit
        if self.fails is None:
            found = max(found, self.unit)
        return found if self.fits < found != self.fails else None

    def tell(self, batch: int, trains: bool) -> None:
        """Record whether this batch trains."""
        if trains:
            self.fits = max(self.fits, batch)
        else:
            self.fails = batch if self.fails is None else min(self.fails, batch)
