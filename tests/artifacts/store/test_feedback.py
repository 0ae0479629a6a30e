"""The corrections of a model: kept, the latest of an id counting, and erased from every file of the store."""

import json
import multiprocessing
import sqlite3
from pathlib import Path

import msgspec
import pytest

from artifacts.errors import CorrectionNotFound, FeedbackFull, ModelNotFound, StoreRefused
from artifacts.jobs.jobs import Jobs
from artifacts.jobs.records import BODY, UPLOAD
from artifacts.store import feedback
from artifacts.store.feedback import Correction, spellings
from artifacts.store.store import Store
from tests.conftest import full_disk

NAME = "puppet-o2"
LIMIT = 10_000
CANARY = "zwxqcanari"


def correction(number: int | str, words: str = "", category: str = "Accès utilisateur") -> Correction:
    """Return a correction whose id and text say which one it is."""
    return Correction(id=f"t-{number}", category=category, text=f"ticket {number} {words}")


def files_with(store: Store, *wanted: str) -> list[Path]:
    """Return the files of the store in whose bytes one of the words stands, in UTF-8 or as JSON escapes it."""
    needles = [word.encode() for word in wanted] + [json.dumps(word)[1:-1].encode() for word in wanted]
    files = [path for path in store.root.rglob("*") if path.is_file()]
    return [path for path in files if any(needle in path.read_bytes() for needle in needles)]


def add_some(root: Path, first: int) -> None:
    """Add 20 corrections; run in a process of its own."""
    store = Store(root)
    for number in range(first, first + 20):
        feedback.add(store, NAME, correction(number), LIMIT)


def kept_body(store: Store, jobs: Jobs, content: object, keep_data: bool = True) -> Path:
    """Return the body of a waiting training, as a client has posted it."""
    folder = jobs.new_folder()
    (folder / BODY).write_text(content if isinstance(content, str) else json.dumps(content), "utf-8")
    jobs.submit(folder, NAME, "GRU", keep_data=keep_data)
    return folder / BODY


@pytest.fixture
def jobs(store: Store) -> Jobs:
    """Give the jobs of the fixture store."""
    return Jobs(store)


def test_corrections_come_back_in_their_order(store: Store) -> None:
    """Tokens stay tokens and text stays text, with the version and the category; another opening finds them."""
    given = [
        Correction(id="b", category="Nouveau", tokens=["mot de passe", "<NAME>"], version=1),
        Correction(id="a", category="Accès utilisateur", text="Où est mon « coffre » ?\n\x00"),
    ]

    assert [feedback.add(store, NAME, one, LIMIT) for one in given] == [False, False]

    found = list(feedback.read_all(Store(store.root), NAME))
    assert [(one.id, one.category, one.content, one.version) for one in found] == [
        (one.id, one.category, one.content, one.version) for one in given
    ]
    assert all(one.created.endswith("Z") for one in found)
    assert feedback.get(store, NAME, "a").text == given[1].text


def test_latest_of_an_id_counts(store: Store) -> None:
    """A second correction of an id takes the place of the first, and stands where it came."""
    for number in (1, 2):
        feedback.add(store, NAME, correction(number), LIMIT)

    assert feedback.add(store, NAME, correction(1, "again", "Nouveau"), LIMIT) is True

    assert [(one.id, one.category) for one in feedback.read_all(store, NAME)] == [
        ("t-2", "Accès utilisateur"), ("t-1", "Nouveau"),
    ]  # fmt: skip


def test_pages_give_each_once(store: Store) -> None:
    """More corrections than a page holds are all read, each once."""
    num = 2 * feedback.PAGE + 1
    for number in range(num):
        feedback.add(store, NAME, correction(number), LIMIT)

    assert [one.id for one in feedback.read_all(store, NAME)] == [f"t-{number}" for number in range(num)]


def test_model_has_so_many_corrections_at_most(store: Store) -> None:
    """One more than the limit is refused and changes nothing; one of a known id is not one more."""
    for number in (1, 2):
        feedback.add(store, NAME, correction(number), 2)

    with pytest.raises(FeedbackFull, match="has 2 corrections, the limit is 2"):
        feedback.add(store, NAME, correction(3), 2)

    assert feedback.add(store, NAME, correction(2, "again"), 2) is True
    assert [one.id for one in feedback.read_all(store, NAME)] == ["t-1", "t-2"]


