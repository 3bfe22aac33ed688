"""The definition of a report, and the errors in it."""

from contextlib import nullcontext
from datetime import UTC, date, datetime

import pytest

from threadmill.documents.errors import BadDocument
from threadmill.documents.find import find
from threadmill.documents.template import BadTemplate
from threadmill.errors import InvalidReport
from threadmill.job.message import MESSAGE_LIMIT
from threadmill.reports.definitions.files import load, names
from threadmill.reports.inputs import check_prompts, documents_of, map_template

LEAST = 'schedule = "0 6 * * *"\npaths = ["notes/{{ date }}"]\n'


@pytest.fixture
def written(tmp_path):
    def write(text: str, name: str = "daily"):
        (tmp_path / f"{name}.toml").write_text(text)
        return load(tmp_path, name)

    return write


def test_a_definition_needs_only_paths(written, tmp_path):
    report = written(LEAST)

    assert (report.name, report.time_zone, report.about, report.catch_up) == ("daily", "UTC", "yesterday", 3)
    assert report.title_of(date(2026, 11, 20)) == "daily"
    assert names(tmp_path) == ["daily"]


def test_a_report_without_a_schedule_is_about_the_day_it_is_run(written):
    report = written('paths = ["notes"]\ntime_zone = "Asia/Taipei"\nabout = "today"\n')

    assert report.clock is None
    assert report.latest_night(datetime(2026, 11, 20, 20, tzinfo=UTC)) == date(2026, 11, 21)


def test_a_report_gives_its_jobs_their_order_and_its_batches_their_limit(written):
    report = written('priority = "low"\ntenant = "reports"\nconcurrent = 5\n' + LEAST)

    assert report.job_fields(report.map) == {"priority": "low", "tenant": "reports"}
    assert (report.probe.priority, report.probe.tenant, report.concurrent) == ("low", "reports", 5)


def test_a_report_gives_its_jobs_their_service_tier_and_their_seed(written):
    report = written('service_tier = "priority"\nseed = 7\n' + LEAST)
    assert report.job_fields(report.map) == {"service_tier": "priority", "seed": 7}


def test_unset_variables_are_listed(written, monkeypatch):
    monkeypatch.setenv("HOOK", "http://127.0.0.1/")
    monkeypatch.delenv("HOOK_TOKEN", raising=False)
    monkeypatch.delenv("MAIL_PASSWORD", raising=False)
    report = written(
        LEAST
        + '[delivery.webhook]\nurl_env = "HOOK"\ntoken_env = "HOOK_TOKEN"\n'
        + '[delivery.smtp]\nhost = "m"\nfrom = "a@b.c"\nto = ["d@e.f"]\nuser = "a"\npassword_env = "MAIL_PASSWORD"\n'
    )

    assert report.delivery.unset_variables == ["HOOK_TOKEN", "MAIL_PASSWORD"]


def test_title_and_paths_can_use_the_date(written):
    report = written(
        'title = "News of {{ date }}"\nschedule = "0 6 * * *"\n'
        """paths = ["notes/{{ date }}", "log/{{ date.strftime('%Y/%m') }}/*.md"]\n"""
    )

    assert report.title_of(date(2026, 11, 20)) == "News of 2026-11-20"
    assert report.paths_of(date(2026, 11, 20)) == ["notes/2026-11-20", "log/2026/11/*.md"]


def test_jobs_have_the_fields_of_the_report_and_the_step(written):
    report = written(LEAST + 'model = "large"\n[map]\ninstructions = "Be brief."\n[reduce]\nmax_tokens = 2000\n')

    assert report.job_fields(report.map) == {"model": "large", "instructions": "Be brief."}
    assert report.job_fields(report.reduce) == {"model": "large", "max_completion_tokens": 2000}


@pytest.mark.parametrize(
    ("allowed", "failed", "documents", "published"),
    [
        ('"10%"', 1, 10, True),
        ('"10%"', 2, 10, False),
        ('"10%"', 0, 3, True),
        ("2", 2, 3, True),
        ("2", 3, 100, False),
        ("0", 1, 100, False),
        ('"100%"', 9, 10, True),
        ('"100%"', 10, 10, False),  # nothing to report
    ],
)
def test_the_threshold_is_a_number_of_documents_or_a_share(written, allowed, failed, documents, published):
    report = written(LEAST + f"publish_if_failed_at_most = {allowed}\n")

    assert report.may_publish(failed, documents) is published


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (LEAST + "pahts = 1", "unknown field `pahts`. A report has title, schedule, "),
        (LEAST + '[map]\npromt = "x"', "unknown field `map.promt`"),
        ('schedule = "0 6 * * *"\npaths = []', "`paths`: "),
        ('schedule = "61 6 * * *"\npaths = ["a"]', "schedule '61 6 * * *': Bad minute; an example is '0 6 * * *'"),
        ('schedule = "0 6,18 * * *"\npaths = ["a"]', "fires more than once a day; there is one report per day"),
        ('schedule = "0 6 30 2 *"\npaths = ["a"]', "schedule '0 6 30 2 *': Bad day-of-month"),
        (
            LEAST + 'time_zone = "Asia/Taipeh"',
            "`time_zone`: 'Asia/Taipeh' is not a time zone; examples are Asia/Taipei",
        ),
        (LEAST + 'time_zone = "../etc"', "is not a time zone"),
        ('schedule = "0 6 * * *"\npaths = ["{{ day }}"]', "'{{ day }}': 'day' is undefined; it can use date"),
        (LEAST + 'title = "{{ date"', "`title`: "),
        (LEAST + 'publish_if_failed_at_most = "many"', "publish_if_failed_at_most"),
        (LEAST + "[delivery.webhook]", "give `url`, or `url_env` where the URL is a secret"),
        (
            LEAST + '[delivery.smtp]\nhost = "m"\nfrom = "a@b.c"\nto = ["d@e.f"]\nuser = "a"',
            "`user` and `password_env` go together",
        ),
        (LEAST + '[delivery.smtp]\nhost = "m"\nfrom = "a@b.c"\nto = ["x, y"]', "delivery.smtp.to"),
        ("schedule = ", "daily.toml: cannot be read: "),
    ],
)
def test_a_mistake_is_reported_with_file_field_and_remedy(written, text, says):
    with pytest.raises(InvalidReport) as refused:
        written(text)

    assert says in str(refused.value)
    assert "daily.toml: " in str(refused.value)


