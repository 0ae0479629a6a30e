"""POST /predict of an e-mail as it is: what is answered, what is reported, what is refused."""

import random

import httpx
import pytest

from artifacts.errors import MailMissing
from artifacts.mail.message import Stripped
from inference.routes import seeds
from inference.settings import Settings
from tests.artifacts.mail.test_message import corpus, mutate, odd_part
from tests.inference.conftest import connect, started
from tests.inference.helpers import check_problem

pytestmark = pytest.mark.anyio

MAIL = {"Content-Type": "message/rfc822"}
QUESTION = """From: a@example.org
Subject: Re: connexion
Content-Type: text/plain; charset=utf-8

avoir problème connexion <PRODUCT>

Cordialement,
Jean

Le 4 nov. 2024 à 10:12, Support <s@example.org> a écrit :
> ajouter utilisateur coffre
> ajouter utilisateur coffre
""".encode()


async def test_mail_is_answered_by_what_its_author_wrote(client: httpx.AsyncClient) -> None:
    """The quoted ticket of another category is not read, and the answer says what was left out."""
    response = await client.post("/predict?name=puppet-o2", content=QUESTION, headers=MAIL)

    assert response.status_code == 200
    answer = response.json()
    assert answer["predicted_label"] == "Problème de connexion"
    assert answer["unknown_tokens"] == []
    assert answer["stripped"] == {
        "num_attachments": 0,
        "num_quoted_lines": 3,
        "num_signature_lines": 2,
        "num_disclaimer_lines": 0,
        "num_truncated_characters": 0,
        "is_html": False,
        "reads_below": False,
        "auto_submitted": False,
        "unread": "",
    }
    assert answer["stripped"].keys() == set(Stripped.__struct_fields__)


async def test_text_that_was_read_is_shown_on_request(client: httpx.AsyncClient) -> None:
    """With show_text the answer has subject and body as they were read, and without it no word of the mail."""
    shown = await client.post("/predict?name=puppet-o2&show_text=true", content=QUESTION, headers=MAIL)
    silent = await client.post("/predict?name=puppet-o2", content=QUESTION, headers=MAIL)

    assert shown.json()["text"].split() == ["connexion", "avoir", "problème", "connexion", "<PRODUCT>"]
    assert silent.json() == {name: value for name, value in shown.json().items() if name != "text"}


async def test_mail_is_read_as_its_text_is(client: httpx.AsyncClient) -> None:
    """A mail gets the answer that its subject and body get as `email_text`, from the default model too."""
    by_text = await client.post("/predict", json={"email_text": "connexion\n\navoir problème connexion <PRODUCT>"})
    by_mail = await client.post("/predict", content=QUESTION, headers=MAIL)

    assert by_mail.json() | {"stripped": None} == by_text.json() | {"stripped": None}
    assert "stripped" not in by_text.json()


@pytest.mark.parametrize(
    ("content", "words"),
    [(b"", "is empty"), (b"Bonjour, rien ne marche", "is no e-mail"), (b"Subject: \n\n", "the ticket is empty")],
)
async def test_mail_that_cannot_be_read_is_refused(client: httpx.AsyncClient, content: bytes, words: str) -> None:
    """Nothing, a text without a header, and a mail without a word are 400 with their reason."""
    problem = check_problem(await client.post("/predict", content=content, headers=MAIL), 400)

    assert words in problem["detail"] + "".join(fault["detail"] for fault in problem.get("errors", []))


async def test_limits_of_mail_and_json_are_their_own(settings: Settings) -> None:
    """A mail of 600 bytes passes where JSON may have 300, and one byte over its limit is refused with both numbers."""
    import msgspec

    limited = msgspec.structs.replace(settings, search_body_bytes=300, mail_body_bytes=600)
    head = b"Subject: connexion\n\n"

    async with started(limited) as app, connect(app) as client:
        good = await client.post("/predict", content=head + b"a" * (600 - len(head)), headers=MAIL)
        long_mail = await client.post("/predict", content=head + b"a" * (601 - len(head)), headers=MAIL)
        long_json = await client.post("/predict", json={"email_text": "a" * 300})

    assert good.status_code == 200
    assert "600 bytes" in check_problem(long_mail, 413)["detail"]
    assert "the limit for application/json is 300" in check_problem(long_json, 413)["detail"]


async def test_model_is_named_once(client: httpx.AsyncClient) -> None:
    """The address names the model of JSON too, but not beside the body."""
    good = await client.post("/predict?name=puppet-o2", json={"email_text": "connexion"})
    both = await client.post("/predict?name=puppet-o2", json={"email_text": "connexion", "name": "puppet-o2"})

    assert good.json()["model_name"] == "puppet-o2"
    assert "named twice" in check_problem(both, 400)["detail"]
    check_problem(await client.post("/predict?name=nobody", content=QUESTION, headers=MAIL), 404, "Model not found")
    check_problem(await client.post("/predict?name=../x", content=QUESTION, headers=MAIL), 400)


async def test_only_predict_takes_mail(client: httpx.AsyncClient) -> None:
    """Another type is 415 and the answer lists what the route takes."""
    wrong = await client.post("/predict", content=QUESTION, headers={"Content-Type": "text/plain"})
    search = await client.post("/search", content=QUESTION, headers=MAIL)

    check_problem(wrong, 415)
    check_problem(search, 415)
    assert wrong.headers["accept-post"] == "application/json, message/rfc822"
    assert search.headers["accept-post"] == "application/json"


async def test_missing_extra_is_said(client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server without the library answers 415 and what to install; JSON goes on."""

    def read_mail(_: bytes) -> None:
        raise MailMissing("outlook-reader-missing")

    monkeypatch.setattr(seeds, "read_mail", read_mail)

    missing = await client.post("/predict", content=QUESTION, headers=MAIL)

    assert "install the extra mail" in check_problem(missing, 415)["detail"]
    assert (await client.post("/predict", json={"email_text": "connexion"})).status_code == 200


async def test_odd_and_fuzzed_mails_are_answered(client: httpx.AsyncClient) -> None:
    """200 odd messages and 300 damaged ones are answered or refused, never with an error of ours."""
    rng = random.Random(5)
    seeds = corpus()
    odd = [b"Subject: x\n" + odd_part(random.Random(seed), 0) for seed in range(200)]

    for raw in [*odd, *(mutate(rng.choice(seeds), seeds, rng) for _ in range(300))]:
        response = await client.post("/predict", content=raw, headers=MAIL)
        assert response.status_code in (200, 400), (response.text, raw)