@pytest.mark.one_python
def test_processes_write_at_once(store: Store) -> None:
    """What four processes add at the same time is all there."""
    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=add_some, args=(store.root, 20 * number)) for number in range(4)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)

    assert [process.exitcode for process in processes] == [0, 0, 0, 0]
    assert {one.id for one in feedback.read_all(store, NAME)} == {f"t-{number}" for number in range(80)}


def test_what_is_not_there_is_said(store: Store, jobs: Jobs) -> None:
    """A model or an id that nobody knows is told from a model without corrections."""
    assert list(feedback.read_all(store, NAME)) == []
    with pytest.raises(CorrectionNotFound):
        feedback.get(store, NAME, "t-1")
    with pytest.raises(CorrectionNotFound):
        feedback.erase(store, jobs, NAME, "t-1")
    with pytest.raises(ModelNotFound):
        feedback.add(store, "nobody", correction(1), LIMIT)
    with pytest.raises(ModelNotFound):
        feedback.page(store, "nobody")
    assert feedback.erase(store, jobs, NAME) == feedback.Erased(0, 0)


@pytest.mark.parametrize("others", [0, 120])
def test_erased_correction_is_in_no_file(store: Store, jobs: Jobs, others: int) -> None:
    """Neither the id nor the text of an erased correction stands in any byte of the store; the others are all there.

    It was corrected several times among many others, so that its pages were split and its earlier texts deleted.
    """
    for number in range(others):
        feedback.add(store, NAME, correction(number, "x" * (number * 7 % 900)), LIMIT)
        if number % 50 == 0:
            feedback.add(store, NAME, correction(CANARY, f"{CANARY} {'é' * number}", CANARY), LIMIT)
    feedback.add(store, NAME, correction(CANARY, CANARY, CANARY), LIMIT)
    assert files_with(store, CANARY)

    assert feedback.erase(store, jobs, NAME, f"t-{CANARY}") == feedback.Erased(1, 0)

    assert files_with(store, CANARY) == []
    assert [one.id for one in feedback.read_all(store, NAME)] == [f"t-{number}" for number in range(others)]
    assert feedback.add(store, NAME, correction("new"), LIMIT) is False


def test_all_are_erased(store: Store, jobs: Jobs) -> None:
    """Nothing of any correction is left, and a new one begins anew."""
    for number in range(5):
        feedback.add(store, NAME, correction(number, CANARY), LIMIT)

    assert feedback.erase(store, jobs, NAME) == feedback.Erased(5, 0)

    assert files_with(store, CANARY) == []
    assert not (store.root / NAME / feedback.DATABASE).exists()
    feedback.add(store, NAME, correction(9), LIMIT)
    assert [one.id for one in feedback.read_all(store, NAME)] == ["t-9"]


@pytest.mark.parametrize("flushed", [True, False])
@pytest.mark.parametrize("erased", [f"t-{CANARY}", None])
def test_what_a_crash_has_left_is_erased_too(store: Store, jobs: Jobs, flushed: bool, erased: str | None) -> None:
    """A journal of a write that was cut off, and a copy of an erasure that was, hold nothing of it afterwards.

    A journal that was not flushed yet has zeros where a reader looks whether there is anything to take back.
    """
    feedback.add(store, NAME, correction(CANARY, CANARY), LIMIT)
    path = store.root / NAME / feedback.DATABASE
    before = path.read_bytes()
    database = sqlite3.connect(path, isolation_level=None)
    database.execute("PRAGMA cache_spill=1")
    database.execute("BEGIN IMMEDIATE")
    database.execute("UPDATE corrections SET category = 'half done'")
    database.execute("PRAGMA cache_size=1")
    for number in range(300):
        database.execute(
            "INSERT INTO corrections (id, category, ticket, created) VALUES (?, '', ?, '')", (number, "x" * 3000)
        )
    journal = path.with_name(path.name + "-journal").read_bytes()
    torn = path.read_bytes()
    database.close()
    assert torn != before, "nothing was spilled, so there is nothing to take back"
    path.write_bytes(torn if flushed else before)
    path.with_name(path.name + "-journal").write_bytes(journal if flushed else bytes(12) + journal[12:])
    left_over = store.root / ".tmp" / ("0" * 32)
    left_over.mkdir(mode=0o700)
    (left_over / feedback.DATABASE).write_bytes(before)
    assert len(files_with(store, CANARY)) >= 2

    feedback.erase(store, jobs, NAME, erased)

    assert files_with(store, CANARY, "half done") == []
    assert list(feedback.read_all(store, NAME)) == []


