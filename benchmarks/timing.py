"""Times of calls, and what is said of them. Needs nothing but Python 3.8: it also runs in other interpreters."""

import statistics
import time


def timed(call, calls):
    """Microseconds of each of so many calls, one after the other."""
    clock, times = time.perf_counter_ns, []
    for _ in range(calls):
        started = clock()
        call()
        times.append((clock() - started) / 1000)
    return times


def summary(times):
    """Median, 10th and 90th percentile in microseconds, and how many calls these are of."""
    tenths = statistics.quantiles(times, n=10) if len(times) > 1 else [times[0]] * 9
    figures = {"median_us": statistics.median(times), "p10_us": tenths[0], "p90_us": tenths[-1]}
    return {**{name: round(figure, 2) for name, figure in figures.items()}, "calls": len(times)}
