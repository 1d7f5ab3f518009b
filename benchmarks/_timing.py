"""Side-by-side timing: competitors take turns, so that a busy machine slows all of them alike."""

import statistics
import time


def take_turns(competitors, rounds=7, seconds=1.0):
    """Runs competitors in turns and returns their rates.

    Args:
        competitors: dict from name to a function that does some work and returns how much.
        rounds: turns that each gets, after one that is not counted.
        seconds: the least time of a turn.

    Returns:
        dict from name to a list of rates, one a round.
    """
    rates = {name: [] for name in competitors}
    for count in range(rounds + 1):
        for name, work in competitors.items():
            start, done = time.perf_counter(), 0
            while done == 0 or time.perf_counter() - start < seconds:
                done += work()
            if count:
                rates[name].append(done / (time.perf_counter() - start))
    return rates


def show(rates, unit):
    for name, values in rates.items():
        print(f"  {name:44} {statistics.median(values):10.0f} {unit}"
              f"  ({min(values):.0f} to {max(values):.0f})")


def ratio(ours, theirs):
    """Median over the rounds of ours / theirs."""
    return statistics.median(a / b for a, b in zip(ours, theirs, strict=True))


def verdict(what, value, wanted):
    print(f"  {what:44} {value:10.2f}  (wanted: at least {wanted}) "
          f"{'ok' if value >= wanted else 'MISSED'}")
