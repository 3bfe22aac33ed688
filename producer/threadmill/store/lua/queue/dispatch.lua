-- Dispatches ready jobs, for example after the end of a pause.
-- request: nothing
-- reply: dispatched, 1 if this has to be repeated
-- include: queue

return {'dispatched', queue.dispatch() and 1 or 0}
