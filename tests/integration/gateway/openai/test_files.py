"""`client.files`: files are uploaded, listed, read and deleted, and jobs use them."""

import httpx2
import openai
import pytest

from threadmill_emulator.runs.replies import PNG

pytestmark = pytest.mark.integration


def test_a_file_is_uploaded_read_listed_and_deleted(sdk):
    content = b"Travel is booked a week ahead."
    made = sdk.files.create(file=("policy.txt", content), purpose="user_data")
    assert (made.object, made.filename, made.bytes, made.purpose) == ("file", "policy.txt", len(content), "user_data")
    assert sdk.files.retrieve(made.id) == made
    assert sdk.files.content(made.id).content == content
    assert made.id in [each.id for each in sdk.files.list(purpose="user_data")]
    assert made.id not in [each.id for each in sdk.files.list(purpose="batch")]

    assert sdk.files.delete(made.id).deleted
    for call in (sdk.files.retrieve, sdk.files.content, sdk.files.delete):
        with pytest.raises(openai.NotFoundError):
            call(made.id)
    assert made.id not in [each.id for each in sdk.files.list()]


def test_pages_follow_each_other(sdk):
    made = [sdk.files.create(file=("a.txt", b"a"), purpose="vision").id for _ in range(5)]
    assert [each.id for each in sdk.files.list(purpose="vision", limit=2)] == made[::-1]


def test_the_time_until_a_file_expires_can_be_chosen(sdk):
    made = sdk.files.create(
        file=("a.txt", b"a"), purpose="user_data", expires_after={"anchor": "created_at", "seconds": 3600}
    )
    assert made.expires_at == made.created_at + 3600


@pytest.mark.parametrize(
    ("form", "param"),
    [
        ({"data": {"purpose": "fine-tune"}, "files": {"file": ("a.txt", b"a")}}, "purpose"),
        ({"files": {"file": ("a.txt", b"a")}}, "purpose"),
        ({"data": {"purpose": "batch"}}, "file"),
        ({"data": {"purpose": "batch", "colour": "red"}, "files": {"file": ("a.txt", b"a")}}, "colour"),
        (
            {"data": {"purpose": "batch", "expires_after[seconds]": "5"}, "files": {"file": ("a.txt", b"a")}},
            "expires_after.seconds",
        ),
    ],
)
def test_a_wrong_form_is_refused(http, form, param):
    refused = http.post("/files", **form)
    assert (refused.status_code, refused.json()["error"]["param"]) == (400, param)


def test_a_native_upload_is_used_by_a_job_of_the_gateway(site, http, sdk):
    """Its content reaches the server."""
    made = http.post("/job-files", files={"file": ("policy.txt", b"Herons nest in reeds.")})
    assert (made.status_code, made.json()["keep"]) == (201, False)
    upload = made.json()["id"]
    assert http.get(f"/job-files/{upload}").json() == made.json()

    prompt = "[[scenario=citations]]Where do herons nest?"
    job = http.post("/jobs", json={"prompt": prompt, "endpoint": "assistants", "files": [{"upload": upload}]}).json()
    result = site.client.wait(job["id"], 60)
    assert [each.name for each in result.citations] == ["policy.txt"]
    assert any(b"Herons nest in reeds." in sent.body for sent in site.emulator.sent("POST", "/files"))

    assert http.delete(f"/job-files/{upload}").status_code == 204
    assert http.get(f"/job-files/{upload}").status_code == 404
    refused = http.post("/jobs", json={"prompt": "Well?", "endpoint": "assistants", "files": [{"upload": upload}]})
    assert refused.status_code == 422


@pytest.mark.parametrize("form", ["image_url", "file_id"])
def test_an_uploaded_image_is_shown_to_the_model(form, sdk):
    upload = sdk.files.create(file=("a.png", PNG), purpose="vision").id
    image = {"type": "input_image", form: f"upload:{upload}" if form == "image_url" else upload}
    content = [{"type": "input_text", "text": "What is this?"}, image]
    shown = sdk.responses.create(model="responses", input=[{"role": "user", "content": content}])
    assert "image" in shown.output_text


def test_a_file_that_is_too_large_is_refused(gateway_of, settings):
    small = settings.model_copy(update={"upload_limit_bytes": 1000})
    with httpx2.Client(base_url=gateway_of(small, max_body_bytes=500), timeout=60) as http:
        for size, status in ((1001, 413), (1_000_000, 413), (1000, 200)):
            sent = http.post("/v1/files", data={"purpose": "batch"}, files={"file": ("a.jsonl", b"x" * size)})
            assert sent.status_code == status, size
            assert ("error" in sent.json()) == (status != 200)
        assert len(http.get("/v1/files").json()["data"]) == 1
