"""A folder of e-mails becomes rows: which files are read, what category they get, and what is a fault."""

import mailbox
from pathlib import Path

import msgspec
import pytest

from artifacts.errors import InvalidInput, MailMissing
from artifacts.kinds import kind_named
from artifacts.mail import read_mail as read_one
from benchmarks.mail.hostile import attached
from trainer.data import mails
from trainer.data.mails import Skipped, is_mails, read_folder, read_mbox
from trainer.run import read_rows

GRU = kind_named("GRU")
FOLDERS = Path(__file__).parents[2] / "fixtures" / "mail" / "folders"


def mail(subject: str, body: str) -> bytes:
    """Return a message."""
    return f"From: a@example.org\nSubject: {subject}\nContent-Type: text/plain; charset=utf-8\n\n{body}\n".encode()


def write(folder: Path, **files: bytes) -> Path:
    """Write files into a new folder and return it."""
    folder.mkdir(parents=True)
    for name, content in files.items():
        (folder / name.replace("_", ".")).write_bytes(content)
    return folder


def faults(folder: Path) -> list[str]:
    """Return the faults of a folder, as the terminal shows them."""
    with pytest.raises(InvalidInput) as raised:
        read_rows(folder, GRU)
    assert raised.value.num_faults == len(raised.value.faults)
    return [str(fault) for fault in raised.value.faults]


def test_folder_of_a_category_gives_its_mails(tmp_path: Path) -> None:
    """Each .eml file is a row of its folder's category, subject and body both, in the order of the names."""
    write(tmp_path / "spam", b_eml=mail("Gagné", "Cliquez vite"), a_EML=mail("Prix", "Un million"))
    write(tmp_path / "famille", a_eml=mail("Dîner", "On mange ensemble"))

    rows = read_rows(tmp_path, GRU).tickets

    assert [(row.expected, row.content, row.id) for row in rows] == [
        ("famille", "Dîner\n\nOn mange ensemble", "famille/a.eml"),
        ("spam", "Prix\n\nUn million", "spam/a.EML"),
        ("spam", "Gagné\n\nCliquez vite", "spam/b.eml"),
    ]


def test_mbox_gives_each_of_its_mails(tmp_path: Path) -> None:
    """An mbox file, whatever its name, is as many rows as it holds mails, beside .eml files and in deeper folders."""
    box = mailbox.mbox(write(tmp_path / "travail" / "archive") / "Inbox")
    for number in range(3):
        box.add(mail(f"Sujet {number}", f"Texte {number}\n\nFrom here on nothing is cut."))
    box.close()
    write(tmp_path / "spam", a_eml=mail("x", "y"))

    rows = read_rows(tmp_path, GRU).tickets

    assert [row.id for row in rows] == ["spam/a.eml", *(f"travail/archive/Inbox/{number}" for number in range(3))]
    assert rows[2].content == "Sujet 1\n\nTexte 1\n\nFrom here on nothing is cut."


def test_category_is_compared_in_its_composed_form(tmp_path: Path) -> None:
    """A folder name that a Mac has decomposed is the same category."""
    write(tmp_path / "re\u0301seaux sociaux", a_eml=mail("x", "y"))

    assert read_rows(tmp_path, GRU).tickets[0].expected == "r\u00e9seaux sociaux"


def test_hidden_files_are_left_out(tmp_path: Path) -> None:
    """What a file manager leaves behind is no mail."""
    write(tmp_path / "spam", a_eml=mail("x", "y"), _DS_Store=b"\0")
    write(tmp_path / ".git" / "objects", a_eml=b"")

    assert len(read_rows(tmp_path, GRU).tickets) == 1


def test_every_faulty_file_is_named(tmp_path: Path) -> None:
    """A file that is no mail, a mail that cannot be read, and a stray one; an empty one is no fault."""
    write(
        tmp_path / "spam",
        a_eml=mail("x", "y"),
        b_eml=b"no header at all",
        c_eml=b"Subject: \n\n",
        d_txt=b"x",
    )
    (tmp_path / "stray.eml").write_bytes(mail("x", "y"))

    found = faults(tmp_path)

    assert [fault.partition(":")[0] for fault in found] == [
        "/spam/b.eml", "/spam/d.txt", "/stray.eml",
    ]  # fmt: skip
    assert "is no e-mail" in found[0]
    assert "neither an .eml file nor an mbox" in found[1]
    assert "stands beside the folders of the categories" in found[2]


