"""The command line: what it refuses with which words, what it prints, and what it hands to the workers."""

import json
import logging
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest
from click.testing import CliRunner, Result
from hypothesis import given
from hypothesis import strategies as st

from artifacts.errors import InvalidInput
from artifacts.networks.engines import build
from artifacts.system import cores
from artifacts.system.logs import JsonLines
from inference.server import cli
from inference.server.cli import ONE_THREAD, choose_engine, choose_trainer, main, trainer_is_installed, worker
from inference.server.listeners import close, listen, turn_away
from inference.server.supervisor import StartRefusal, Supervisor
from inference.settings import Given, Settings
from inference.tokens import NamedToken, read_tokens, sha256_of
from tests.system.server import DEADLINE_S, ROOT, environment

TOKEN, SEARCH_TOKEN = "kE3-not-to-be-shown", "kS7-not-to-be-shown"


def formatted(message: str, *args: object, exc_info: Any = None) -> str:
    """Return the log line of an event."""
    record = logging.LogRecord("puppet", logging.ERROR, __file__, 1, message, args, exc_info)
    return JsonLines().format(record)


@pytest.fixture
def runs(monkeypatch: pytest.MonkeyPatch) -> list[Supervisor]:
    """Let the workers not run; give what would have run them."""
    runs: list[Supervisor] = []

    async def run(supervisor: Supervisor) -> int:
        runs.append(supervisor)
        supervisor.on_end()
        return 0

    monkeypatch.setattr(Supervisor, "run", run)
    return runs


def puppet_serve(*args: str, **environment: str) -> Result:
    """Run the command line in English with these arguments and variables."""
    return CliRunner().invoke(main, args, env={"LC_ALL": "C"} | environment)


# Log lines


def test_event_is_one_line_of_json() -> None:
    """An event is one JSON object with time, level and text."""
    event = json.loads(formatted("model %s serves", "puppet-o2"))

    assert (event["level"], event["event"]) == ("error", "model puppet-o2 serves")
    assert event["time"].endswith("+00:00")
    assert set(event) == {"time", "level", "process", "event"}


def test_traceback_is_in_its_event() -> None:
    """The traceback of an error is a field of the event, not lines of its own."""
    try:
        raise RuntimeError("it broke")
    except RuntimeError:
        line = formatted("bug", exc_info=sys.exc_info())

    assert "\n" not in line
    assert json.loads(line)["traceback"].splitlines()[-1] == "RuntimeError: it broke"


@given(st.text() | st.text(st.sampled_from('\n\r\0\x1b\x85\u2028\u202e\u2066\ud800"\\é')))
def test_no_text_can_forge_or_hide_an_event(text: str) -> None:
    """Whatever an event holds, its line is printable ASCII (no control or direction marks) and reads back the same."""
    line = formatted("path %s", text)

    assert line.isascii()
    assert line.isprintable()
    assert json.loads(line)["event"] == f"path {text}"


# Which trainer


@pytest.mark.parametrize(
    ("asked", "installed", "chosen"),
    [
        ("auto", True, "local"),
        ("auto", False, "none"),
        ("local", True, "local"),
        ("none", True, "none"),
        ("none", False, "none"),
    ],
)
def test_trainer_is_chosen(monkeypatch: pytest.MonkeyPatch, asked: Any, installed: bool, chosen: str) -> None:
    """`auto` trains where PyTorch is installed; what is asked for is done."""
    monkeypatch.setattr(cli, "trainer_is_installed", lambda: installed)

    assert choose_trainer(Settings(trainer=asked)).trainer == chosen


def test_missing_trainer_is_refused_with_the_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    """--trainer local without PyTorch stops the start and says what to install."""
    monkeypatch.setattr(cli, "trainer_is_installed", lambda: False)

    with pytest.raises(InvalidInput, match="install the extra train"):
        choose_trainer(Settings(trainer="local"))


