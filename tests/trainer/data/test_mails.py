"""A folder of e-mails becomes rows: which files are read, what category they get, and what is a fault."""

import mailbox
from pathlib import Path

import pytest

from artifacts.errors import InvalidInput, MailMissing, how_to_install
from artifacts.kinds import kind_named
from artifacts.mail.message import MAX_MAIL_BYTES
from trainer.data import mails
from trainer.run import read_rows

GRU = kind_named("GRU")


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
    """A file that is no mail, a mail that cannot be read, an empty one, a stray one and a huge one: all at once."""
    write(
        tmp_path / "spam",
        a_eml=mail("x", "y"),
        b_eml=b"no header at all",
        c_eml=b"Subject: \n\n",
        d_txt=b"x",
        e_eml=b"Subject: x\n\n" + b"a" * MAX_MAIL_BYTES,
    )
    (tmp_path / "stray.eml").write_bytes(mail("x", "y"))

    found = faults(tmp_path)

    assert [fault.partition(":")[0] for fault in found] == [
        "/spam/b.eml", "/spam/c.eml/text", "/spam/d.txt", "/spam/e.eml", "/stray.eml",
    ]  # fmt: skip
    assert "is no e-mail" in found[0]
    assert "empty" in found[1]
    assert "neither an .eml file nor an mbox" in found[2]
    assert f"has {MAX_MAIL_BYTES + 12} bytes, limit is {MAX_MAIL_BYTES}" in found[3]
    assert "stands beside the folders of the categories" in found[4]


def test_folder_without_categories_is_refused(tmp_path: Path) -> None:
    """Mails without a folder of their own have no category, and the message says what is expected."""
    (tmp_path / "a.eml").write_bytes(mail("x", "y"))

    with pytest.raises(InvalidInput, match="one folder per category"):
        read_rows(tmp_path, GRU)


def test_kind_that_reads_numbers_refuses_a_folder(tmp_path: Path) -> None:
    """A SimpleNN is not trained on e-mails."""
    with pytest.raises(InvalidInput, match="a SimpleNN is trained on a file"):
        read_rows(tmp_path, kind_named("SimpleNN"))


def test_missing_extra_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the library that reads e-mails nothing is trained, and the message says what to install."""
    write(tmp_path / "spam", a_eml=mail("x", "y"))

    def read_mail(_: bytes) -> None:
        raise MailMissing(how_to_install("mail"))

    monkeypatch.setattr(mails, "read_mail", read_mail)

    with pytest.raises(MailMissing, match="mail"):
        read_rows(tmp_path, GRU)
