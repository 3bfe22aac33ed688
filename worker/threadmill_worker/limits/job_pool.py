"""The pool that the calls of one job take from."""

from typing import Any

from threadmill.settings.endpoints.limits import Limits, PoolLimits
from threadmill_worker.drivers.base.driver import Driver
from threadmill_worker.drivers.requests.job_spec import JobSpec
from threadmill_worker.lifecycle.actions import Action, RemoteAction, is_counted
from threadmill_worker.lifecycle.observations import Limited, Observation
from threadmill_worker.lifecycle.progress import Progress
from threadmill_worker.limits.news import News, news_of, news_of_run, news_of_uncounted
from threadmill_worker.limits.tokens import call_tokens, prompt_tokens, tokens_used
from threadmill_worker.store.jobs import LeftPool, Postponed


class JobPool:
    """Says what each call of a job takes from its pool, and collects what the replies say about the pool's limits.

    `limits`: those of the endpoint. `set_limits`: those that are set for the pool.
    """

    def __init__(self, name: str, spec: JobSpec, limits: Limits, set_limits: PoolLimits) -> None:
        self.name = name
        self._spec = spec
        self._limits = limits
        self._prompt_tokens = prompt_tokens(spec)
        self._start: dict[str, Any] = {"pool": name, **set_limits.model_dump(exclude_none=True)}
        if not limits.learn:
            self._start["learn"] = False
        self._ticket = ""  #: the place of the next call in the pool's row; '': none
        self._news: list[News] = []

    def start(self, action: Action | None, progress: Progress) -> dict[str, Any] | None:
        """Returns what the call takes, as `jobs/save` wants it; None if the server does not count the call."""
        if action is None or not self._counts(action):
            return None
        tokens = 0
        if is_counted(action):
            tokens = call_tokens(self._prompt_tokens, self._spec, action, progress, self._limits.tokens_counted)
        ticket = {"ticket": self._ticket} if self._ticket else {}
        return {**self._start, "tokens": tokens, **ticket}

    def postponed(self, reply: Postponed) -> Limited:
        """Notes that the pool lets the call wait, and returns that as an observation."""
        self._ticket = reply.ticket
        return Limited(reply.until, reply.reason, in_row=not reply.is_shut)

    def started(self) -> None:
        """Notes that the pool lets the call go."""
        self._ticket = ""

    def replied(self, action: RemoteAction, seen: Observation, sent_at: float, driver: Driver) -> None:
        """Notes the reply to a call."""
        if self._counts(action):
            self._tell(news_of(seen, sent_at, driver.rate_info))
        elif (news := news_of_uncounted(seen, sent_at)) is not None:
            self._tell(news)

    def run_limited(self, reason: str, started_at: float) -> None:
        """Notes that a rate limit of the server ended a run."""
        self._tell(news_of_run(reason, started_at))

    @property
    def was_refused(self) -> bool:
        """Whether there is news of a refusal. Until it is sent, other jobs go on starting."""
        return any(news["kind"] in ("refused", "wait") for news in self._news)

    def take_news(self) -> list[News]:
        """Returns the news that have not been sent yet."""
        news, self._news = self._news, []
        return news

    def leave(self, progress: Progress) -> LeftPool:
        """Returns how the job leaves the pool when it ends, or waits for another worker. With a run, it stays."""
        stays = progress.outcome is None and (progress.run is not None or progress.pending is not None)
        used = tokens_used(progress, self._limits.tokens_counted)
        news = self.take_news()
        return LeftPool(news=news) if stays else LeftPool(self.name, used, news)

    def _counts(self, action: Action) -> bool:
        return is_counted(action) or (self._limits.all_requests and isinstance(action, RemoteAction))

    def _tell(self, news: News) -> None:
        self._news.append({"pool": self.name, **news})
