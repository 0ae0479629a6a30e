"""The command line: what it refuses with which words, what it prints, and how a signal ends it."""

import json
import logging
import signal
import socket
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest
import uvicorn
from click.testing import CliRunner, Result
from hypothesis import given
from hypothesis import strategies as st

from artifacts.errors import InvalidInput
from inference import cli
from inference.app import create_app
from inference.cli import JsonLines, Server, choose_trainer, listen, main
from inference.settings import Settings
from inference.training import trainer_is_installed

TOKEN = "kE3-not-to-be-shown"


def formatted(message: str, *args: object, exc_info: Any = None) -> str:
    """Return the log line of an event."""
    record = logging.LogRecord("puppet", logging.ERROR, __file__, 1, message, args, exc_info)
    return JsonLines().format(record)


@pytest.fixture
def runs(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Server, list[socket.socket]]]:
    """Let the server not run; give what it would have run with."""
    runs: list[tuple[Server, list[socket.socket]]] = []

    def run(server: Server, sockets: list[socket.socket]) -> None:
        runs.append((server, sockets))
        for one in sockets:
            one.close()

    monkeypatch.setattr(Server, "run", run)
    return runs


def puppet_serve(*args: str, **environment: str) -> Result:
    """Run the command line with these arguments and PUPPET_ variables."""
    return CliRunner().invoke(main, args, env=environment)


# Log lines


def test_event_is_one_line_of_json() -> None:
    """An event is one JSON object with time, level and text."""
    event = json.loads(formatted("model %s serves", "puppet-o2"))

    assert (event["level"], event["event"]) == ("error", "model puppet-o2 serves")
    assert event["time"].endswith("+00:00")
    assert set(event) == {"time", "level", "event"}


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

    with pytest.raises(InvalidInput, match=r"pip install 'puppet-o2\[train\]'"):
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


# Where it listens


def test_port_0_takes_a_free_port() -> None:
    """Port 0 gives a port that accepts connections at once."""
    with listen(Settings(port=0)) as listening:
        host, port = listening.getsockname()

        assert host == "127.0.0.1"
        assert port > 0
        socket.create_connection((host, port), timeout=5).close()


def test_taken_port_is_refused_with_the_remedy() -> None:
    """A port that another server has is refused before anything is loaded."""
    with listen(Settings(port=0)) as taken:
        port = taken.getsockname()[1]

        with pytest.raises(InvalidInput, match=rf"cannot listen on 127\.0\.0\.1 port {port}: .* with --port"):
            listen(Settings(port=port))


@pytest.mark.parametrize("host", ["203.0.113.77", "2001:db8::77"])
def test_address_of_another_machine_is_refused(host: str) -> None:
    """An address that is not ours is refused in words."""
    with pytest.raises(InvalidInput, match="cannot listen on"):
        listen(Settings(host=host, port=0))


@pytest.mark.skipif(not Path("/proc/sys/net/ipv6").exists(), reason="this machine has no IPv6")
def test_ipv6_loopback_is_listened_on() -> None:
    """::1 is as good as 127.0.0.1."""
    with listen(Settings(host="::1", port=0)) as listening:
        assert listening.family == socket.AF_INET6


# The whole command


def test_start_says_where_and_with_what(
    runs: list[tuple[Server, list[socket.socket]]], store: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """A start logs the settings, the token only as "set", and the address with the port that was found."""
    caplog.set_level(logging.INFO, "puppet")

    result = puppet_serve("--port", "0", "--store", str(store.root), "--trainer", "none", PUPPET_ADMIN_TOKEN=TOKEN)

    assert (result.exit_code, len(runs)) == (0, 1)
    first, second = [record.getMessage() for record in caplog.records if record.name == "puppet"]
    shown = msgspec.json.decode(first.removeprefix("settings "), type=Settings)
    assert (shown.admin_token, shown.store, shown.trainer) == ("set", str(store.root), "none")
    assert second == f"listening on http://127.0.0.1:{shown.port}, documentation at /schema"
    assert shown.port > 0
    assert TOKEN not in caplog.text + result.output
    server, _ = runs[0]
    assert server.config.access_log is False
    assert server.config.server_header is False
    assert server.config.proxy_headers is False  # or any caller could say that it comes from this machine


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
        (["--host", "0.0.0.0"], {}, ["refusing to listen on 0.0.0.0", "set PUPPET_ADMIN_TOKEN", "--host 127.0.0.1"]),
        (["--port", "70000"], {}, ["the settings do not fit", "PUPPET_PORT", "70000"]),
        ([], {"PUPPET_PROT": "1", "PUPPET_TRAINER": "x"}, ["PUPPET_PROT: is an unknown setting", "PUPPET_TRAINER: "]),
        (["--store", "/dev/null/x"], {}, ["store /dev/null/x cannot be used"]),
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


@pytest.mark.parametrize("args", [["--workers", "2"], ["--workers", "0"], ["--trainer", "remote"], ["--nope"], ["x"]])
def test_wrong_option_is_status_2(runs: list[Any], args: list[str]) -> None:
    """An option that is none, or a value that it does not take, is the usual status 2."""
    assert puppet_serve(*args).exit_code == 2
    assert runs == []


def test_token_is_no_option() -> None:
    """The token cannot be given on the command line, where every user of the machine would see it."""
    assert not [name for param in main.params for name in param.opts if "token" in name]


def test_help_names_every_option() -> None:
    """-h shows the options that DESIGN promises."""
    shown = puppet_serve("-h").output

    assert all(option in shown for option in ("--host", "--port", "--workers", "--store", "--trainer"))


# Signals


@pytest.mark.parametrize("is_started", [True, False])
def test_signal_drains_and_ends(settings: Settings, is_started: bool) -> None:
    """SIGTERM first lets waiting trainings be answered and then ends the server, be it still starting up."""
    app = create_app(settings)
    drained: list[bool] = []

    class Training:
        def drain(self) -> None:
            drained.append(True)

    if is_started:
        app.state.training = Training()
    server = Server(app, uvicorn.Config(app))

    server.handle_exit(signal.SIGTERM, None)

    assert server.should_exit
    assert drained == [True] * is_started
