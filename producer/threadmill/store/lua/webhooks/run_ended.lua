-- Wakes the worker whose job awaits a run, because a webhook says that the run has ended.
-- request: endpoint, run (its id)
-- reply: woken | unknown: no job awaits it, or not yet
-- include: webhooks

return {webhooks.ended(request.endpoint, request.run) and 'woken' or 'unknown'}