def test_folder_without_categories_is_refused(tmp_path: Path) -> None:
    """Mails without a folder of their own have no category, and the message says what is expected."""
    (tmp_path / "a.eml").write_bytes(mail("x", "y"))

    with pytest.raises(InvalidInput, match="one folder per category"):
        read_rows(tmp_path, GRU)


def test_kind_that_reads_numbers_refuses_a_folder(tmp_path: Path) -> None:
    """A SimpleNN is not trained on e-mails."""
    with pytest.raises(InvalidInput, match="a SimpleNN is trained on a file"):
        read_rows(tmp_path, kind_named("SimpleNN"))


def test_missing_extra_is_the_fault_of_its_mail(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the library that reads an Outlook .msg the fault says what to install; the other mails are read."""
    write(tmp_path / "spam", a_eml=mail("x", "y"), b_msg=b"")

    def read_mail(raw: bytes) -> object:
        if not raw:
            raise MailMissing("outlook-reader-missing")
        return read_one(raw)

    monkeypatch.setattr(mails, "read_mail", read_mail)

    assert [fault.partition(":")[0] for fault in faults(tmp_path)] == ["/spam/b.msg"]


def rows_of(folder: Path, **options: bool) -> tuple[list[tuple[str, str]], Skipped]:
    """Return category and text of each row of a folder, and what was passed over; no row may have a fault."""
    skipped = Skipped()
    found = []
    for row in read_folder(folder, skipped=skipped, **options):
        assert row.fault is None, row.fault
        decoded = msgspec.json.decode(row.raw, type=dict[str, str])
        found.append((decoded.get("category", ""), decoded["text"]))
    return found, skipped


def test_maildirs_are_read() -> None:
    """`cur` and `new` of a category's Maildir hold its mails."""
    found, _ = rows_of(FOLDERS / "201-folder--maildir")

    assert found == [("autre", "c\n\ntrois"), ("panne", "a\n\nun"), ("panne", "b\n\ndeux")]


def test_folders_of_a_maildir_plus_plus_are_categories(tmp_path: Path) -> None:
    """`.Name` is a category, its letters in IMAP's UTF-7; the inbox has none, and `tmp` is not delivered yet."""
    for folder in (".Pannes.R&AOk-seau", ".Factures"):
        write(tmp_path / folder / "cur", **{"1.a": mail("x", folder[1])})
        write(tmp_path / folder / "tmp", **{"2.a": mail("x", "non")})
    write(tmp_path / "cur", **{"3.a": mail("x", "boîte")})

    found, skipped = rows_of(tmp_path)

    assert found == [("Factures", "x\n\nF"), ("Pannes/Réseau", "x\n\nP")]
    assert skipped.num_uncategorised == 1


def test_labels_of_gmail_takeout_are_categories(tmp_path: Path) -> None:
    """The first label of one's own is the category; a mail with none but Gmail's is passed over and counted."""
    found, _ = rows_of(FOLDERS / "203-folder--takeout-labels")
    box = tmp_path / "takeout.mbox"
    labels = ("Boîte de réception,Important", "Ouvert,Pannes")
    box.write_bytes(
        b"".join(
            f"From 1@x Tue Mar 12 10:12:00 +0000 2024\nX-Gmail-Labels: {label}\nSubject: x\n\ny\n\n".encode()
            for label in labels
        )
    )

    assert found == [("Pannes", "a\n\nun"), ("Factures payées", "b\n\ndeux")]
    assert is_mails(box)
    assert rows_of(box)[0] == [("Pannes", "x\n\ny")]
    assert rows_of(box)[1].num_uncategorised == 1


def test_one_mbox_per_category(tmp_path: Path) -> None:
    """In a folder of mbox files the name of each is a category, with a mark of UTF-8 or a blank line before it too."""
    start = b"From - Tue Mar 12 10:12:00 2024\n"
    write(
        tmp_path / "x",
        Pannes_mbox=b"\xef\xbb\xbf" + start + mail("a", "un"),
        Factures=b"\n" + start + mail("b", "deux"),
    )

    assert rows_of(tmp_path / "x")[0] == [("Factures", "b\n\ndeux"), ("Pannes", "a\n\nun")]


def test_index_files_are_passed_over_and_counted() -> None:
    """What Thunderbird keeps beside an mbox is no fault."""
    found, skipped = rows_of(FOLDERS / "204-folder--thunderbird-index-file")

    assert found == [("autre", "b\n\ndeux"), ("panne", "a\n\nun")]
    assert skipped.said == "passed over: 1 index files of mail programs"
    assert Skipped().said == ""


def test_broken_outlook_file_says_what_it_is() -> None:
    """The fault of a .msg that cannot be read names it and the remedy; the others are read."""
    found = list(read_folder(FOLDERS / "205-folder--outlook-msg"))

    assert [row.fault is None for row in found] == [True, False, True]
    assert "Outlook .msg" in str(found[1].fault)
    assert ".eml" in str(found[1].fault)


def test_line_that_begins_with_from_is_text(tmp_path: Path) -> None:
    """A "From " line begins a mail only with a date and a header below it, after a blank line."""
    found, _ = rows_of(FOLDERS / "207-folder--mbox-line-that-begins-with-from")
    start = b"From a@b.example Mon Nov  4 10:12:00 2024\n"
    box = tmp_path / "box"
    box.write_bytes(
        start + mail("a", "un\n\nFrom Monday on, the lift is closed.\nMerci : oui") + b"\n" + start + mail("b", "x")
    )

    assert found[1:] == [
        ("panne", "a\n\nBonjour,\nFrom Monday on, the lift is closed.\nMerci"), ("panne", "b\n\nok"),
    ]  # fmt: skip
    assert [raw.split(b"\n")[1] for raw in read_mbox(box)] == [b"Subject: a", b"Subject: b"]


def test_mbox_without_dates_is_cut_at_its_headers(tmp_path: Path) -> None:
    """Where the first "From " line has no date, none needs one."""
    box = tmp_path / "box"
    box.write_bytes(b"From nobody\n" + mail("a", "un") + b"\nFrom nobody\n" + mail("b", "deux"))

    assert len(list(read_mbox(box))) == 2


def test_message_in_utf_16_is_read() -> None:
    """An .eml that a program saved in UTF-16 is a mail like the others."""
    assert ("panne", "a\n\ndéjà") in rows_of(FOLDERS / "208-folder--utf16-eml")[0]


def test_apple_mail_and_mh_are_read(tmp_path: Path) -> None:
    """An .emlx, a folder `Name.mbox` as Apple Mail exports it, and an MH folder's files without a suffix."""
    message = mail("a", "un")
    write(tmp_path / "x" / "Pannes.mbox", mbox=b"From - Tue Mar 12 10:12:00 2024\n" + message, table_of_contents=b"x")
    (tmp_path / "x" / "Pannes.mbox" / "table_of_contents").write_bytes(b"x")
    (tmp_path / "x" / "Pannes.mbox" / "table.of.contents").unlink()
    write(tmp_path / "x" / "Autre", a_emlx=str(len(message)).encode() + b"\n" + message + b"<?xml?>")
    (tmp_path / "x" / "Autre" / "12").write_bytes(message)

    found, skipped = rows_of(tmp_path / "x")

    assert found == [("Autre", "a\n\nun"), ("Autre", "a\n\nun"), ("Pannes", "a\n\nun")]
    assert skipped.num_index_files == 1


def test_faulty_mails_are_skipped_if_that_is_asked_for() -> None:
    """With `skip_faulty` a mail without a word is counted and named, and the others are rows."""
    folder = FOLDERS / "210-folder--one-empty-mail"

    found, skipped = rows_of(folder, skip_faulty=True)

    assert found == [("autre", "b\n\nx"), ("panne", "Réunion"), ("panne", "c\n\nun")]
    assert (skipped.num_faulty, [fault.pointer for fault in skipped.faults]) == (1, ["/panne/a.eml"])


def test_large_mail_is_read(tmp_path: Path) -> None:
    """Of a mail over the server's limit the text is read, and its attachment is not decoded."""
    write(tmp_path / "x" / "panne", a_eml=attached(11 * 2**20))

    assert rows_of(tmp_path / "x")[0] == [("panne", "x\n\nun")]


def test_mails_without_categories_are_read_where_none_is_needed(tmp_path: Path) -> None:
    """To classify, mails lie as they like, and their rows have no category."""
    write(tmp_path / "x", a_eml=mail("a", "un"))
    write(tmp_path / "x" / "plus", b_eml=mail("b", "deux"))

    assert rows_of(tmp_path / "x", needs_category=False)[0] == [("", "a\n\nun"), ("", "b\n\ndeux")]
