"""A batch's results in another form. The results file stays as it is; what is written appears whole or not at all."""

import io
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import BinaryIO, TextIO, cast

from threadmill.batch.formats import csv, jsonl, markdown, openai_batch
from threadmill.batch.formats import template as templates
from threadmill.batch.formats.table import table
from threadmill.batch.formats.template import Template
from threadmill.batch.outcomes import Only, Order, Outcomes
from threadmill.errors import ThreadmillError
from threadmill.installation import install_command

#: As `out`: on stdout.
STDOUT = Path("-")


class Format(StrEnum):
    CSV = "csv"
    TSV = "tsv"
    PARQUET = "parquet"
    MARKDOWN = "markdown"
    JSONL = "jsonl"
    OPENAI_BATCH = "openai-batch"
    TEMPLATE = "template"

    @property
    def suffix(self) -> str:
        """That a file of this format has; of a template, the template says it."""
        return {Format.MARKDOWN: ".md", Format.OPENAI_BATCH: ".openai.jsonl"}.get(self, f".{self}")


_TABLES = frozenset({Format.CSV, Format.TSV, Format.PARQUET, Format.JSONL})  #: have columns to choose
_BY_SUFFIX = {each.suffix: each for each in (Format.CSV, Format.TSV, Format.PARQUET, Format.MARKDOWN, Format.JSONL)}


#: Those that `threadmill batch` writes next to its results.
BESIDE = tuple(each for each in Format if each not in (Format.JSONL, Format.TEMPLATE))


def format_of(out: Path) -> Format:
    """What a file's suffix says; raises ThreadmillError."""
    try:
        return _BY_SUFFIX[out.suffix.lower()]
    except KeyError:
        raise ThreadmillError(
            f"{out}: its suffix is not {', '.join(_BY_SUFFIX)}; say --format {'|'.join(Format)}"
        ) from None


def errors_beside(out: Path) -> Path:
    """Where the error file of the OpenAI form goes: answers.jsonl, answers.errors.jsonl."""
    return out.with_name(f"{out.stem}.errors{out.suffix}")


def export(
    results: Path,
    format: Format,
    out: Path,
    *,
    only: Only | None = None,
    fields: Sequence[str] = (),
    order: Order = Order.WRITTEN,
    template: Template | None = None,
    folder: bool = False,
    raw_cells: bool = False,
    bom: bool = False,
    force: bool = False,
) -> int:
    """Writes what `results` holds to `out`; returns of how many documents. Raises ThreadmillError.

    `fields`: columns of tables. `template`: for that format; with `folder`, a file per document in the folder `out`.
    `raw_cells`, `bom`: see `formats.csv.write`. `force`: overwrite `out`.
    """
    if (format is Format.TEMPLATE) is (template is None):
        raise ThreadmillError("a template and --format template go together: give --template or --template-file")
    if fields and format not in _TABLES:
        raise ThreadmillError(f"--fields chooses columns, and {format} has none: use {', '.join(sorted(_TABLES))}")
    if folder and format is not Format.TEMPLATE:
        raise ThreadmillError(f"{out} is a folder: only --format template writes a file per document")
    if (raw_cells or bom) and format not in (Format.CSV, Format.TSV):
        raise ThreadmillError("--raw-cells and --bom are for csv and tsv")
    outcomes = Outcomes(results, only, order)
    if template is not None and folder:
        _fill(out, template, outcomes, force)
    elif format is Format.PARQUET:
        if out == STDOUT:
            raise ThreadmillError("Parquet is no text: give --out a file")
        try:
            from threadmill.batch.formats import parquet  # the extra, and slow to import
        except ImportError:
            raise ThreadmillError(f"Parquet needs pyarrow: {install_command('parquet')}, or use --format csv") from None
        with _written(out, results, force) as file:
            parquet.write(table(outcomes, fields), file)
    elif format is Format.OPENAI_BATCH and only is None:
        if out == STDOUT:
            raise ThreadmillError("openai-batch writes two files: give --out a file, or say --only succeeded or failed")
        with _text(out, results, force) as output, _text(errors_beside(out), results, force) as errors:
            openai_batch.write(outcomes, output, errors)
    else:
        with _text(out, results, force) as file:
            _write(outcomes, format, file, fields, template, raw_cells, bom)
    return len(outcomes)


def _write(
    outcomes: Outcomes,
    format: Format,
    file: TextIO,
    fields: Sequence[str],
    template: Template | None,
    raw_cells: bool,
    bom: bool,
) -> None:
    if format in (Format.CSV, Format.TSV):
        delimiter = "," if format is Format.CSV else "\t"
        csv.write(table(outcomes, fields), file, delimiter=delimiter, raw_cells=raw_cells, bom=bom)
    elif format is Format.JSONL and fields:
        jsonl.write_columns(table(outcomes, fields), file)
    elif format is Format.JSONL:
        jsonl.write(outcomes, file)
    elif format is Format.MARKDOWN:
        markdown.write(outcomes, file)
    elif format is Format.OPENAI_BATCH:
        openai_batch.write(outcomes, file, file)
    elif template is not None:
        templates.write(template, outcomes, file)


def _fill(folder: Path, template: Template, outcomes: Outcomes, force: bool) -> None:
    """A file per document. Each appears whole; those written before a mistake shows stay."""
    if not force and folder.is_dir() and any(folder.iterdir()):
        raise ThreadmillError(f"{folder} is not empty. Choose another --out, or --force to overwrite files in it")
    for name, content in templates.files(template, outcomes):
        with _text(folder / name, outcomes.path, force) as file:
            file.write(content)


@contextmanager
def _text(out: Path, results: Path, force: bool) -> Iterator[TextIO]:
    if out == STDOUT:
        file = io.TextIOWrapper(sys.stdout.buffer, "utf-8", "replace", newline="")
        try:
            yield file
        finally:
            file.detach()
        return
    with _written(out, results, force) as binary:
        file = io.TextIOWrapper(binary, "utf-8", "replace", newline="")  # half a character in an answer: "?"
        yield file
        file.flush()
        file.detach()


@contextmanager
def _written(out: Path, results: Path, force: bool) -> Iterator[BinaryIO]:
    """A file next to `out` that takes its place at the end, or goes."""
    if out.exists() and out.samefile(results):
        raise ThreadmillError(f"{out} holds the results themselves. Choose another --out")
    if out.exists() and not force:
        raise ThreadmillError(f"{out} exists. Choose another --out, or --force to overwrite it")
    fresh = out.with_name(out.name + ".new")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        with fresh.open("wb") as file:
            yield cast(BinaryIO, file)
        os.replace(fresh, out)
    except OSError as error:
        raise ThreadmillError(f"cannot write {out}: {error.strerror or error}") from None
    finally:
        fresh.unlink(missing_ok=True)
