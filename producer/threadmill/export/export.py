"""Exports the results of a batch to other formats. Files appear complete or not at all."""

import io
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import BinaryIO, TextIO

from threadmill.batch.replacing import replacing
from threadmill.errors import ThreadmillError
from threadmill.export.formats import csv, jsonl, markdown, openai_batch
from threadmill.export.formats import template as templates
from threadmill.export.formats.table import build_table
from threadmill.export.formats.template import Template
from threadmill.export.results_reader import ResultOrder, ResultsReader, StateFilter
from threadmill.installation import install_command

#: The `out` that stands for stdout.
STDOUT = Path("-")


class Format(StrEnum):
    """A format of exports."""

    CSV = "csv"
    TSV = "tsv"
    PARQUET = "parquet"
    MARKDOWN = "markdown"
    JSONL = "jsonl"
    OPENAI_BATCH = "openai-batch"
    TEMPLATE = "template"

    @property
    def suffix(self) -> str:
        """The suffix of files in this format, except for templates, which have their own."""
        return {Format.MARKDOWN: ".md", Format.OPENAI_BATCH: ".openai.jsonl"}.get(self, f".{self}")


_TABLES = frozenset({Format.CSV, Format.TSV, Format.PARQUET, Format.JSONL})  #: formats with columns
_BY_SUFFIX = {each.suffix: each for each in (Format.CSV, Format.TSV, Format.PARQUET, Format.MARKDOWN, Format.JSONL)}


#: The formats that `threadmill batch` can write in addition to its results.
ADDITIONAL_FORMATS = tuple(each for each in Format if each not in (Format.JSONL, Format.TEMPLATE))


def format_of(out: Path) -> Format:
    """Returns the format of a file by its suffix. Raises ThreadmillError."""
    try:
        return _BY_SUFFIX[out.suffix.lower()]
    except KeyError:
        raise ThreadmillError(
            f"{out}: its suffix is not {', '.join(_BY_SUFFIX)}; say --format {'|'.join(Format)}"
        ) from None


def errors_path(out: Path) -> Path:
    """Returns the error file of the format openai-batch: answers.errors.jsonl for answers.jsonl."""
    return out.with_name(f"{out.stem}.errors{out.suffix}")


@dataclass(frozen=True)
class FormatOptions:
    """Options that only some formats have."""

    fields: Sequence[str] = ()  #: the columns of a table; default: all
    template: Template | None = None  #: for the format of that name
    folder: bool = False  #: render the template to a file per document, in a folder
    raw_cells: bool = False  #: see `formats.csv.write`
    bom: bool = False  #: see `formats.csv.write`

    def check(self, format: Format, out: Path) -> None:
        """Raises ThreadmillError if the format does not have one of the options, or needs another one."""
        if (format is Format.TEMPLATE) is (self.template is None):
            raise ThreadmillError(
                "--format template needs --template or --template-file, and these need --format template"
            )
        if self.fields and format not in _TABLES:
            raise ThreadmillError(f"--fields chooses columns, and {format} has none: use {', '.join(sorted(_TABLES))}")
        if self.folder and format is not Format.TEMPLATE:
            raise ThreadmillError(f"{out} is a folder: only --format template writes a file per document")
        if (self.raw_cells or self.bom) and format not in (Format.CSV, Format.TSV):
            raise ThreadmillError("--raw-cells and --bom are for csv and tsv")


def export(
    results: Path,
    format: Format,
    out: Path,
    options: FormatOptions = FormatOptions(),
    *,
    only: StateFilter | None = None,
    order: ResultOrder = ResultOrder.WRITTEN,
    force: bool = False,
) -> int:
    """Writes `results` to `out` and returns the number of documents. `force` overwrites `out`.

    Raises ThreadmillError.
    """
    options.check(format, out)
    reader = ResultsReader(results, only, order)
    if options.template is not None and options.folder:
        _write_folder(out, options.template, reader, force)
    elif format is Format.PARQUET:
        if out == STDOUT:
            raise ThreadmillError("Parquet is binary: give --out a file")
        try:
            from threadmill.export.formats import parquet  # an extra, and slow to import
        except ImportError:
            raise ThreadmillError(f"Parquet needs pyarrow: {install_command('parquet')}, or use --format csv") from None
        with _binary(out, results, force) as file:
            parquet.write(build_table(reader, options.fields), file)
    elif format is Format.OPENAI_BATCH and only is None:
        if out == STDOUT:
            raise ThreadmillError("openai-batch writes two files: give --out a file, or say --only succeeded or failed")
        with _text(out, results, force) as output, _text(errors_path(out), results, force) as errors:
            openai_batch.write(reader, output, errors)
    else:
        with _text(out, results, force) as file:
            _write(reader, format, file, options)
    return len(reader)


def _write(reader: ResultsReader, format: Format, file: TextIO, options: FormatOptions) -> None:
    if format in (Format.CSV, Format.TSV):
        delimiter = "," if format is Format.CSV else "\t"
        table = build_table(reader, options.fields)
        csv.write(table, file, delimiter=delimiter, raw_cells=options.raw_cells, bom=options.bom)
    elif format is Format.JSONL and options.fields:
        jsonl.write_columns(build_table(reader, options.fields), file)
    elif format is Format.JSONL:
        jsonl.write(reader, file)
    elif format is Format.MARKDOWN:
        markdown.write(reader, file)
    elif format is Format.OPENAI_BATCH:
        openai_batch.write(reader, file, file)
    elif options.template is not None:
        templates.write(options.template, reader, file)


def _write_folder(folder: Path, template: Template, reader: ResultsReader, force: bool) -> None:
    """Writes a file per document. If a later one fails, the earlier ones stay."""
    if not force and folder.is_dir() and any(folder.iterdir()):
        raise ThreadmillError(f"{folder} is not empty. Choose another --out, or use --force to overwrite files in it")
    for name, content in templates.files(template, reader):
        with _text(folder / name, reader.path, force) as file:
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
    with _binary(out, results, force) as binary:
        file = io.TextIOWrapper(binary, "utf-8", "replace", newline="")  # "?" for surrogates
        yield file
        file.flush()
        file.detach()


@contextmanager
def _binary(out: Path, results: Path, force: bool) -> Iterator[BinaryIO]:
    if out.exists() and out.samefile(results):
        raise ThreadmillError(f"{out} is the results file. Choose another --out")
    if out.exists() and not force:
        raise ThreadmillError(f"{out} exists. Choose another --out, or use --force to overwrite it")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        with replacing(out) as file:
            yield file
    except OSError as error:
        raise ThreadmillError(f"cannot write {out}: {error.strerror or error}") from None
