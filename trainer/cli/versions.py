"""The commands of `puppet-train` that look after a store: list, verify, promote, roll back, delete, forget.

The work is in `artifacts/store/store.py` and `artifacts/store/forgetting.py`; a server that runs on the same store
notices by itself. `main.py` adds these commands to `puppet-train`.
"""

import shlex
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import click
import msgspec
from rich.table import Table

from artifacts.errors import ArtifactRefused, InvalidInput, ModelNotFound, ModelNotTrained, PuppetError, StoreRefused
from artifacts.jobs.jobs import Jobs
from artifacts.kinds import check_kind, kind_named, load
from artifacts.networks.learnt import read_trained_on, seen
from artifacts.networks.manifest import Current
from artifacts.problems.phrases import phrase
from artifacts.schemas import Summary
from artifacts.store import bundle, feedback, forgetting
from artifacts.store.forgetting import Trace
from artifacts.store.store import Store
from artifacts.store.versions import version_before
from artifacts.text.people import Person, read_names
from artifacts.text.tickets import Ticket
from trainer.cli.reading import place_of, reading_options, say_intake
from trainer.cli.terminal import (
    data_argument,
    json_option,
    language,
    name_option,
    out,
    print_line,
    show_comparison,
    shows_errors,
    store_option,
)
from trainer.data.columns import Reading, remembering
from trainer.kinds import trainer_of
from trainer.run import read_rows
from trainer.selection.compare import MAX_CHANGES, compare_published

MAX_SHOWN = 50  # rows of `diff` in the terminal
LEFT = 3  # exit status: something is left; 1 is an error and 2 a wrong option
LEARNT = "it was trained on this ticket: train without it, then delete it"
yes_option = click.option("--yes", is_flag=True, help="Do not ask before deleting.")


class Forgotten(msgspec.Struct, frozen=True):
    """What `--json` prints.

    Attributes:
        found: every place, before anything was erased.
        left: those that hold the person still; of a dry run the same as `found`.
        commands: that end what is left of versions, in order; the data of the training is for a person to fill in.
        dry_run: whether nothing was erased.
    """

    found: list[Trace]
    left: list[Trace]
    commands: list[str]
    dry_run: bool


class ModelRow(msgspec.Struct, frozen=True):
    """A model, as `models` lists it; where its records are damaged, `refused` says so."""

    name: str
    neural_network_type: str | None = None
    created: str | None = None
    num_versions: int = 0
    serves: int | None = None
    refused: str | None = None


class VersionRow(msgspec.Struct, frozen=True):
    """A version, as `versions` lists it; where its manifest is damaged, `refused` says so."""

    version: int
    serves: bool
    neural_network_type: str | None = None
    created: str | None = None
    validation: Summary | None = None
    refused: str | None = None


@click.command("models")
@store_option
@json_option
@shows_errors
def models_command(store: Path, as_json: bool) -> None:
    """List the models of the store, and which version of each serves."""
    opened = open_store(store)
    refused: list[PuppetError] = []
    rows = [model_row(opened, name, refused) for name in opened.models()]
    table = table_of("model", "kind", "created", "versions", "serves")
    for row in rows:
        kind = row.neural_network_type or "REFUSED"
        table.add_row(row.name, kind, row.created or "-", str(row.num_versions), str(row.serves or "-"))
    out.print(table)
    show_refused(refused)
    if as_json:
        print_line({"models": rows})


@click.command("versions")
@name_option
@store_option
@json_option
@shows_errors
def versions_command(name: str, store: Path, as_json: bool) -> None:
    """List a model's versions, what each scored in validation, and which one serves.

    Only the manifests are checked; `puppet-train verify` checks every file.
    """
    opened = open_store(store)
    refused: list[PuppetError] = []
    try:
        serving = serving_of(opened, name)
    except ArtifactRefused as error:  # the versions can still be told
        serving, refused = None, [error]
    numbers = opened.versions(name)
    rows = [version_row(opened, name, number, serving, refused) for number in numbers]
    before = version_before(serving, numbers) if serving else None
    table = table_of("version", "kind", "created", "validation", "serves")
    for row in rows:
        kind = row.neural_network_type or "REFUSED"
        serves = "serves" if row.serves else "before" if row.version == before else ""
        table.add_row(str(row.version), kind, row.created or "-", words(row.validation), serves)
    out.print(table)
    show_refused(refused)
    if as_json:
        print_line({"name": name, "serves": serving.version if serving else None, "before": before, "versions": rows})


