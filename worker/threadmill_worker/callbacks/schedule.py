"""When a callback is tried again. Pure.

The delays are those that Standard Webhooks recommends, about a day in all:
https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
"""

#: Before the second attempt, the third, and so on, in seconds.
DELAYS_S = (5.0, 300.0, 1800.0, 7200.0, 18_000.0, 36_000.0, 36_000.0)


def delay_s(attempt: int, chance: float, retry_after_s: float = 0.0) -> float | None:
    """Returns the time until the next attempt after a failed one, in seconds; None: there is none.

    `attempt`: the number of the failed one, from 1. `chance`: a random number from 0 to 1; the delay is from half to
    one and a half of the schedule's. `retry_after_s`: what the receiver asked for; the longest delay bounds it.
    """
    if attempt > len(DELAYS_S):
        return None
    return max(DELAYS_S[attempt - 1] * (0.5 + chance), min(retry_after_s, DELAYS_S[-1]))
