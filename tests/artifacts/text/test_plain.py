"""Tests of artifacts/text/plain.py and scripts.py: markup, escapes, scripts, and what is not to be touched."""

import time

import pytest

from artifacts.text.plain import is_html, plain
from artifacts.text.tokens import tokenize
from artifacts.text.vocabulary import Vocabulary, build_rows

OUTLOOK = (
    '<html xmlns:o="urn:schemas-microsoft-com:office:office"><head><style>p.MsoNormal {margin: 0cm}</style>'
    "<!--[if gte mso 9]><xml><o:shapedefaults/></xml><![endif]--></head><body><div class=WordSection1>"
    '<p class=MsoNormal><span style="font-size:11.0pt">Mon VPN est coup&eacute;<o:p></o:p></span></p></div>'
    "</body></html>"
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('<P>Bonjour&nbsp;,</P><BR><div class="msg">écran <PRODUCT> noir</div>', "bonjour écran <PRODUCT> noir"),
        ("&lt;p&gt;Bonjour&lt;br&gt;merci&lt;/p&gt;", "bonjour merci"),
        ("&amp;lt;p&amp;gt;Caf&amp;amp;eacute;&amp;lt;/p&amp;gt;", "café"),
        (OUTLOOK, "mon vpn est coupé"),
        ("Bonjour,<br/>je suis bloqué", "bonjour je suis bloqué"),
        ("Bonjour,<div>bloqué</div><div>merci</div>", "bonjour bloqué merci"),
        ("Le <b>VPN</b> est coupé", "le vpn est coupé"),
        ("<p>Envoyer à <ADDRESS> et <jean@mail.fr> si a < b</p>", "envoyer à <ADDRESS> et <EMAIL> si a b"),
        ("<ul><LI>un<LI>deux</ul>", "un deux"),
        ("caf&eacute; &amp; th&#233;", "café thé"),
        ("le &lt;PRODUCT&gt;&nbsp;est l&agrave;", "le <PRODUCT> est là"),
        ("<p>می‌خواهم</p>", "می‌خواهم"),
    ],
)
def test_markup_is_read_as_its_reader_sees_it(text: str, expected: str) -> None:
    """HTML, also escaped once and twice, and entities leave the words and the placeholders."""
    assert tokenize(text) == expected.split()


@pytest.mark.parametrize(
    "text",
    [
        "<PRODUCT> est en panne chez <NAME>",
        "la balise <p> ne marche pas",
        "les balises <b> et </b> sont affichées",
        "a < b et c > d, je t'aime <3 & toi",
        "if (a<b && c>d) { return; }",
        "List<String> x = new ArrayList<>(); vector<int>",
        '<?xml version="1.0"?><error><code>500</code><title>Oops</title></error>',
        "<soap:Fault><faultcode>x</faultcode></soap:Fault>",
        "mon code <div class='x'><p>Hello</p></div> ne marche pas",
        "R&D; AT&T http://a.fr/?x=1&copy=2",
        "le <ADDRESS> et le <CODE> de <NAME>",
        "Jean <jean@mail.fr>",
    ],
)
def test_text_that_is_no_markup_stays(text: str) -> None:
    """Mentions, comparisons, code, XML and placeholders are not HTML."""
    assert not is_html(text)
    assert plain(text) == text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (r"Bonjour,\n\nposte aq\nMerci", "bonjour poste aq merci"),
        (r"bloqué\r\nmerci\tbien", "bloqué merci bien"),
        (r"Bonjour\\nmerci", "bonjour merci"),
        (r"erreur\n401", "erreur <#401>"),
        (r"dans C:\new\table", r"dans c new table"),
        (r"sur \\srv\nas\temp", "sur srv nas temp"),
        (r"CORP\nicolas et %TEMP%\new", "corp nicolas et temp % new"),
        (r"Users\nadia\Docs et temp\report.xlsx", "users nadia docs et temp report xlsx"),
        ("mot_x000D_\nmot_x000D_fin", "mot mot fin"),
        ("im\u00adpri\u200bmante \ufefffin\u2060ie", "imprimante finie"),
        ("e\u200b\u0301cran \u202bab\u202c", "écran ab"),
        ("İSTANBUL i\u0307zmir", "istanbul izmir"),
    ],
)
def test_escapes_and_unseen_characters_are_read(text: str, expected: str) -> None:
    """Line ends in two characters are white space, but not in paths; nobody sees what is dropped."""
    assert [token for token in tokenize(text) if token != "%"] == [word for word in expected.split() if word != "%"]


@pytest.mark.parametrize(
    "words",
    [
        "दिन दान क्\u200dष",  # Hindi, with a joiner
        "বাংলা ভাষা",
        "தமிழ் மொழி",
        "مُحَمَّد کتاب‌ها",  # harakat, and the joiner of Persian
        "שָׁלוֹם עוֹלָם",
        "안녕하세요 비밀번호",
    ],
)
def test_marks_and_joiners_belong_to_their_word(words: str) -> None:
    """A word of Hindi, Bengali, Tamil, Arabic, Persian, Hebrew or Korean is one token, in its own spelling."""
    assert len(tokenize(words)) == len(words.split())


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("请重置VPN密码", ["请重", "重置", "vpn", "密码"]),
        ("パスワード", ["パス", "スワ", "ワー", "ード"]),
        ("ข้าว", ["ข้า", "าว"]),
        ("ข่าว", ["ข่า", "าว"]),
        ("ລືມ", ["ລືມ"]),
        ("错", ["错"]),
        ("错误401", ["错误", "<#401>"]),
    ],
)
def test_runs_without_blanks_are_cut_in_pairs(text: str, expected: list[str]) -> None:
    """Each two neighbours are a token, a letter with its marks; what is Latin or a number beside them is its own."""
    assert tokenize(text) == expected


def test_markup_is_bounded() -> None:
    """256 KiB of nested tags are read within seconds, however they are made."""
    start = time.process_time()

    plain("<div><p>x</p>" * 20_000)

    assert time.process_time() - start < 10


def test_a_code_has_a_row_from_five_distinct_tickets_on() -> None:
    """401 stands in five, 503 in four and in five copies of one: only the first is told from its shape."""
    words = ("un", "le", "mon", "ton", "son")
    tickets = [tokenize(f"{word} 401") for word in words]
    tickets += [tokenize(f"{word} 503") for word in words[:4]] + [tokenize("un 504")] * 5

    rows = build_rows(tickets, min_count=2, max_size=100)

    assert {"<#401>", "<999>"} <= rows.keys()
    assert not {"<#503>", "<#504>"} & rows.keys()
    read = Vocabulary(rows, 100)
    assert read.encode("401 503 404 12").ids == [rows["<#401>"], rows["<999>"], rows["<999>"], len(rows)]
    assert read.encode("12 et 13").unknown == ["<NUM>", "et"]
    assert read.encode(["404"]).unknown == ["404"]  # a token is taken as it is
