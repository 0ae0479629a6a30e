"""The synthetic e-mails: reproducible, well formed, and without the three sentences that a model is tested on.

The check against the three sentences is written anew here, from its definition; it shares no code with the generator.
"""

import hashlib
import html
import json
import re
import unicodedata
from collections import Counter
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from trainer.cli import main
from trainer.data.tickets import read
from trainer.samples.emails import CATEGORIES, SENTENCES, generate, is_near_held_out
from trainer.samples.messages import messages

Emails = list[tuple[str, str, str]]

NUM_EMAILS = 3_000
NAMES = {"réseaux sociaux", "spam", "famille", "promotions", "travail"}
TEST_SENTENCES = (
    "Rejoignez-moi sur Facebook pour voir mes photos de vacances.",
    "Vous avez été sélectionné pour recevoir un prix spécial !",
    "Préparez-vous pour le dîner de famille de ce soir.",
)


@pytest.fixture(scope="module")
def emails() -> Emails:
    """Give the 3,000 mails that the tests measure."""
    return generate(NUM_EMAILS, seed=0)


def test_same_seed_gives_same_mails() -> None:
    """Two calls with one seed return equal mails, and another seed returns other ones."""
    assert generate(50, seed=7) == generate(50, seed=7)
    assert generate(50, seed=7) != generate(50, seed=8)


def test_content_is_the_same_on_every_machine() -> None:
    """The first 200 mails of seed 0 have a known hash; after a wanted change of the tables, write the new one."""
    content = json.dumps(generate(200, seed=0)).encode()  # pure ASCII: independent of any locale

    assert hashlib.sha256(content).hexdigest() == "b83bb7c441b1572d4f8f21ea433b962685654bf29c22f854a810ef43c4b3115f"


def test_fewer_mails_are_the_first_of_more() -> None:
    """A small set of a seed is the beginning of a larger one of the same seed, and has as many mails as asked for."""
    many = generate(100, seed=5)

    assert len(many) == 100
    assert [generate(num, seed=5) for num in (0, 1, 10)] == [many[:0], many[:1], many[:10]]


def test_five_categories_of_like_size(emails: Emails) -> None:
    """The five exact names occur, each on at least 8 % of the mails, and in each third of the list."""
    sizes = Counter(category for category, _, _ in emails)
    third = NUM_EMAILS // 3

    assert sizes.keys() == set(CATEGORIES) == NAMES
    assert min(sizes.values()) >= 0.08 * NUM_EMAILS
    for start in range(0, NUM_EMAILS, third):
        assert {category for category, _, _ in emails[start : start + third]} == NAMES


def test_neighbours_are_other_categories() -> None:
    """Every category has neighbours, and none is its own."""
    for name, (_, neighbours) in CATEGORIES.items():
        assert neighbours
        assert set(neighbours) <= NAMES - {name}


@pytest.mark.parametrize("category", sorted(NAMES))
def test_a_category_has_breadth(category: str) -> None:
    """There are at least 60 sentence patterns, all different, and none is a sentence of the test."""
    assert len(set(SENTENCES[category])) >= 60
    assert not set(TEST_SENTENCES) & set(SENTENCES[category])


def test_mails_are_clean_text(emails: Emails) -> None:
    """Subject and lines are trimmed NFC text of a few words, and no sign of the grammar is left in them."""
    for _, subject, body in emails:
        assert "\n" not in subject
        for line in (subject, *body.split("\n")):
            assert line
            assert line == line.strip()
            assert unicodedata.is_normalized("NFC", line)
            assert not set("{}<>|") & set(line), line
            assert not re.search(r" [,.]|  |,,|,\.|' |\u2019 ", line), line
        assert len(body.split()) <= 110


def test_sentences_begin_with_a_capital(emails: Emails) -> None:
    """No subject, no line of a body and no sentence after a full stop begins with a small letter."""
    for _, subject, body in emails:
        for text in (subject, *body.split("\n"), *re.findall(r"[^.]\. (\w.*)", body)):
            assert not text[0].islower(), text


