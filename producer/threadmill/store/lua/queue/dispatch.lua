-- Dispatches ready jobs, for example after the end of a pause.
-- request: nothing
-- reply: dispatched, 1 if this has to be repeated because more jobs may follow, 2 if more flows have to be asked, or 0
-- include: queue

return {'dispatched', queue.dispatch()}
