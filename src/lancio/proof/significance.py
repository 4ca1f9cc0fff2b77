"""Is one of two series of times really larger, and by how much, on a machine that does other work as well?

Both tests go by ranks: a sample that something else held up ten times as long counts as one large sample, not as ten.
Pairs that were measured side by side are compared by Wilcoxon's signed ranks, series from two moments by Mann and
Whitney's U; the ratio that is told is the Hodges-Lehmann estimate of the same test, so that estimate, interval and
probability cannot contradict each other. docs/decisions/0011-measured-in-alternation.md says why.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache
from statistics import NormalDist, median
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

CONFIDENCE = 0.99
"""How sure the interval of a ratio is."""

EXACT = 12
"""Up to this size of both series U has its exact distribution; beyond it the normal one is as good."""


@dataclass(frozen=True, slots=True)
class Ratio:
    """How many times as much the second series takes: 1.15 is 15 % more. `low` and `high` bound it with CONFIDENCE.

    `p` is the probability of seeing this, or more, if the second series takes no more than the first. All is 1 and
    unknown (`p` 1, bounds 0 and infinity) where there are too few samples to say anything.
    """

    value: float
    low: float
    high: float
    p: float
    samples: int

    def over(self, limit: float, alpha: float) -> bool:
        """Whether it is more than `limit` (0.1: 10 %) above 1, and not by chance."""
        return self.value > 1 + limit and self.p < alpha

    def below(self, limit: float) -> bool:
        """Whether it is certainly not more than `limit` above 1."""
        return self.high < 1 + limit

    def above(self, limit: float) -> bool:
        """Whether it is certainly more than `limit` above 1."""
        return self.low > 1 + limit


def paired(ratios: Sequence[float]) -> Ratio:
    """The ratio of pairs that were measured side by side, from that of each pair (second to first, positive)."""
    logs = [math.log(each) for each in ratios]
    n = len(logs)
    if n < 2:
        return Ratio(math.exp(logs[0]) if logs else 1.0, 0.0, math.inf, 1.0, n)
    walsh = sorted((logs[i] + logs[j]) / 2 for i in range(n) for j in range(i, n))
    counts = _signed_rank_counts(n)
    total = 2**n
    # W is the number of Walsh averages above 0; one that is 0 counts half, rounded towards "no difference".
    w = sum(each > 0 for each in walsh)
    p = sum(counts[w:]) / total
    low, high = _cut(walsh, counts, total)
    return Ratio(math.exp(median(walsh)), low, high, p, n)


def unpaired(before: Sequence[float], after: Sequence[float]) -> Ratio:
    """The ratio of two series that were measured at two moments; all values are positive."""
    n, m = len(before), len(after)
    shifts = sorted(math.log(b / a) for b in after for a in before)
    if n < 2 or m < 2:
        return Ratio(math.exp(median(shifts)) if shifts else 1.0, 0.0, math.inf, 1.0, min(n, m))
    u = sum(each > 0 for each in shifts)
    if max(n, m) <= EXACT:
        counts = _u_counts(n, m)
        total = math.comb(n + m, n)
        low, high = _cut(shifts, counts, total)
        p = sum(counts[u:]) / total
    else:
        mean, deviation = n * m / 2, math.sqrt(n * m * (n + m + 1) / 12)
        p = 1 - NormalDist().cdf((u - 0.5 - mean) / deviation)
        at = max(0, math.floor(mean - NormalDist().inv_cdf((1 + CONFIDENCE) / 2) * deviation))
        low, high = math.exp(shifts[at]), math.exp(shifts[-1 - at])
    return Ratio(math.exp(median(shifts)), low, high, p, min(n, m))


def _cut(ordered: Sequence[float], counts: Sequence[int], total: int) -> tuple[float, float]:
    """The interval of CONFIDENCE: so many of the ordered shifts are cut off at both ends as the test's tail allows."""
    tail, cut = 0, 0
    while cut < len(ordered) // 2 and (tail + counts[cut]) / total <= (1 - CONFIDENCE) / 2:
        tail += counts[cut]
        cut += 1
    if cut == 0:  # so few samples that no interval is that sure
        return 0.0, math.inf
    return math.exp(ordered[cut - 1]), math.exp(ordered[-cut])


@cache
def _signed_rank_counts(n: int) -> tuple[int, ...]:
    """In how many of the 2^n signings of the ranks 1 to n the positive ones sum up to 0, 1, 2 …"""
    counts = [1]
    for rank in range(1, n + 1):
        longer = counts + [0] * rank
        for at, count in enumerate(counts):
            longer[at + rank] += count
        counts = longer
    return tuple(counts)


@cache
def _u_counts(n: int, m: int) -> tuple[int, ...]:
    """In how many arrangements of n and m values U is 0, 1, 2 … n·m."""
    if n == 0 or m == 0:
        return (1,)
    # The largest value is one of the m (then it beats all n), or one of the n.
    counts = [0] * (n * m + 1)
    for at, count in enumerate(_u_counts(n, m - 1)):
        counts[at + n] += count
    for at, count in enumerate(_u_counts(n - 1, m)):
        counts[at] += count
    return tuple(counts)


def spread(values: Sequence[float]) -> float:
    """The median distance from the median, in parts of it: 0.05 is ± 5 %. 0 where there is nothing to tell."""
    if not values or not (middle := median(values)):
        return 0.0
    return median(abs(each - middle) for each in values) / middle