def test_kept_bodies_go_with_what_they_hold(store: Store, jobs: Jobs) -> None:
    """Of a model's kept bodies those that hold the id or the ticket are removed, in any usual spelling, no other."""
    one = Correction(id="é-7", category="x", tokens=["mot de passe", CANARY])
    feedback.add(store, NAME, one, LIMIT)
    row = {"category": "x", "tokens": one.tokens}
    holding = [
        kept_body(store, jobs, {"training_data": [row]}),
        kept_body(store, jobs, json.dumps({"training_data": [row]}, separators=(",", ":"), ensure_ascii=False)),
        kept_body(store, jobs, {"training_data": [{"category": "x", "text": "autre", "id": "é-7"}]}),
    ]
    other = kept_body(store, jobs, {"training_data": [{"category": "x", "text": "autre", "id": "é-77"}]})
    for folder in (path.parent for path in holding[:2]):
        jobs.request_cancel(folder.name)
    assert all(path.exists() for path in holding)

    assert feedback.erase(store, jobs, NAME, "é-7") == feedback.Erased(1, 3)

    assert [path.exists() for path in holding] == [False, False, True]  # the third still waits for its training
    jobs.request_cancel(holding[2].parent.name)
    assert not holding[2].exists()
    jobs.request_cancel(other.parent.name)
    assert other.exists()


def test_kept_files_go_with_what_they_hold(store: Store, jobs: Jobs) -> None:
    """A file of a kept training goes if it holds the ticket, however a table quotes it, or cannot be searched."""
    one = Correction(id="7", category="x", text=f'Le "coffre" de {CANARY}')
    feedback.add(store, NAME, one, LIMIT)
    quoted = f'x,"Le ""coffre"" de {CANARY}"\n'
    files = {"quoted": quoted.encode(), "latin": "x,é\n".encode("cp1252"), "other": b"x,autre\n"}
    folders = {}
    for name, content in files.items():
        folders[name] = kept_body(store, jobs, {"name": NAME}).parent
        (folders[name] / UPLOAD).write_bytes(content)
        jobs.request_cancel(folders[name].name)

    assert feedback.erase(store, jobs, NAME, "7").num_bodies == 2
    assert {name: (folder / UPLOAD).exists() for name, folder in folders.items()} == {
        "quoted": False, "latin": False, "other": True,
    }  # fmt: skip
    assert files_with(store, CANARY) == []

    feedback.erase(store, jobs, NAME)  # all corrections, and so all that was kept
    assert not (folders["other"] / UPLOAD).exists()


def test_body_is_searched_across_its_pieces(store: Store, jobs: Jobs, monkeypatch: pytest.MonkeyPatch) -> None:
    """What stands across the border of two pieces is found, wherever the border is."""
    feedback.add(store, NAME, correction(1, CANARY), LIMIT)
    for size in (1, 7, 64):
        monkeypatch.setattr("artifacts.jobs.jobs.SEARCHED_BYTES", size)
        path = kept_body(store, jobs, [{"text": correction(1, CANARY).text}])
        jobs.request_cancel(path.parent.name)

        assert jobs.drop_bodies(NAME, spellings(correction(1, CANARY))) == 1
        assert not path.exists()


def test_number_as_id_is_told_from_a_longer_one() -> None:
    """The id 12 is found as a number and as a string, and is not found in 123."""
    wanted = spellings(Correction(id="12", category="x", text="?"))

    def stands_in(body: str) -> bool:
        return any(one in body.encode() for one in wanted)

    assert [stands_in(body) for body in ('{"id": 12}', '{"id":"12",', '{"id": 123}', '{"id":"123"}')] == [
        True, True, False, False,
    ]  # fmt: skip


def test_deleted_model_takes_its_corrections_along(store: Store) -> None:
    """A model that is made again under the name has none, and no file holds what the old one had."""
    feedback.add(store, NAME, correction(1, CANARY), LIMIT)

    store.delete_model(NAME)
    store.create_model(NAME, "GRU")

    assert files_with(store, CANARY) == []
    assert list(feedback.read_all(store, NAME)) == []


def test_full_disk_refuses_and_keeps_the_others(store: Store) -> None:
    """What cannot be written is refused with a remedy, and what was acknowledged before is there."""
    num_kept = 0

    def fill() -> None:
        nonlocal num_kept
        for number in range(200):
            feedback.add(store, NAME, correction(number, "x" * 5000), LIMIT)
            num_kept += 1

    with full_disk(200_000), pytest.raises(StoreRefused, match="free some space"):
        fill()

    assert num_kept > 10
    assert [one.id for one in feedback.read_all(store, NAME)] == [f"t-{number}" for number in range(num_kept)]


