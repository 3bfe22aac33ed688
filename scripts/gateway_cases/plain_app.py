"""The application that people write themselves: FastAPI, Celery's `send_task` and `AsyncResult`. Nothing is checked."""

import os
from typing import Any

from celery import Celery
from fastapi import FastAPI
from pydantic import BaseModel

queue = Celery("plain", broker=os.environ["REDIS_URL"], backend=os.environ["REDIS_URL"])
app = FastAPI()


class Job(BaseModel):
    prompt: str


@app.post("/v1/jobs", status_code=202)
def enqueue(job: Job) -> dict[str, Any]:
    """Functions without `async` run in threads, because Celery's calls block."""
    return {"id": queue.send_task("answer", args=[job.prompt]).id}


@app.get("/v1/jobs/{job_id}")
def get(job_id: str) -> dict[str, Any]:
    found = queue.AsyncResult(job_id)
    return {"id": job_id, "state": found.state, "result": found.result}