@click.command("verify")
@name_option
@store_option
@click.option("--version", "version", type=int, help="Which version; every one by default.")
@shows_errors
def verify_command(name: str, store: Path, version: int | None) -> None:
    """Check a model's published versions: sizes, hashes, operators of the graph, golden rows."""
    from trainer.graph import EARLIER_OPERATORS, check_graph  # imports onnx, which no other command needs

    opened = Store(store)
    trainer = trainer_of(kind_named(opened.read_model(name).neural_network_type))
    serving = opened.current(name).version
    refused = 0
    for number in [version] if version is not None else opened.versions(name):
        try:
            manifest, files = opened.read_version(name, number)
            check_graph(files["model.onnx"], trainer.OPERATORS | EARLIER_OPERATORS)
            load(manifest, files)
        except ArtifactRefused as error:
            refused += 1
            show_refused([error])
        else:
            serves = ", serves" if number == serving else ""
            out.print(f"ok      {name} version {number}{serves}, {manifest.sha256}", soft_wrap=True)
    if refused:
        sys.exit(1)


@click.command("import")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--name", help="Of the model here; the name that it had by default.")
@click.option(
    "--promote", type=click.Choice(["always", "never"]), default="always", show_default=True, help="Whether it serves."
)
@store_option
@json_option
@shows_errors
def import_command(file: Path, name: str | None, promote: str, store: Path, as_json: bool) -> None:
    """Publish the version in FILE, which a server gave as a download, as the next version of a model of this store.

    It is verified first as `verify` does. The model is created if it is missing.
    """
    from trainer.graph import EARLIER_OPERATORS, check_graph  # imports onnx

    manifest, files = bundle.unpack(file)
    trainer = trainer_of(kind_named(manifest.neural_network_type))
    check_graph(files["model.onnx"], trainer.OPERATORS | EARLIER_OPERATORS)
    load(manifest, files)
    opened, name = Store(store), name if name is not None else manifest.name
    try:
        check_kind(manifest.neural_network_type, name, opened.read_model(name).neural_network_type)
    except ModelNotFound:
        opened.create_model(name, manifest.neural_network_type)
    # What the manifest says of other versions and of a job is of another store, where these numbers mean something.
    published = opened.publish(
        msgspec.structs.replace(manifest, name=name, parent=None, comparison=None, job=None, attempt=0),
        files,
        serve=promote == "always",
    )
    out.print(f"published {name} version {published.version}: {manifest.name} version {manifest.version} of {file}")
    if as_json:
        serves = opened.serving(name) == published.version
        print_line({"name": name, "version": published.version, "serves": serves, "from": manifest.sha256})


@click.command("promote")
@name_option
@click.option("--version", "version", type=int, required=True, help="Which version is to serve.")
@click.option("--expected", type=int, help="Only if this version serves now.")
@store_option
@json_option
@shows_errors
def promote_command(name: str, version: int, expected: int | None, store: Path, as_json: bool) -> None:
    """Let a version serve that is in the store already; its files are checked first."""
    pointer = open_store(store).promote(name, version, expected=expected)
    show_serving(name, pointer, as_json)


@click.command("rollback")
@name_option
@store_option
@json_option
@shows_errors
def rollback_command(name: str, store: Path, as_json: bool) -> None:
    """Let the version serve that served before the present one; once more, and the one before that serves."""
    pointer = open_store(store).rollback(name)
    show_serving(name, pointer, as_json)


@click.command("delete")
@name_option
@click.option("--version", "version", type=int, help="Which version; the whole model by default.")
@yes_option
@store_option
@json_option
@shows_errors
def delete_command(name: str, version: int | None, yes: bool, store: Path, as_json: bool) -> None:
    """Delete a version that does not serve, or a model with all its versions. It cannot be undone."""
    opened = open_store(store)
    versions = opened.versions(name)
    if version is not None:
        opened.check_version(name, version)
    what = f"version {version} of {name}" if version is not None else f"model {name}, versions in all: {len(versions)}"
    if not yes:
        click.confirm(f"Delete {what}?", abort=True, err=True)
    if version is not None:
        opened.delete_version(name, version)
    else:
        opened.delete_model(name)
    out.print(f"deleted {what}", soft_wrap=True)
    if as_json:
        print_line({"name": name, "deleted": versions if version is None else [version], "model": version is None})


@click.command("prune")
@name_option
@click.option("--keep", type=click.IntRange(min=0), required=True, help="How many of the newest versions stay.")
@store_option
@json_option
@shows_errors
def prune_command(name: str, keep: int, store: Path, as_json: bool) -> None:
    """Delete a model's oldest versions, but never the serving one nor the one that a rollback would serve."""
    deleted = open_store(store).prune(name, keep)
    out.print(f"deleted of {name}: {', '.join(map(str, deleted)) or 'nothing'}", soft_wrap=True)
    if as_json:
        print_line({"name": name, "deleted": deleted, "model": False})


