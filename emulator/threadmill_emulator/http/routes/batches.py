"""Batches of requests for responses or chat completions."""

from threadmill_emulator.http.endpoint import Call, Reply, route
from threadmill_emulator.http.pagination import page
from threadmill_emulator.objects.assistants import Object, seconds
from threadmill_emulator.state.batches import MOMENTS, Batch, CreateBatch


async def create(call: Call) -> Reply:
    batch = call.state.batches.create(call.body(CreateBatch))
    call.emulator.webhooks.batch_created(call.state, batch)
    return batch_object(batch)


async def list_(call: Call) -> Reply:
    return page(call, call.state.batches.all(), batch_object)


async def retrieve(call: Call) -> Reply:
    return batch_object(call.state.batches.get(call.id("batch_id")))


async def cancel(call: Call) -> Reply:
    return batch_object(call.state.batches.cancel(call.id("batch_id")))


def batch_object(batch: Batch) -> Object:
    begun = batch.status not in ("validating", "failed")
    return {
        "id": batch.id,
        "object": "batch",
        "endpoint": batch.asked.endpoint,
        "completion_window": batch.asked.completion_window,
        "input_file_id": batch.asked.input_file_id,
        "output_file_id": batch.output_file_id,
        "error_file_id": batch.error_file_id,
        "status": batch.status,
        "errors": {"object": "list", "data": batch.errors} if batch.status == "failed" else None,
        "created_at": seconds(batch.created),
        "expires_at": seconds(batch.expires),
        **{f"{status}_at": seconds(batch.moments.get(status)) for status in MOMENTS},
        "request_counts": {
            "total": len(batch.lines) if begun else 0,
            "completed": sum(line.succeeded for line in batch.lines),
            "failed": sum(line.answer is not None and not line.succeeded for line in batch.lines),
        },
        "metadata": batch.asked.metadata or {},
    }


ROUTES = [
    route("POST", "/batches", "batches.create", create, beta=False),
    route("GET", "/batches", "batches.list", list_, beta=False),
    route("GET", "/batches/{batch_id}", "batches.retrieve", retrieve, beta=False),
    route("POST", "/batches/{batch_id}/cancel", "batches.cancel", cancel, beta=False),
]