@pytest.mark.parametrize("sign", ["\u2019", "'", "\u00a0!", " !", "€", "%", "https://", "?", "😊", "\n", "é"])
def test_typography_is_varied(emails: Emails, sign: str) -> None:
    """Both apostrophes, both spaces, prices, links and the rest occur, and none in every mail."""
    num_mails = sum(sign in body for _, _, body in emails)

    assert 5 <= num_mails <= 0.95 * NUM_EMAILS


def test_exact_duplicates_are_rare(emails: Emails) -> None:
    """Fewer than 1 % of the mails repeat another one."""
    assert len(set(emails)) > 0.99 * NUM_EMAILS


# The test sentences


def words(text: str, folded: bool) -> set[str]:
    """Return the distinct words of a text, as the brief of this sample defines them."""
    text = unicodedata.normalize("NFC", text).lower().replace("\u2019", "'")
    if folded:
        text = "".join(c for c in unicodedata.normalize("NFD", text) if unicodedata.category(c) != "Mn")
    return set(re.findall(r"\w+", text))


def faults(text: str) -> list[str]:
    """Return in what ways a text comes near one of the three sentences."""
    found = []
    for folded in (False, True):
        whole = words(text, folded)
        parts = [words(part, folded) for part in re.split(r"[.!?…\n]+", text)]
        for sentence in TEST_SENTENCES:
            wanted = words(sentence, folded)
            if len(whole & wanted) / len(wanted) > 0.5:
                found.append(f"whole, folded {folded}: {sentence}")
            for part in parts:
                if len(part & wanted) >= 3 and len(part & wanted) / len(part) > 0.5:
                    found.append(f"part {sorted(part)}, folded {folded}: {sentence}")
    return found


@pytest.mark.parametrize("seed", range(10))
def test_no_mail_comes_near_a_test_sentence(seed: int) -> None:
    """No mail holds over half of a test sentence's words, and no sentence in it consists mostly of them."""
    for _, subject, body in generate(NUM_EMAILS, seed):
        assert faults(f"{subject}\n{body}") == [], (subject, body)


@pytest.mark.parametrize(
    ("text", "near"),
    [
        *((sentence, True) for sentence in TEST_SENTENCES),
        ("VOUS AVEZ ETE SELECTIONNE POUR UN PRIX", True),  # accents lost, 7 words of 9
        # 5 of the 9 words of the second sentence, strewn over two sentences that are both mostly other words
        ("Nous vous écrivons pour savoir si la météo est bonne.\nUn prix baisse, et avec lui été comme hiver", True),
        # 4 of those 9: vous, pour, un, prix
        ("Nous vous écrivons pour savoir si la météo est bonne.\nUn prix baisse, et avec lui tous les autres", False),
        ("Dîner de famille", True),  # 3 of its own 3 words, though only 3 of the third sentence's 9
        ("Dîner de famille\u2026 Nous", True),
        ("Dîner de travail", False),  # 2 words are not three
        ("Le dîner de mes parents", True),  # le, dîner, de: 3 of its own 5 words
        ("Réunion de famille ce week-end", False),  # 3 of its own 6 words: half is not more than half
        ("Vous avez gagné un million de dollars !", False),  # a training line of the seed: 3 of 7
        ("Agenda pour la réunion de famille ce week-end.", False),  # and another: 4 of 9
    ],
)
def test_nearness_is_as_defined(text: str, near: bool) -> None:
    """The generator's own judge and this file's agree with the count by hand."""
    assert is_near_held_out(text) is near
    assert bool(faults(text)) is near