@click.command("diff")
@data_argument
@name_option
@click.option("--old", type=int, help="The one version; the serving one by default.")
@click.option("--new", type=int, help="The other version; the newest by default.")
@reading_options()
@store_option
@json_option
@shows_errors
def diff_command(
    data: Path,
    name: str,
    old: int | None,
    new: int | None,
    reading: Reading,
    faults_file: Path | None,
    store: Path,
    as_json: bool,
) -> None:
    """Compare two published versions on the labelled rows in DATA: which is better, surely, and what changes."""
    opened = open_store(store)
    kind = kind_named(opened.read_model(name).neural_network_type)
    first = opened.current(name).version if old is None else old
    second = opened.versions(name)[-1] if new is None else new
    for version in (first, second):
        opened.check_version(name, version)
    if first == second:
        raise InvalidInput("version-compared-with-itself", version=first)
    rows = read_rows(data, kind, remembering(reading, opened, name), faults_file)
    say_intake(rows, data)
    comparison = compare_published(opened, name, first, second, rows.tickets)
    out.print(f"{name} version {second} against version {first} on {data}", style="bold", soft_wrap=True)
    table = table_of("row", "expected", f"version {first}", f"version {second}")
    for change in comparison.changes[:MAX_SHOWN]:
        cells = (place_of(rows, change.row), change.expected, change.old, change.new)
        table.add_row(*map(str, cells))
    out.print(table)
    if comparison.num_changes > MAX_SHOWN:
        out.print(f"... and {comparison.num_changes - MAX_SHOWN} more; --json has the first {MAX_CHANGES}")
    show_comparison(comparison)
    if as_json:
        print_line({"name": name, "old": first, "new": second, "comparison": comparison})


@click.command("forget")
@click.argument("text", nargs=-1)
@click.option("--id", "ids", multiple=True, help="Of a correction, which is erased with its ticket; may be repeated.")
@click.option(
    "--file", type=click.Path(path_type=Path), help="Names, one a line: other users see the words of a command."
)
@click.option("--name", help="Only this model; the whole store by default.")
@click.option("--whole-words", is_flag=True, help="Find TEXT only as words of their own, not inside longer ones.")
@click.option("--dry-run", is_flag=True, help="Only say what would be erased.")
@store_option
@json_option
@shows_errors
def forget_command(
    text: tuple[str, ...],
    ids: tuple[str, ...],
    file: Path | None,
    name: str | None,
    whole_words: bool,
    dry_run: bool,
    store: Path,
    as_json: bool,
) -> None:
    """Erase what names a person from the store, and say which versions must be trained again and deleted.

    TEXT is a name, an address or anything that names the person; case, accents and what stands between its words do not
    count, and each TEXT is looked for by itself. Exit status 0: nothing is left; 3: something is, and it is said what.
    A server may go on running meanwhile.
    """
    names = [*text, *(read_names(file) if file is not None else [])]
    if not names and not ids:
        raise InvalidInput("nothing-to-forget")
    opened = open_store(store)
    jobs = Jobs(opened)
    wanted = forgetting.wanted(opened, Person(names, whole_words=whole_words), ids, name)
    learnt = list(versions_that_learnt(opened, frozenset(ids), name)) if ids else []
    found = [*forgetting.find(opened, jobs, wanted, name), *learnt]
    left = found
    if not dry_run:
        jobs.recover()  # what dead processes have left is removed, or it would be found and be nobody's to erase
        forgetting.erase(opened, jobs, wanted, found)
        # Nothing is called erased because it was to be: the store is searched once more.
        left = [*forgetting.find(opened, jobs, wanted, name), *learnt]
    show_forgotten(found, left, dry_run)
    commands = list(commands_for(opened, store, left))
    for command in commands:
        out.print(f"  {command}", soft_wrap=True)
    if as_json:
        print_line(Forgotten(found, left, commands, dry_run))
    if left:
        sys.exit(LEFT)


COMMANDS = (
    diff_command,
    models_command,
    versions_command,
    verify_command,
    import_command,
    promote_command,
    rollback_command,
    delete_command,
    prune_command,
    forget_command,
)


def open_store(path: Path) -> Store:
    """Return the store, which must be there: these commands make none, or a typing error would look like an empty one.

    Raises:
        StoreRefused.
    """
    if not path.exists():
        raise StoreRefused("no-such-store", path=path)
    return Store(path)


def serving_of(store: Store, name: str) -> Current | None:
    """Return the pointer of a model, None if nothing serves yet."""
    try:
        return store.current(name)
    except ModelNotTrained:
        return None


