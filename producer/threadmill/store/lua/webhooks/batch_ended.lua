-- Has a worker poll a remote batch, because a webhook says that it has ended. The worker knows whether it is ours.
-- request: endpoint, batch (its id on the server)
-- reply: told | full: no worker has read for long
-- include: webhooks

return {webhooks.tell(keys.ended_batches(request.endpoint), request.batch) and 'told' or 'full'}
