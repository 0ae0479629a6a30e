"""A second reader of the format, written from artifacts/README.md alone, against the first.

Nothing of `artifacts` is called in the reader: what it reads, from the seal to the probabilities, it reads as the page
says. Its patterns are taken out of the page, so that page and code cannot drift apart.
"""

import hashlib
import itertools
import json
import re
import unicodedata
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
import pytest
from hypothesis import assume, given

from artifacts.networks.gru import GruModel
from artifacts.text.plain import is_html
from artifacts.text.tokens import normalise, tokenize
from tests.artifacts.text.test_tokens import IMPERSONAL, PERSONAL, TEXTS
from tests.conftest import FIXTURE_STORE

PAGE = (Path(__file__).parents[2] / "artifacts" / "README.md").read_text("utf-8")
FOLDER = FIXTURE_STORE / "puppet-o2" / "1"

PATTERNS = dict(re.findall(r"^([A-Z]+) = (.+)$", PAGE, re.MULTILINE))
ALTERNATIVES: list[tuple[re.Pattern[str], str]] = [
    (re.compile(re.sub("[A-Z]{3,}", lambda name: PATTERNS[name[0]], pattern), re.IGNORECASE), action)
    for pattern, action in re.findall(r"^(\S.*?) {2,}(kept|normalised|masked|<[A-Z]+>)$", PAGE, re.MULTILINE)
]


UNSEEN, JOINED, RUN, BLOCKS = (re.compile(PATTERNS[name]) for name in ("UNSEEN", "JOINED", "RUN", "BLOCKS"))
JOINERS = "\u200c\u200d"


def is_mark(character: str) -> bool:
    """Return whether a character belongs to the letter before it."""
    return BLOCKS.match(character) is not None and unicodedata.category(character) in ("Mn", "Mc")


def seen(text: str) -> str:
    """Return a text without what step 3 of rules 3 drops."""
    text = UNSEEN.sub("", text)
    kept, place = "", 0
    while place < len(text):
        end = place
        while end < len(text) and text[end] in JOINERS:
            end += 1
        if end == place:
            kept, place = kept + text[place], place + 1
            continue
        is_within = place > 0 and end < len(text) and JOINED.match(text[place - 1]) and JOINED.match(text[end])
        kept, place = kept + (text[place:end] if is_within else ""), end
    return kept


def written(text: str) -> str:
    """Return a text without "<" and "&" as its writer saw it, by the four steps of rules 3."""
    text = re.sub(PATTERNS["EXCEL"], " ", text)
    pieces = re.split(r"(\s+)", text)
    text = "".join(one if re.search(PATTERNS["PATH"], one) else re.sub(PATTERNS["LINEEND"], " ", one) for one in pieces)
    text = unicodedata.normalize("NFC", seen(text))
    cut, run = "", list[str]()
    for character in [*text, ""]:
        if character and RUN.match(character):
            run.append(character)
        elif character and run and is_mark(character):
            run[-1] += character
        else:
            if run:
                cut += f" {' '.join(map(''.join, itertools.pairwise(run))) or run[0]} "
            run, cut = [], cut + character
    return cut


WORD = r"\w+(?:'\w+)*"


def read_token(token: str) -> str:
    """Return the spelling of a token, by the five steps of the page."""
    token = " ".join(unicodedata.normalize("NFC", seen(token)[:256]).replace("\u2019", "'").split())
    if re.fullmatch(PATTERNS["PLACEHOLDER"], token):
        return token
    token = seen(unicodedata.normalize("NFC", re.sub("i\u0307+", "i", token.lower()))[:256]).rstrip()
    for name in ("EMAIL", "IBAN", "PHONE"):
        if re.fullmatch(PATTERNS[name], token):
            return f"<{name}>"
    return token


def mask(number: str) -> str:
    """Return what stands for a number."""
    if len(number) < 3:
        return "<NUM>"
    runs = re.sub(r"\d+", lambda run: "9" * min(5, len(run[0])), number)
    return f"<{runs}>"


def number(match: re.Match[str]) -> str:
    """Return a number as rules 3 write it: a code, or what stands for it."""
    before, after = match.string[: match.start()][-2:], match.string[match.end() :][:2]
    is_part = re.fullmatch(r"\d-", before) or re.fullmatch(r"-\d", after)
    if re.fullmatch(r"\d{1,3}", match[0]) and not is_part:
        return f"<#{''.join(str(int(digit)) for digit in match[0])}>"
    return mask(match[0])


def with_marks(match: re.Match[str]) -> str:
    """Return a word and what it goes on with: marks, joiners, letters, and an apostrophe before a letter."""
    end = match.end()
    while end < len(match.string):
        rest = match.string[end : end + 2]
        if re.match(r"\w", rest) or is_mark(rest[0]) or rest[0] in JOINERS:
            end += 1
        elif re.fullmatch(r"'\w", rest):
            end += 2
        else:
            break
    return match.string[match.start() : end]


def read_text(text: str) -> list[str]:
    """Return the tokens of a text: at each place the first alternative of the page that matches."""
    text = unicodedata.normalize("NFC", written(text))
    text = text.replace("\u2019", "'").replace("\u00a0", " ").replace("\u202f", " ")
    tokens, place = [], 0
    while place < len(text):
        for pattern, action in ALTERNATIVES:
            if match := pattern.match(text, place):
                found = with_marks(match) if pattern.pattern == WORD else match[0]
                if action == "masked":
                    tokens.append(number(match))
                else:
                    tokens.append({"kept": found, "normalised": read_token(found)}.get(action, action))
                place += len(found)
                break
        else:
            place += 1
    return tokens