def test_an_unknown_report_is_reported_with_the_existing_ones(written, tmp_path):
    written(LEAST)

    with pytest.raises(InvalidReport, match=r"there is no report 'nightly' \(.* has daily\); to add it, write "):
        load(tmp_path, "nightly")


def test_a_name_must_fit_into_keys_and_paths(written):
    with pytest.raises(InvalidReport, match="rename the file"):
        written(LEAST, name="my report")


def test_encoding_and_attach_are_those_of_a_batch(written, tmp_path):
    (tmp_path / "a.txt").write_bytes("今日".encode("big5"))
    paths = f'paths = ["{tmp_path}/a.txt"]\n'
    night = date(2026, 11, 20)

    [text] = documents_of(written(paths + 'encoding = "big5"\n'), night)
    assert text.variables()["text"] == "今日"

    attaching = written(paths + 'attach = "file_search"\n')
    [attached] = documents_of(attaching, night)
    check_prompts(attaching, [attached])
    assert attached.files == (tmp_path / "a.txt",)

    with pytest.raises(InvalidReport, match="`rows` and `attach` exclude each other"):
        written(paths + 'rows = true\nattach = "file_search"\n')
    with pytest.raises(InvalidReport, match="no such encoding"):
        written(paths + 'encoding = "klingon"\n')


@pytest.mark.parametrize("max_chars", [None, 40_000])
def test_parts_of_a_split_text_fit_a_prompt_with_a_date(written, tmp_path, max_chars):
    night, text = date(2026, 11, 20), "天 " * MESSAGE_LIMIT
    (tmp_path / "a.txt").write_text(text)
    limit = f"max_chars = {max_chars}\n" if max_chars else ""
    definition = written(
        f'title = "News"\npaths = ["{tmp_path}/a.txt"]\nsplit = true\n{limit}'
        "[map]\nprompt = \"{{ title }} of {{ date.strftime('%d %B') }}, {{ part }}/{{ parts }}: {{ text }}\""
    )
    documents = documents_of(definition, night)
    template = map_template(definition, night, documents)
    parts = documents[0].parts()
    prompts = [part.job_fields(template)["prompt"] for part in parts]

    assert "".join(part.text for part in parts) == text
    assert prompts[0].startswith(f"News of 20 November, 1/{len(parts)}: 天")
    assert max(map(len, prompts)) <= MESSAGE_LIMIT
    assert len(parts) == (3 if max_chars is None else 13)
    check_prompts(definition, documents)


def test_without_split_max_chars_refuses_longer_texts(written, tmp_path):
    (tmp_path / "a.txt").write_text("x" * 101)
    [document] = documents_of(written(f'paths = ["{tmp_path}/a.txt"]\nmax_chars = 100\n'), date(2026, 11, 20))
    with pytest.raises(BadDocument, match="has 101 characters, the limit is 100"):
        document.variables()


@pytest.mark.parametrize("kind", ["rows = true", 'attach = "file_search"'])
@pytest.mark.parametrize("field", ["split = true", "max_chars = 1000"])
def test_only_texts_are_split(written, kind, field):
    with pytest.raises(InvalidReport, match=r"`split` and `max_chars` apply to texts, not to `(rows|attach)`"):
        written(f"{kind}\n{field}\n{LEAST}")


def test_a_prompt_without_space_for_text_is_refused(written):
    definition = written(f"split = true\n{LEAST}[map]\nprompt = '{'x' * MESSAGE_LIMIT}{{{{ text }}}}'\n")
    with pytest.raises(BadTemplate, match="has no space for text"):
        check_prompts(definition, [])


@pytest.mark.parametrize(
    ("prompts", "refused"),
    [
        ('[map]\nprompt = "Summarise this of {{ date }}"', True),
        ('[reduce]\nprompt = "Write a report of {{ date }}"', True),
        ('[map]\nprompt = "What is new in {{ name }}?"\n[reduce]\nprompt = "{{ answers | join }}"', False),
    ],
)
def test_prompts_that_do_not_use_their_input_are_refused(written, tmp_path, prompts, refused):
    (tmp_path / "a.md").write_text("One")
    definition = written(f"{LEAST}{prompts}\n")
    documents = find([str(tmp_path / "a.md")])
    with pytest.raises(BadTemplate, match="does not use the document") if refused else nullcontext():
        check_prompts(definition, documents)


def test_both_steps_leave_a_low_token_limit_to_the_endpoint(written):
    report = written(LEAST + "[map]\nmax_tokens = 300\n[reduce]\nmax_tokens = 50\n")
    assert report.probe.max_completion_tokens == 50


def test_a_report_stops_after_a_few_endpoint_failures_in_a_row(written):
    assert written(LEAST).budget.max_endpoint_failures == 5
    assert written(LEAST + "[budget]\nmax_endpoint_failures = 2\n").budget.max_endpoint_failures == 2