def test_words_of_the_test_occur_in_other_sentences(emails: Emails) -> None:
    """The rule leaves the words alone: each is found in at least 5 mails, and most in more than one category."""
    telling = ("facebook", "photos", "vacances", "sélectionné", "prix", "recevoir", "dîner", "famille", "soir")
    seen = {
        word: Counter(category for category, subject, body in emails if word in words(f"{subject} {body}", False))
        for word in telling
    }

    assert all(counts.total() >= 5 for counts in seen.values()), seen
    assert all(len(counts) >= 2 for counts in seen.values()), seen


# Messages


@pytest.fixture(scope="module")
def files(emails: Emails) -> list[tuple[str, bytes]]:
    """Give 1,000 mails as messages."""
    return list(messages(emails[:1000], seed=0))


def parsed(content: bytes) -> EmailMessage:
    """Return the message, read by the policy that finds faults."""
    message = message_from_bytes(content, policy=policy.default)
    assert isinstance(message, EmailMessage)
    return message


def lines_of(message: EmailMessage, subtype: str) -> list[str] | None:
    """Return the lines that a person reads in one of the two forms, or None if the message lacks it."""
    part = message.get_body((subtype,))
    if part is None:
        return None
    text = part.get_content()
    if subtype == "html":
        return [html.unescape(re.sub(r"<[^>]+>", "", line)) for line in re.findall(r"<p>(.*)</p>", text)]
    return [line for line in text.splitlines() if line]


def test_messages_parse_and_hold_their_mail(emails: Emails, files: list[tuple[str, bytes]]) -> None:
    """Each message has no defect, five headers, its subject, and its body first in every form that it has."""
    for (category, subject, body), (path, content) in zip(emails[:1000], files, strict=True):
        message = parsed(content)

        assert Path(path).parent == Path(category)
        assert [part.defects for part in message.walk() if part.defects] == []
        assert all(not header.defects for header in message.values())
        assert message["Subject"] == subject
        for header in ("From", "To"):
            assert re.search(r"@(example\.(org|com|net)|\w+\.example)>?$", message[header]), message[header]
        assert message["Date"].datetime.year == 2025
        assert re.fullmatch(r"<0\.\d+@[\w.]+>", message["Message-ID"])
        forms = [lines for subtype in ("plain", "html") if (lines := lines_of(message, subtype)) is not None]
        assert forms
        wanted = [line for line in body.split("\n") if line]
        assert all(lines[: len(wanted)] == wanted for lines in forms)
        assert all(lines == forms[0] for lines in forms)


def test_messages_are_of_every_make(files: list[tuple[str, bytes]]) -> None:
    """Text, HTML, both, attachments, signatures, quoted replies and three encodings each occur, none everywhere."""
    counts = Counter[str]()
    for _, content in files:
        message = parsed(content)
        plain, page = lines_of(message, "plain"), lines_of(message, "html")
        counts["plain"] += page is None
        counts["html"] += plain is None
        counts["both"] += plain is not None and page is not None
        counts["attachment"] += any(True for _ in message.iter_attachments()) if message.is_multipart() else 0
        counts["signature"] += "-- " in (plain or page or [])
        counts["reply"] += any(line.startswith(">") for line in plain or page or [])
        body = message.get_body(("plain", "html"))
        assert body is not None
        assert body.get_content_charset() == "utf-8"
        counts[body["Content-Transfer-Encoding"]] += 1

    makes = ("plain", "html", "both", "attachment", "signature", "reply", "quoted-printable", "base64", "8bit")
    assert set(counts) == set(makes)
    assert all(30 <= counts[make] <= 700 for make in makes), counts


def test_what_a_message_adds_stays_clear_of_the_test(emails: Emails, files: list[tuple[str, bytes]]) -> None:
    """With signature and quoted reply too, no message comes near a test sentence."""
    for _, content in files:
        message = parsed(content)
        for subtype in ("plain", "html"):
            assert faults("\n".join([message["Subject"], *(lines_of(message, subtype) or [])])) == []


