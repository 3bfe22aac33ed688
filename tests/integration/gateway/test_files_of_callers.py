"""The files and batches of one caller do not exist for another."""

import asyncio
import json

import httpx
import pytest
from tests.served import served

from threadmill import Client
from threadmill_gateway.app import create_app

pytestmark = pytest.mark.integration

FORM = {"data": {"purpose": "batch"}, "files": {"file": ("lines.jsonl", b"{}")}}


def lines(*models):
    requests = [
        {
            "custom_id": f"line {number}",
            "method": "POST",
            "url": "/v1/chat/completions",
            "body": {"model": model, "messages": [{"role": "user", "content": "Well?"}]},
        }
        for number, model in enumerate(models)
    ]
    return {**FORM, "files": {"file": ("lines.jsonl", "\n".join(map(json.dumps, requests)).encode())}}


async def batch_of(http, form):
    file = (await http.post("/v1/files", **form)).json()["id"]
    asked = {"input_file_id": file, "endpoint": "/v1/chat/completions", "completion_window": "24h"}
    return (await http.post("/v1/batches", json=asked)).json()


async def once(http, batch, condition):
    """Reads a batch until it is as the test waits for."""
    while True:
        now = (await http.get(f"/v1/batches/{batch['id']}")).json()
        if condition(now):
            return now
        await asyncio.sleep(0.02)


async def test_the_files_of_another_caller_do_not_exist(caller):
    anna, bob = caller("anna"), caller("bob")
    operator = caller("operator", scopes=("enqueue", "read", "operate"))
    file = (await anna.post("/v1/files", **FORM)).json()["id"]
    calls = [("GET", f"/v1/files/{file}"), ("GET", f"/v1/files/{file}/content"), ("DELETE", f"/v1/files/{file}")]
    calls += [("GET", f"/v1/job-files/{file}"), ("DELETE", f"/v1/job-files/{file}")]
    for method, path in calls:
        assert (await bob.request(method, path)).status_code == 404
    assert (await bob.get("/v1/files")).json()["data"] == []
    used = {"prompt": "Well?", "files": [{"upload": file}]}
    assert (await bob.post("/v1/jobs", json=used)).status_code == 422
    assert (await bob.post("/v1/jobs", json={"prompt": "Well?", "images": [f"upload:{file}"]})).status_code == 422

    for http in (anna, operator):
        assert (await http.get(f"/v1/files/{file}")).status_code == 200
        assert [each["id"] for each in (await http.get("/v1/files")).json()["data"]] == [file]


async def test_the_batches_of_another_caller_do_not_exist(caller, client, run, until):
    anna, bob = caller("anna"), caller("bob")
    operator = caller("operator", scopes=("enqueue", "read", "operate"))
    batch = await batch_of(anna, lines("emulator"))
    for method, path in (("GET", ""), ("POST", "/cancel")):
        assert (await bob.request(method, f"/v1/batches/{batch['id']}{path}")).status_code == 404
    assert (await bob.get("/v1/batches")).json()["data"] == []
    file = batch["input_file_id"]
    asked = {"input_file_id": file, "endpoint": "/v1/responses", "completion_window": "24h"}
    assert (await bob.post("/v1/batches", json=asked)).status_code == 400

    await once(anna, batch, lambda now: now["request_counts"]["total"] == 1)
    [job] = await asyncio.to_thread(until, lambda: client.jobs(tenant="anna"))
    assert job.job.batch == f"anna.{batch['id']}"
    assert job.job.key == f"anna/{batch['id']}/1/line 0"
    await run(job.id)
    done = await once(anna, batch, lambda now: now["status"] == "completed")
    output = f"/v1/files/{done['output_file_id']}"
    assert (await anna.get(f"{output}/content")).json()["custom_id"] == "line 0"
    assert [(await bob.get(path)).status_code for path in (output, f"{output}/content")] == [404, 404]
    assert [each["id"] for each in (await operator.get("/v1/batches")).json()["data"]] == [batch["id"]]


async def test_a_line_for_an_endpoint_that_the_key_may_not_use_fails_the_batch(make_settings, emulator):
    server = {"kind": "emulator", "base_url": emulator.base_url}
    settings = make_settings(emulator.base_url, endpoints={"emulator": server, "other": server})
    text = Client(settings).create_api_key("anna", endpoints=["emulator"]).text
    headers = {"Authorization": f"Bearer {text}"}
    with served(create_app(settings)) as url:
        async with httpx.AsyncClient(base_url=url, timeout=60, headers=headers) as anna:
            batch = await batch_of(anna, lines("emulator", "other"))
            failed = await once(anna, batch, lambda now: now["status"] != "validating")
    assert [(each["line"], each["code"]) for each in failed["errors"]["data"]] == [(2, "permission_denied")]


async def test_lines_wait_until_the_caller_has_fewer_open_jobs(caller, client, run, until, monkeypatch):
    monkeypatch.setattr("threadmill_gateway.openai.batches.enqueueing.LOOK_S", 0.05)
    anna = caller("anna", max_open_jobs=2)
    batch = await batch_of(anna, lines(*["emulator"] * 3))
    await asyncio.to_thread(until, lambda: client.open_jobs("anna") == 2)
    first, second = client.jobs(tenant="anna")
    await run(first.id)
    jobs = await asyncio.to_thread(until, lambda: (all := client.jobs(tenant="anna"))[2:] and all)
    for job in jobs:
        if job.id != first.id:
            await run(job.id)
    done = await once(anna, batch, lambda now: now["status"] == "completed")
    assert done["request_counts"] == {"total": 3, "completed": 3, "failed": 0}
    assert second.id in {job.id for job in jobs}