@pytest.mark.parametrize("damage", [b"no database at all, but as long as a header of one would have to be" * 9, None])
def test_damaged_file_is_refused(store: Store, damage: bytes | None) -> None:
    """Bytes that are no database, or rows that no program of ours has written, are no corrections."""
    feedback.add(store, NAME, correction(1), LIMIT)
    path = store.root / NAME / feedback.DATABASE
    if damage is not None:
        path.write_bytes(damage)
    else:
        with sqlite3.connect(path) as database:
            database.execute("UPDATE corrections SET ticket = '{}'")
        database.close()

    with pytest.raises(StoreRefused, match="are damaged"):
        list(feedback.read_all(store, NAME))


@pytest.mark.parametrize("damage", ["cut short", "a page of zeros", "two pages in each other's place"])
def test_damaged_page_is_refused(store: Store, damage: str) -> None:
    """Whatever a page is damaged by, the corrections are not read as if they were fewer, or others."""
    for number in range(60):
        feedback.add(store, NAME, correction(number, "x" * 500), LIMIT)
    path = store.root / NAME / feedback.DATABASE
    raw = path.read_bytes()
    size = int.from_bytes(raw[16:18], "big")  # of a page: sqlite.org/fileformat.html, 1.3.2
    pages = [raw[start : start + size] for start in range(0, len(raw), size)]
    leaves = [number for number, page in enumerate(pages) if page[0] == 13 and b"xxxx" in page]  # 13: of a table
    first, last = leaves[0], leaves[-1]
    assert 0 < first < last
    if damage == "cut short":
        pages = pages[:last]
    elif damage == "a page of zeros":
        pages[last] = bytes(size)
    else:
        pages[first], pages[last] = pages[last], pages[first]
    path.write_bytes(b"".join(pages))

    with pytest.raises(StoreRefused, match="are damaged"):
        list(feedback.read_all(store, NAME))


def make_first_schema(store: Store) -> Path:
    """Turn the corrections into those of a program that knew no names of tokens, and return their file."""
    path = store.root / NAME / feedback.DATABASE
    database = sqlite3.connect(path)
    database.execute("ALTER TABLE corrections DROP COLUMN token_name")
    database.execute("PRAGMA user_version=1")
    database.close()
    return path


def test_name_of_the_token_is_kept(store: Store) -> None:
    """A correction says by which token it came, and without one says nothing of it."""
    feedback.add(store, NAME, msgspec.structs.replace(correction(1), token_name="desk"), LIMIT)
    feedback.add(store, NAME, correction(2), LIMIT)

    assert [one.token_name for one in feedback.read_all(store, NAME)] == ["desk", ""]
    assert b"token_name" not in msgspec.json.encode(feedback.get(store, NAME, "t-2"))


def test_older_corrections_go_on_being_read(store: Store, jobs: Jobs) -> None:
    """A file of schema 1 is read without being changed, erased from, and gets its new column with the next one."""
    for number in range(3):
        feedback.add(store, NAME, correction(number), LIMIT)
    path = make_first_schema(store)
    before = path.read_bytes()

    assert [(one.id, one.token_name) for one in feedback.read_all(store, NAME)] == [
        ("t-0", ""),
        ("t-1", ""),
        ("t-2", ""),
    ]
    assert feedback.get(store, NAME, "t-1").text == correction(1).text
    assert path.read_bytes() == before
    feedback.add(store, NAME, msgspec.structs.replace(correction(3), token_name="desk"), LIMIT)
    make_first_schema(store)
    assert feedback.erase(store, jobs, NAME, "t-1").num_corrections == 1
    feedback.add(store, NAME, msgspec.structs.replace(correction(4), token_name="desk"), LIMIT)
    assert [(one.id, one.token_name) for one in feedback.read_all(store, NAME)] == [
        ("t-0", ""), ("t-2", ""), ("t-3", ""), ("t-4", "desk"),
    ]  # fmt: skip


def test_file_of_another_program_is_left_alone(store: Store) -> None:
    """A schema that we do not know is neither read nor written."""
    feedback.add(store, NAME, correction(1), LIMIT)
    database = sqlite3.connect(store.root / NAME / feedback.DATABASE)
    database.execute("PRAGMA user_version=7")
    database.close()

    with pytest.raises(StoreRefused, match="schema 7"):
        feedback.add(store, NAME, correction(2), LIMIT)