@pytest.mark.parametrize("missing", ["torch", "trainer", None])
def test_trainer_needs_torch_and_our_package(monkeypatch: pytest.MonkeyPatch, missing: str | None) -> None:
    """A trainer is installed when both are found; looking imports neither."""
    looked: list[str] = []

    def find_spec(name: str) -> object:
        looked.append(name)
        return None if name == missing else object()

    monkeypatch.setattr("importlib.util.find_spec", find_spec)
    had_torch = "torch" in sys.modules

    assert trainer_is_installed() == (missing is None)
    assert set(looked) <= {"torch", "trainer"}
    assert ("torch" in sys.modules) == had_torch


# Which engine


@pytest.mark.parametrize(
    ("asked", "is_compiled", "chosen"),
    [
        ("auto", True, "fused"),
        ("auto", False, "onnxruntime"),
        ("fused", True, "fused"),
        ("onnxruntime", True, "onnxruntime"),
        ("onnxruntime", False, "onnxruntime"),
    ],
)
def test_engine_is_chosen(monkeypatch: pytest.MonkeyPatch, asked: Any, is_compiled: bool, chosen: str) -> None:
    """`auto` is the kernel where one has been compiled; what is asked for is done."""
    monkeypatch.setattr(build, "objects", lambda: [("x86-64", Path("gru.so"))] if is_compiled else [])

    assert choose_engine(Settings(engine=asked)).engine == chosen


def test_missing_kernel_is_refused_with_the_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    """--engine fused without a kernel stops the start and says how to compile it."""
    monkeypatch.setattr(build, "objects", list)

    with pytest.raises(InvalidInput, match=r"python -m artifacts\.networks\.engines\.build"):
        choose_engine(Settings(engine="fused"))


# Where it listens


def connects(address: tuple[str, int], within_s: float) -> bool:
    """Return whether a connection comes up before the time is over."""
    try:
        socket.create_connection(address, timeout=within_s).close()
    except TimeoutError:
        return False
    return True


@pytest.mark.parametrize("workers", [1, 3])
def test_port_0_takes_a_free_port(workers: int) -> None:
    """Port 0 gives one port, the same for each worker, that accepts connections at once."""
    listening = listen(Settings(port=0, workers=workers))
    (address,) = {one.getsockname() for one in listening}

    assert len(listening) == workers
    assert address[0] == "127.0.0.1"
    assert address[1] > 0
    assert connects(address, DEADLINE_S)
    close(listening)
    with pytest.raises(ConnectionRefusedError):
        connects(address, DEADLINE_S)


@pytest.mark.parametrize("first", [1, 2])
@pytest.mark.parametrize("second", [1, 2])
def test_taken_port_is_refused_with_the_remedy(first: int, second: int) -> None:
    """A port that another server has is refused, though both would share it among their workers."""
    listening = listen(Settings(port=0, workers=first))
    port = listening[0].getsockname()[1]

    with pytest.raises(InvalidInput, match=rf"cannot listen on 127\.0\.0\.1 port {port}: .* with --port"):
        listen(Settings(port=port, workers=second))
    close(listening)


@pytest.mark.parametrize("host", ["203.0.113.77", "2001:db8::77"])
def test_address_of_another_machine_is_refused(host: str) -> None:
    """An address that is not ours is refused in words."""
    with pytest.raises(InvalidInput, match="cannot listen on"):
        listen(Settings(host=host, port=0))


@pytest.mark.skipif(not Path("/proc/sys/net/ipv6").exists(), reason="this machine has no IPv6")
def test_ipv6_loopback_is_listened_on() -> None:
    """::1 is as good as 127.0.0.1."""
    listening = listen(Settings(host="::1", port=0, workers=2))

    assert {one.family for one in listening} == {socket.AF_INET6}
    close(listening)


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_newcomers_are_turned_away_and_who_waits_is_not(host: str) -> None:
    """Once turned away, no connection comes up; one that was up can be accepted and sends its request."""
    listening = listen(Settings(host=host, port=0))
    address = listening[0].getsockname()[:2]
    with socket.create_connection(address, timeout=DEADLINE_S) as waiting:
        turn_away(listening)

        assert not connects(address, 0.2)
        waiting.sendall(b"request")
        accepted, _ = listening[0].accept()
        assert accepted.recv(100) == b"request"
        accepted.close()
    close(listening)


