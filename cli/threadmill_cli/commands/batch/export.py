"""`threadmill batch export`: converts a batch's results to another format."""

import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated

import typer

from threadmill.export.export import ADDITIONAL_FORMATS, STDOUT, Format, FormatOptions, errors_path, export, format_of
from threadmill.export.formats.template import Template
from threadmill.export.results_reader import ResultOrder, StateFilter
from threadmill_cli.app import Exit, err
from threadmill_cli.command import examples
from threadmill_cli.commands.batch.overwriting import confirm_overwriting
from threadmill_cli.commands.job_options import read_template
from threadmill_cli.rendering.confirm import Yes

#: Suffixes of a template's file name, after the suffix of its output.
_TEMPLATE_SUFFIXES = (".j2", ".jinja", ".jinja2")


def add_to(group: typer.Typer) -> None:
    group.command(
        "export",
        epilog=examples(
            "threadmill batch export results.jsonl --out results.csv",
            "threadmill batch export results.jsonl --out amounts.csv --fields path,answer.amount --sort path",
            "threadmill batch export results.jsonl --format markdown --out -",
            "threadmill batch export results.jsonl --out letters/ --template-file letter.html.j2 --only succeeded",
        ),
    )(export_results)


def export_results(
    results: Annotated[Path, typer.Argument(metavar="RESULTS", help="A results file of `threadmill batch`.")],
    out: Annotated[str, typer.Option(help="The file to write; - is stdout. With a template, also a folder/.")],
    format: Annotated[
        Format | None,
        typer.Option(
            "--format",
            help="Format to write. Default: template if there is one, else by the suffix of --out.",
            show_default=False,
        ),
    ] = None,
    only: Annotated[StateFilter | None, typer.Option(help="Export only these documents.")] = None,
    fields: Annotated[
        str | None, typer.Option(help="Columns, separated by commas. A name includes all fields below it.")
    ] = None,
    sort: Annotated[
        ResultOrder, typer.Option(help="Order of the documents: as written, or by path with numbers in numeric order.")
    ] = (ResultOrder.WRITTEN),
    template: Annotated[str | None, typer.Option(help="Jinja2 template to fill in for each document.")] = None,
    template_file: Annotated[Path | None, typer.Option(help="Read the template from this file.")] = None,
    raw_cells: Annotated[
        bool,
        typer.Option(
            "--raw-cells",
            help="For CSV and TSV: write texts unchanged. By default, a text that a spreadsheet could run as a formula "
            "begins with an apostrophe.",
        ),
    ] = False,
    bom: Annotated[
        bool,
        typer.Option("--bom", help="For CSV and TSV: begin with a byte order mark. Excel needs it to recognise UTF-8."),
    ] = False,
    force: Annotated[bool, typer.Option("--force", help="Overwrite --out.")] = False,
    yes: Yes = False,
) -> None:
    """Convert a batch's results to another format. The results file is not changed."""
    target = Path(out)
    folder = out.endswith(("/", os.sep)) or target.is_dir()
    made = _template(template, template_file, "" if folder else target.suffix)
    if format is None:
        format = Format.TEMPLATE if made else format_of(target)
    if force and target != STDOUT:
        beside_it = [errors_path(target)] if format is Format.OPENAI_BATCH and only is None else []
        confirm_overwriting([target, *beside_it], results, yes=yes)
    columns = tuple(name.strip() for name in fields.split(",")) if fields else ()
    options = FormatOptions(columns, made, folder, raw_cells, bom)
    try:
        count = export(results, format, target, options, only=only, order=sort, force=force)
    except BrokenPipeError:  # the reader of stdout has closed it
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise typer.Exit(Exit.OK) from None
    if target != STDOUT:
        both = f" and {errors_path(target)}" if format is Format.OPENAI_BATCH and only is None else ""
        err.print(
            f"{count:,} {'document' if count == 1 else 'documents'} written to {target}{both}",
            soft_wrap=True,
            markup=False,
        )


def _template(source: str | None, file: Path | None, suffix: str) -> Template | None:
    """Returns the format. `suffix`: the suffix of the output file, which decides first for a template."""
    if file is not None:
        source = read_template(file, "--template-file")
        own = Path(file.stem) if file.suffix in _TEMPLATE_SUFFIXES else file
        suffix = suffix or own.suffix
    elif source is not None:
        source = source.replace("\\n", "\n")
    return None if source is None else Template(source, suffix or ".txt")


def beside(out: Path, formats: Sequence[Format]) -> dict[Format, Path]:
    """Returns the output files of these formats. Raises BadParameter."""
    for each in formats:
        if each not in ADDITIONAL_FORMATS or out.with_suffix(each.suffix) == out:
            raise typer.BadParameter(f"--format {each} cannot be written next to {out}; see threadmill batch export -h")
    return {each: out.with_suffix(each.suffix) for each in formats}


def targets(files: Mapping[Format, Path]) -> list[Path]:
    """Returns all files that these exports replace."""
    errors = [errors_path(file) for form, file in files.items() if form is Format.OPENAI_BATCH]
    return [*files.values(), *errors]


def write_beside(results: Path, files: Mapping[Format, Path]) -> None:
    """Writes the results in other formats and replaces the files of an earlier run."""
    for form, file in files.items():
        export(results, form, file, force=True)
        err.print(f"Written: {file}", soft_wrap=True, markup=False)