def model_row(store: Store, name: str, refused: list[PuppetError]) -> ModelRow:
    """Return what is to be told of a model; why it is refused, if it is, is added to `refused`."""
    num_versions = len(store.versions(name))
    try:
        record, serving = store.read_model(name), serving_of(store, name)
    except ArtifactRefused as error:
        refused.append(error)
        return ModelRow(name, num_versions=num_versions, refused=str(error))
    return ModelRow(
        name, record.neural_network_type, record.created, num_versions, serving.version if serving else None
    )


def version_row(
    store: Store, name: str, version: int, serving: Current | None, refused: list[PuppetError]
) -> VersionRow:
    """Return what is to be told of a version; see `model_row`."""
    serves = serving is not None and serving.version == version
    try:
        manifest = store.read_manifest(name, version)
    except ArtifactRefused as error:
        refused.append(error)
        return VersionRow(version, serves, refused=str(error))
    return VersionRow(version, serves, manifest.neural_network_type, manifest.created, manifest.validation)


def show_serving(name: str, pointer: Current, as_json: bool) -> None:
    """Tell which version serves now."""
    out.print(f"version {pointer.version} of {name} serves", soft_wrap=True)
    if as_json:
        print_line({"name": name, "version": pointer.version})


def show_refused(errors: Sequence[PuppetError]) -> None:
    """Print what was refused, below the table that could not hold it."""
    for error in errors:
        out.print(phrase("refused", language(), text=error.message.detail(language())), style="red", soft_wrap=True)


def table_of(*columns: str) -> Table:
    """Return an empty table."""
    table = Table()
    for column in columns:
        table.add_column(column, justify="right" if column in ("version", "versions") else "left")
    return table


def words(summary: Summary | None) -> str:
    """Return metrics as a table shows them."""
    if summary is None:
        return "-"
    return ", ".join(
        f"{name} {value:.4g}" if isinstance(value, float) else f"{name} {'-' if value is None else value}"
        for name, value in summary.items()
    )


def versions_that_learnt(store: Store, ids: frozenset[str], name: str | None) -> Iterator[Trace]:
    """Yield the versions whose list of training rows has the ticket of one of these corrections.

    Their words need not be in the vocabulary; the weights have learnt from them all the same.
    """
    for model in [name] if name is not None else store.models():
        rows = [
            Ticket(category=one.category, tokens=one.tokens, text=one.text)
            for one in feedback.read_all(store, model)
            if one.id in ids
        ]
        for version in store.versions(model) if rows else []:
            try:
                is_seen = seen(rows, read_trained_on(*store.read_version(model, version)))
            except ArtifactRefused:
                continue  # damaged: nothing serves it, and `verify` says so
            if is_seen is None or any(is_seen):
                remedy = LEARNT if is_seen else f"it does not say what it was trained on; perhaps {LEARNT}"
                yield Trace(
                    what="version",
                    path=f"{model}/{version}",
                    model=model,
                    version=version,
                    can_erase=False,
                    remedy=remedy,
                )


def show_forgotten(found: Sequence[Trace], left: Sequence[Trace], dry_run: bool) -> None:
    """Print where the person was found, and what became of it."""
    if not found:
        out.print("found nowhere in the store", soft_wrap=True)
        return
    table = Table()
    for column in ("what", "where", "count", "" if dry_run else "now"):
        table.add_column(column, justify="right" if column == "count" else "left")
    kept = {(trace.what, trace.path) for trace in left}
    for trace in found:
        is_left = (trace.what, trace.path) in kept
        state = (
            ("can be erased" if trace.can_erase else "cannot be erased") if dry_run else "left" if is_left else "erased"
        )
        table.add_row(trace.what.replace("_", " "), trace.path, str(trace.count), state)
    out.print(table)
    for trace in left:
        if trace.remedy is not None:
            out.print(f"{trace.path}: {trace.remedy}", soft_wrap=True)
        elif not dry_run:
            out.print(f"{trace.path}: it came back or could not be erased; forget again", soft_wrap=True)


def commands_for(store: Store, path: Path, left: Sequence[Trace]) -> Iterator[str]:
    """Yield the commands that take the place of a version that has to go, and delete it."""
    where = f"--store {shlex.quote(str(path))}"
    versions = dict.fromkeys((trace.model, trace.version) for trace in left if trace.what == "version" and trace.model)
    for model in dict.fromkeys(model for model, _ in versions):
        serving = store.serving(str(model))
        # While it serves it cannot be deleted; once a newer one serves it can.
        if (model, serving) in versions:
            yield f"puppet-train fit DATA --name {model} {where} --forbid FILE"
        for one, version in versions:
            if one == model:
                yield f"puppet-train delete --name {model} --version {version} --yes {where}"
    for trace in left:
        if trace.what == "model_name":
            yield f"puppet-train delete --name {trace.model} --yes {where}"