def test_messages_depend_on_mails_and_seed_alone(emails: Emails) -> None:
    """The same seed gives the same bytes, another seed others, and fewer are the first of more."""
    one = list(messages(emails[:50], seed=1))

    assert one == list(messages(emails[:50], seed=1))
    assert one != list(messages(emails[:50], seed=2))
    assert one[:10] == list(messages(emails[:10], seed=1))


# The command


def puppet_train(*arguments: object, status: int = 0) -> Result:
    """Run `puppet-train` within this process and return what it printed; its exit status must be `status`."""
    result = CliRunner().invoke(main.main, [str(argument) for argument in arguments])
    assert result.exit_code == status, result.output
    return result


def contents(folder: Path) -> dict[str, bytes]:
    """Return every file below a folder."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_sample_writes_emails_that_fit_reads(tmp_path: Path) -> None:
    """To a .jsonl file go as many rows as asked for, subject line first, and the command says they are invented."""
    path = tmp_path / "mails.jsonl"

    result = puppet_train("sample", "--kind", "email", path, "--num-tickets", 60, "--seed", 3)

    rows = read(path)
    expected = [(category, f"{subject}\n{body}") for category, subject, body in generate(60, seed=3)]
    assert [(row.expected, row.content) for row in rows.tickets] == expected
    assert result.stdout == f"60 synthetic e-mails (invented, seed 3) written to {path}\n"


def test_sample_writes_a_folder_of_messages(tmp_path: Path) -> None:
    """To any other name goes one .eml file a mail, in a sub-folder a category; parents are made."""
    folder = tmp_path / "deep" / "mails"

    result = puppet_train("sample", "--kind", "email", folder, "--num-tickets", 60)

    assert contents(folder) == dict(messages(generate(60, seed=0), seed=0))
    assert {path.name for path in folder.iterdir()} == NAMES
    assert len(contents(folder)) == 60
    assert result.stdout.splitlines()[-1] == f"60 synthetic e-mails (invented, seed 0) written to {folder}"


def test_sample_of_emails_depends_on_its_seed_alone(tmp_path: Path) -> None:
    """The same seed writes the same bytes under the same names, another seed others."""
    folders = [tmp_path / name for name in "abc"]
    for folder, seed in zip(folders, (1, 1, 2), strict=True):
        puppet_train("sample", "--kind", "email", folder, "--num-tickets", 20, "--seed", seed)

    one, same, other = map(contents, folders)
    assert one == same != other


def test_sample_takes_an_empty_folder(tmp_path: Path) -> None:
    """A folder that is there but holds nothing is used."""
    puppet_train("sample", "--kind", "email", tmp_path, "--num-tickets", 5)

    assert len(contents(tmp_path)) == 5


def test_sample_refuses_a_folder_that_holds_something(tmp_path: Path) -> None:
    """The fact and the remedy are named, and nothing is written."""
    (tmp_path / "letter.txt").write_text("mine")

    result = puppet_train("sample", "--kind", "email", tmp_path, status=1)

    assert result.stderr == f"error: {tmp_path} is not empty (1 entries, such as letter.txt); name a new folder\n"
    assert contents(tmp_path) == {"letter.txt": b"mine"}


def test_sample_of_emails_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    """A file in place of the folder and a folder in place of the .jsonl file are named."""
    (tmp_path / "file").write_text("")
    (tmp_path / "x.jsonl").mkdir()

    for path in (tmp_path / "file", tmp_path / "x.jsonl"):
        result = puppet_train("sample", "--kind", "email", path, status=1)
        assert result.stderr.startswith(f"error: cannot write {path}: ")


def test_an_unknown_kind_of_sample_is_a_wrong_option(tmp_path: Path) -> None:
    """Only the two kinds are taken; the message names them."""
    stderr = puppet_train("sample", "--kind", "letter", tmp_path / "x", status=2).stderr

    assert "'ticket', 'email'" in stderr
    assert not (tmp_path / "x").exists()
