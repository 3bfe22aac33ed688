"""Jobs, batches, endpoints and callbacks are changed over HTTP; artifacts are read."""

import pytest

pytestmark = pytest.mark.integration


async def test_a_job_is_cancelled_and_redriven(http):
    job = (await http.post("/v1/jobs", json={"prompt": "Well?"})).json()
    path = f"/v1/jobs/{job['id']}"
    assert (await http.post(f"{path}/cancel")).json()["state"] == "cancelled"
    assert (await http.post(f"{path}/cancel")).json()["state"] == "cancelled"
    assert (await http.post(f"{path}/redrive")).json()["state"] == "queued"


async def test_jobs_are_listed_in_pages(http):
    made = [(await http.post("/v1/jobs", json={"prompt": f"{n}?"})).json()["id"] for n in range(5)]
    await http.post(f"/v1/jobs/{made[0]}/cancel")
    found, cursor = [], None
    while True:
        query = {"limit": 2, "state": "queued"} | ({"cursor": cursor} if cursor else {})
        page = (await http.get("/v1/jobs", params=query)).json()
        found += [each["id"] for each in page["data"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert sorted(found) == sorted(made[1:])
    for wrong in ({"cursor": "nonsense"}, {"limit": 0}, {"state": "lost"}, {"since": "2026-11-29T06:00:00"}):
        assert (await http.get("/v1/jobs", params=wrong)).status_code == 422
    assert (await http.get("/v1/jobs", params={"batch": "nothing"})).status_code == 404


async def test_a_batch_is_paused_limited_resumed_cancelled_and_redriven(http):
    for n in range(2):
        await http.post("/v1/jobs", json={"prompt": f"{n}?", "batch": "night"})
    path = "/v1/job-batches/night"
    assert (await http.post(f"{path}/pause")).json()["paused"] is True
    assert (await http.put(f"{path}/limit", json={"concurrent": 3})).json()["concurrent"] == 3
    assert (await http.put(f"{path}/limit", json={"concurrent": None})).json()["concurrent"] is None
    assert (await http.put(f"{path}/limit", json={"concurrent": 0})).status_code == 422
    assert (await http.post(f"{path}/resume")).json()["paused"] is False
    assert (await http.post(f"{path}/cancel")).json() == {"changed": 2}
    assert (await http.post(f"{path}/redrive")).json() == {"changed": 0}
    assert (await http.get("/v1/job-batches")).json()["data"][0]["jobs"]["cancelled"] == 2


async def test_an_endpoint_is_paused_and_resumed(http):
    assert (await http.post("/v1/endpoints/emulator/pause", json={"reason": "maintenance"})).json()[
        "paused"
    ] == "maintenance"
    assert (await http.get("/v1/endpoints/emulator")).json()["paused"] == "maintenance"
    assert (await http.post("/v1/endpoints/emulator/resume")).json()["paused"] is None
    assert (await http.post("/v1/endpoints/nowhere/pause")).status_code == 404
    assert {each["name"] for each in (await http.get("/v1/endpoints")).json()["data"]} >= {"emulator"}


async def test_callbacks_are_listed_retried_and_dropped(http):
    url = "https://hooks.example/x?token=hidden"
    job = (await http.post("/v1/jobs", json={"prompt": "Well?", "callback_url": url, "batch": "night"})).json()
    callback = {"url": "https://hooks.example/batch"}
    assert (await http.put("/v1/job-batches/night/callback", json=callback)).status_code == 204
    await http.post(f"/v1/jobs/{job['id']}/cancel")
    listed = (await http.get("/v1/callbacks")).json()["data"]
    assert {each["event"] for each in listed} == {"job.cancelled", "batch.ended"}
    assert "hidden" not in str(listed)
    first = listed[0]["id"]
    assert (await http.post(f"/v1/callbacks/{first}/retry")).json() == {"id": first, "outcome": "pending"}
    assert (await http.delete(f"/v1/callbacks/{first}")).json() == {"id": first, "outcome": "dropped"}
    assert (await http.delete(f"/v1/callbacks/{first}")).status_code == 404


async def test_an_artifact_is_read_whole_and_in_part(http, run):
    job = (await http.post("/v1/jobs", json={"prompt": "[[scenario=plot]] Plot it"})).json()
    await run(job["id"])
    [file, *_] = (await http.get(f"/v1/jobs/{job['id']}")).json()["result"]["files"]
    path = f"/v1/jobs/{job['id']}/artifacts/{file['name']}"
    whole = await http.get(path)
    assert (whole.status_code, len(whole.content)) == (200, file["size"])
    assert whole.headers["x-content-type-options"] == "nosniff"
    part = await http.get(path, headers={"Range": "bytes=1-4"})
    assert (part.status_code, part.content) == (206, whole.content[1:5])
    assert part.headers["content-range"] == f"bytes 1-4/{file['size']}"
    assert (await http.get(path, headers={"Range": "bytes=99999999-"})).status_code == 416
    assert (await http.get(f"/v1/jobs/{job['id']}/artifacts/nothing.txt")).status_code == 404
    assert (await http.get(f"/v1/jobs/{job['id']}/artifacts/..%2F..%2Fetc%2Fpasswd")).status_code == 404