def read_ids(tokens: list[str], rows: dict[str, int], num_buckets: int) -> tuple[list[int], list[list[int]]]:
    """Return a ticket's ids and the n-gram rows of its unknown tokens."""
    spellings = [spelling for spelling in map(read_token, tokens[:512]) if spelling]
    codes = [re.fullmatch(r"<#(\d{1,3})>", spelling) for spelling in spellings]
    spellings = [
        mask(code[1]) if code and spelling not in rows else spelling
        for spelling, code in zip(spellings, codes, strict=True)
    ]
    unknown = list(dict.fromkeys(spelling for spelling in spellings if spelling not in rows))
    ids = [rows[spelling] if spelling in rows else len(rows) + unknown.index(spelling) for spelling in spellings]
    grams = []
    for spelling in unknown:
        marked = f"<{spelling}>"
        pieces = [marked[i : i + size] for size in (3, 4, 5) for i in range(len(marked) + 1 - size)]
        grams.append([1 + zlib.crc32(piece.encode("utf-8")) % num_buckets for piece in pieces[:24]])
    return ids, grams


def read_version() -> tuple[dict[str, Any], dict[str, bytes]]:
    """Return the manifest and the files, their hashes checked."""
    raw = (FOLDER / "manifest.json").read_bytes()
    manifest = json.loads(raw)
    digits = manifest["sha256"].encode()
    assert hashlib.sha256(raw.replace(digits, b"0" * 64, 1)).hexdigest().encode() == digits
    assert (manifest["format"], manifest["name"], manifest["version"]) == (1, "puppet-o2", 1)
    files = {name: (FOLDER / name).read_bytes() for name in manifest["files"]}
    for name, record in manifest["files"].items():
        assert (len(files[name]), hashlib.sha256(files[name]).hexdigest()) == (record["bytes"], record["sha256"])
    return manifest, files


def test_page_gives_the_patterns_and_their_order() -> None:
    """Thirteen patterns and ten alternatives were found on the page."""
    of_all = ["PLACEHOLDER", "EMAIL", "URL", "IBAN", "PHONE", "NUMBER"]
    assert list(PATTERNS) == [*of_all, "EXCEL", "LINEEND", "PATH", "UNSEEN", "JOINED", "RUN", "BLOCKS"]
    assert WORD in [pattern.pattern for pattern, _ in ALTERNATIVES]
    expected = [
        "kept",
        "<URL>",
        "normalised",
        "<EMAIL>",
        "<IBAN>",
        "<PHONE>",
        "masked",
        "normalised",
        "normalised",
        "kept",
    ]
    assert [action for _, action in ALTERNATIVES] == expected


@pytest.mark.parametrize("text", [*IMPERSONAL, *(text for text, _ in PERSONAL), "L’accès à <PRODUCT>, www.a.fr !"])
def test_page_masks_what_the_code_masks(text: str) -> None:
    """Personal data and what only looks like it are told apart by the page just as by the code."""
    assert read_token(text) == normalise(text)
    assert read_text(f"le {text} est") == tokenize(f"le {text} est")


@given(TEXTS)
def test_page_reads_any_text_as_the_code_does(text: str) -> None:
    """The reader made of the page gives the same tokens for any text that has no markup."""
    assume("&" not in text and not is_html(text))

    assert read_token(text) == normalise(text)
    assert read_text(text) == tokenize(text)


def test_page_is_enough_to_answer_a_ticket(model: GruModel) -> None:
    """From the files to the probabilities by the page: golden rows come out, and tickets answer as the code does."""
    manifest, files = read_version()
    rows, labels = json.loads(files["vocab.json"]), json.loads(files["labels.json"])
    session = ort.InferenceSession(files["model.onnx"], providers=["CPUExecutionProvider"])

    def answer(tokens: list[str]) -> list[float]:
        ids, grams = read_ids(tokens, rows, manifest["encoding"]["ngram_buckets"])
        width = max(map(len, grams), default=1)
        feed = {
            "ids": np.array([ids], np.int32),
            "lengths": np.array([len(ids)], np.int32),
            "grams": np.array([row + [0] * (width - len(row)) for row in grams] or [[0]], np.int32),
        }
        (probabilities_BC,) = session.run(["probabilities"], feed)
        return [float(probability) for probability in np.asarray(probabilities_BC)[0]]

    for row in json.loads(files["golden.json"]):
        assert read_ids(row["tokens"], rows, manifest["encoding"]["ngram_buckets"]) == (row["ids"], row["grams"])
        np.testing.assert_allclose(answer(row["tokens"]), row["probabilities"], rtol=0, atol=1e-4)
    for text in ("L’utilisateur n'a plus accès au coffre <PRODUCT>", "conexion expirée : jean@mail.fr"):
        found = answer(read_text(text))
        np.testing.assert_allclose(found, model.probabilities([model.encode(text)])[0], rtol=0, atol=1e-6)
        assert labels[int(np.argmax(found))] == model.predict([model.encode(text)])[0].category
