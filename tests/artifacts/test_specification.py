"""A second reader of the format, written from artifacts/README.md alone, against the first.

Nothing of `artifacts` is called in the reader: what it reads, from the seal to the probabilities, it reads as the page
says. Its patterns are taken out of the page, so that page and code cannot drift apart.
"""

import hashlib
import json
import re
import unicodedata
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
import pytest
from hypothesis import given

from artifacts.networks.gru import GruModel
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


def read_token(token: str) -> str:
    """Return the spelling of a token, by the five steps of the page."""
    token = " ".join(unicodedata.normalize("NFC", token[:256]).replace("\u2019", "'").split())
    if re.fullmatch(PATTERNS["PLACEHOLDER"], token):
        return token
    token = unicodedata.normalize("NFC", token.lower())[:256].rstrip()
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


def read_text(text: str) -> list[str]:
    """Return the tokens of a text: at each place the first alternative of the page that matches."""
    text = unicodedata.normalize("NFC", text).replace("\u2019", "'").replace("\u00a0", " ").replace("\u202f", " ")
    tokens, place = [], 0
    while place < len(text):
        for pattern, action in ALTERNATIVES:
            if match := pattern.match(text, place):
                read = {"kept": match[0], "normalised": read_token(match[0]), "masked": mask(match[0])}
                tokens.append(read.get(action, action))
                place = match.end()
                break
        else:
            place += 1
    return tokens


def read_ids(tokens: list[str], rows: dict[str, int], num_buckets: int) -> tuple[list[int], list[list[int]]]:
    """Return a ticket's ids and the n-gram rows of its unknown tokens."""
    spellings = [spelling for spelling in map(read_token, tokens[:512]) if spelling]
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
    """Six patterns and ten alternatives were found on the page."""
    assert list(PATTERNS) == ["PLACEHOLDER", "EMAIL", "URL", "IBAN", "PHONE", "NUMBER"]
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
    """The reader made of the page gives the same tokens for any text."""
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