# The whole command


def test_start_says_where_and_with_what(
    runs: list[Supervisor], store: Any, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    """A start logs the settings, the tokens only as "set", and the address with the port that was found."""
    caplog.set_level(logging.INFO, "puppet")
    file = tmp_path / "token"
    file.touch(0o600)
    file.write_text(SEARCH_TOKEN)

    result = puppet_serve(
        *("--port", "0", "--store", str(store.root), "--trainer", "none"),
        PUPPET_ADMIN_TOKEN=TOKEN,
        PUPPET_SEARCH_TOKEN_FILE=str(file),
    )

    assert (result.exit_code, len(runs)) == (0, 1)
    first, second = [record.getMessage() for record in caplog.records if record.name == "puppet"]
    shown = msgspec.json.decode(first.removeprefix("settings "), type=Settings)
    assert (shown.admin_token, shown.search_token, shown.search_token_file) == ("set", "set", str(file))
    assert (shown.store, shown.trainer) == (str(store.root), "none")
    assert second == f"listening on http://127.0.0.1:{shown.port}, documentation at /schema"
    assert shown.port > 0
    assert TOKEN not in caplog.text + result.output
    assert SEARCH_TOKEN not in caplog.text + result.output


def test_options_win_over_the_environment(runs: list[Any], store: Any, caplog: pytest.LogCaptureFixture) -> None:
    """An option beats its PUPPET_ variable."""
    caplog.set_level(logging.INFO, "puppet")

    puppet_serve(
        "--port", "0", "--store", str(store.root), PUPPET_PORT="9", PUPPET_STORE="/nope", PUPPET_TRAINER="none"
    )

    assert len(runs) == 1
    assert '"trainer":"none"' in caplog.text


@pytest.mark.parametrize(
    ("args", "environment", "words"),
    [
        (
            ["--host", "0.0.0.0"],
            {},
            ["refusing to listen on 0.0.0.0", "not set: PUPPET_ADMIN_TOKEN", "--host 127.0.0.1"],
        ),
        ([], {"PUPPET_SEARCH_TOKEN_FILE": "/nope"}, ["PUPPET_SEARCH_TOKEN_FILE: '/nope' cannot be read: No such file"]),
        (["--port", "70000"], {}, ["the settings do not fit", "PUPPET_PORT", "70000"]),
        ([], {"PUPPET_PROT": "1", "PUPPET_TRAINER": "x"}, ["PUPPET_PROT: is an unknown setting", "PUPPET_TRAINER: "]),
        (["--workers", "65"], {}, ["PUPPET_WORKERS: ", "<= 64", "65"]),
        ([], {"PUPPET_WORKERS": "0"}, ["PUPPET_WORKERS: ", ">= 1", "'0'"]),
    ],
)
def test_wrong_start_is_one_message_and_status_1(
    runs: list[Any], args: list[str], environment: dict[str, str], words: list[str]
) -> None:
    """What cannot be started is refused with every fault and its remedy, exit status 1, and no traceback."""
    result = puppet_serve("--port", "0", *args, **environment)

    assert (result.exit_code, runs) == (1, [])
    assert result.stderr.startswith("error: ")
    assert all(word in result.stderr for word in words), result.stderr
    assert "Traceback" not in result.output


def test_wrong_start_is_told_in_the_language_of_the_terminal(runs: list[Any]) -> None:
    """Under a French locale the message and each of its faults are French; a value stays as it was typed."""
    result = puppet_serve("--port", "70000", LC_ALL="", LANG="fr_FR.UTF-8", PUPPET_WORKERS="0")

    assert (result.exit_code, runs) == (1, [])
    assert result.stderr.replace("\u00a0", " ").splitlines() == [
        "erreur : les réglages ne sont pas conformes : 2 fautes, citées ; corrigez ce qui est cité, puis redémarrez",
        "  PUPPET_WORKERS : vaut '0', attendu : `int` >= 1 ; corrigez-le, ou omettez-le pour la valeur par défaut",
        "  PUPPET_PORT : vaut 70000, attendu : `int` <= 65535 ; corrigez-le, ou omettez-le pour la valeur par défaut",
    ]


@pytest.mark.parametrize(
    "report", ["set X right", StartRefusal.of(InvalidInput("no-trainer-installed")).report()[:-1].decode()]
)
def test_child_that_cannot_start_is_told_in_the_language_of_the_terminal(
    monkeypatch: pytest.MonkeyPatch, report: str
) -> None:
    """What a worker reports is worded by the supervisor; a child that reports plain text is quoted."""

    async def run(supervisor: Supervisor) -> int:
        supervisor.refusal = report
        supervisor.on_end()
        return 1

    monkeypatch.setattr(Supervisor, "run", run)
    result = puppet_serve("--port", "0", LC_ALL="fr_FR.UTF-8", PUPPET_TRAINER="none")

    words = report if report == "set X right" else InvalidInput("no-trainer-installed").message.detail("fr")
    assert result.stderr.splitlines()[-1] == f"erreur\u00a0: {words}"


@pytest.mark.parametrize(
    "args", [["--workers", "many"], ["--trainer", "remote"], ["--engine", "gpu"], ["--nope"], ["x"]]
)
def test_wrong_option_is_status_2(runs: list[Any], args: list[str]) -> None:
    """An option that is none, or a value that it does not take, is the usual status 2."""
    assert puppet_serve(*args).exit_code == 2
    assert runs == []


def test_token_is_no_option() -> None:
    """The token cannot be given on the command line, where every user of the machine would see it."""
    assert not [name for param in main.params for name in param.opts if "token" in name]


def test_token_is_made_and_shown_once(tmp_path: Path, runs: list[Supervisor]) -> None:
    """The token is all that stands on stdout; the file of the store, or the one that is named, has its digest."""
    store = tmp_path / "new" / "store"
    first = puppet_serve("token", "desk", "--role", "label", PUPPET_STORE=str(store))
    second = puppet_serve("--store", str(store), "token", "ci", "--role", "search", "--days", "7")
    third = puppet_serve("token", "boss", "--role", "admin", PUPPET_TOKENS_FILE=str(tmp_path / "a.toml"))
    fourth = puppet_serve("token", "boss", "--role", "admin", "--file", str(tmp_path / "b.toml"), PUPPET_HOST="0.0.0.0")

    assert [one.exit_code for one in (first, second, third, fourth)] == [0] * 4, fourth.output
    assert runs == []
    desk, ci = read_tokens(store / "tokens.toml")
    assert (desk.name, desk.role, desk.expires) == ("desk", "label", None)
    assert desk.sha256 == sha256_of(first.stdout.strip())
    assert (ci.name, ci.role, ci.sha256) == ("ci", "search", sha256_of(second.stdout.strip()))
    assert read_tokens(tmp_path / "a.toml")[0].sha256 == sha256_of(third.stdout.strip())
    assert read_tokens(tmp_path / "b.toml")[0].sha256 == sha256_of(fourth.stdout.strip())
    assert store.stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize(
    ("args", "status", "words"),
    [
        (["desk", "--role", "label"], 1, "has a token 'desk' already"),
        (["a b", "--role", "label"], 1, "a token cannot be named 'a b'"),
        (["new", "--role", "label", "--days", "0"], 1, "0 days, the limit is 36500; give 1 to"),
        (["new", "--role", "root"], 2, "'root'"),
        (["new"], 2, "--role"),
    ],
)
def test_token_that_cannot_be_made_is_refused(tmp_path: Path, args: list[str], status: int, words: str) -> None:
    """A name that is taken or none, a wrong role or time ends with a message, and the file stays."""
    assert puppet_serve("token", "desk", "--role", "label", PUPPET_STORE=str(tmp_path)).exit_code == 0
    before = (tmp_path / "tokens.toml").read_text()

    result = puppet_serve("token", *args, PUPPET_STORE=str(tmp_path))

    assert (result.exit_code, result.stdout) == (status, "")
    assert words in result.stderr
    assert (tmp_path / "tokens.toml").read_text() == before


def test_broken_tokens_stop_the_start(tmp_path: Path, runs: list[Supervisor]) -> None:
    """A file of named tokens that others may read, or that cannot be read, is refused before anything listens."""
    assert puppet_serve("token", "desk", "--role", "label", PUPPET_STORE=str(tmp_path)).exit_code == 0
    (tmp_path / "tokens.toml").chmod(0o644)

    result = puppet_serve("--port", "0", PUPPET_STORE=str(tmp_path))

    assert (result.exit_code, runs) == (1, [])
    assert "chmod 600" in result.stderr


def test_help_names_every_option() -> None:
    """-h shows the options that DESIGN promises."""
    shown = puppet_serve("-h").output

    assert all(option in shown for option in ("--host", "--port", "--workers", "--store", "--engine", "--trainer"))


# Workers


def test_worker_gets_the_settings_where_nobody_sees_them() -> None:
    """The settings with the token go through stdin; neither arguments nor environment of a worker hold them."""
    settings = Settings(admin_token=TOKEN)
    with socket.socket() as one:
        given = Given(settings, (NamedToken("desk", "label", "0" * 64),))
        child = worker(2, given, one, 9, 8, {"PATH": "/bin", "PUPPET_ADMIN_TOKEN": TOKEN, "PUPPET_PORT": "1"})

        assert msgspec.json.decode(child.stdin, type=Given) == given
        assert child.environment == {"PATH": "/bin"} | ONE_THREAD
        assert child.command[-5:] == (str(one.fileno()), "9", str(os.getpid()), "8", "2")
        assert child.fds == (one.fileno(), 9, 8)
        assert child.name == "worker 2"


@pytest.mark.parametrize(
    ("first", "words"), [("/usr/bin", ["-P", "-m"]), (str(ROOT), ["-m", "inference.server.worker"])]
)
def test_worker_is_found_where_the_supervisor_was(
    monkeypatch: pytest.MonkeyPatch, first: str, words: list[str]
) -> None:
    """A worker imports nothing from the working directory, unless the supervisor itself was imported from there."""
    monkeypatch.setattr(sys, "path", [first, *sys.path])
    with socket.socket() as one:
        command = worker(1, Given(Settings()), one, 9, 8, {}).command

    assert command[:3] == (sys.executable, *words)


def test_supervisor_imports_little() -> None:
    """The process that starts the others has neither Litestar nor uvicorn nor onnxruntime nor numpy in memory."""
    code = "import sys, inference.server.cli; print(*{name.partition('.')[0] for name in sys.modules})"
    found = subprocess.run(
        [sys.executable, "-P", "-c", code], env=environment(), capture_output=True, text=True, check=True, timeout=60
    )

    assert not set(found.stdout.split()) & {"litestar", "uvicorn", "uvloop", "onnxruntime", "numpy", "torch"}


@pytest.mark.parametrize(("num_cores", "is_told"), [(0.5, True), (1.0, True), (2.0, False), (64.0, False)])
def test_more_workers_than_cores_is_told(
    runs: list[Supervisor],
    store: Any,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
    num_cores: float,
    is_told: bool,
) -> None:
    """Two workers where there are not as many cores are started, and the log says what that is worth."""
    monkeypatch.setattr(cores, "available", lambda: num_cores)

    result = puppet_serve("--store", str(store.root), "--port", "0", "--workers", "2", "--trainer", "none")

    assert result.exit_code == 0, result.output
    assert len(runs) == 1
    assert ("2 workers share" in caplog.text) == is_told
