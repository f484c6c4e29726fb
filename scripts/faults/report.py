"""The result of a check: a line for each target, with what was measured."""

import sys


# Characters of a cell of the table; the lines that are written meanwhile are whole.
WIDEST = 72


def say(text):
    print(f"check-faults: {text}", file=sys.stderr, flush=True)


class Skip(Exception):
    """A check that cannot run on this machine, and why."""


def percentile(values, share):
    """The value below which `share` of all values are; nan where there are none."""
    ordered = sorted(values)
    return ordered[int(share * (len(ordered) - 1))] if ordered else float("nan")


def milliseconds(seconds):
    return f"{seconds * 1e3:.0f} ms"


class Broken(Exception):
    """A check that was aborted: something that has to work did not."""


class Report:
    def __init__(self):
        self.rows = []

    def aim(self, check, aim, measured, ok):
        """Records a target. `ok` is whether it was reached."""
        self.rows.append((check, aim, measured, "ok" if ok else "FAILED"))
        say(f"{check}: {aim}: {measured}: {self.rows[-1][3]}")

    def note(self, check, what, measured):
        """Records a figure without a target."""
        self.rows.append((check, what, measured, "-"))
        say(f"{check}: {what}: {measured}")

    def skip(self, check, why):
        self.rows.append((check, "", why, "skipped"))
        say(f"{check}: skipped: {why}")

    def at_most(self, check, aim, value, limit, unit="s"):
        self.aim(check, f"{aim} ≤ {limit:g} {unit}", f"{value:.2f} {unit}", value <= limit)

    def at_least(self, check, aim, value, limit, unit="%"):
        self.aim(check, f"{aim} ≥ {limit:g} {unit}", f"{value:.1f} {unit}", value >= limit)

    def none(self, check, aim, count, of=None):
        self.aim(check, aim, f"{count} of {of}" if of is not None else str(count), count == 0)

    @property
    def failed(self):
        return sum(row[3] == "FAILED" for row in self.rows)

    def table(self):
        shorter = lambda text: text if len(text) <= WIDEST else text[: WIDEST - 1] + "…"
        rows = [tuple(map(shorter, row)) for row in [("check", "aim", "measured", ""), *self.rows]]
        widths = [max(len(row[column]) for row in rows) for column in range(4)]
        return "\n".join("  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip() for row in rows)
