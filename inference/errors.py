"""The one table from an error to its HTTP status, and the shape of every error answer.

    PuppetError
      InvalidInput, InvalidName, InvalidMail, UnknownKind, KindMismatch                400
      InvalidContent (InvalidText, EmptyTicket, InvalidFeatures), MalformedRequest     400
      ModelExists, ModelNotTrained, NoTrainingData, NoTestData                         400  (the seeds' sentences)
      TokenRefused                                                                     401
      OriginRefused                                                                    403
      ModelNotFound                                                                    404  (the seeds' sentence)
      VersionNotFound, JobNotFound, CorrectionNotFound, ReviewItemNotFound             404
      ResultMissing                                                                    404
      RequestTimeout                                                                   408
      VersionServes, NothingToRollBack, Fenced, TrainingStopped, ReviewOff             409
      VersionChanged                                                                   412
      BodyTooLarge                                                                     413
      TargetTooLong                                                                    414
      WrongMediaType, WrongCoding, MailMissing                                         415
      HostRefused                                                                      421
      IdempotencyConflict                                                              422
      TooManyAttempts                                                                  429
      HeadTooLarge                                                                     431
      NotFinite, TrainingFailed                                                        500
      CodingNotImplemented                                                             501
      ArtifactRefused, StoreRefused, ModelLoading, TrainerMissing, Draining            503
      QueueFull, ServerFull, ClientLeft                                                503
      TooLate                                                                          504
      FeedbackFull, ReviewFull                                                         507
      UnsafeAddress                                                                    (stops the start, never answered)

Domain modules raise these and know no status. An error that is not in the table is our bug: 500, its text stays in the
log.
"""

import logging
from collections.abc import Iterable, Sequence
from functools import cache
from http import HTTPStatus
from importlib.resources import files
from typing import Any

import msgspec
from litestar import Request, Response
from litestar.exceptions import HTTPException

from artifacts import errors
from artifacts.errors import Fault, InvalidInput, PuppetError
from artifacts.problems.sentences import ADDRESS, DEFAULT, Language, Message, message, preferred
from artifacts.system.validation import invalid
from inference.settings import UnsafeAddress

log = logging.getLogger("puppet")

PROTOCOL = "/v2"  # the Open Inference Protocol (oip/)
MAX_TOLD = 3  # faults in its `error`


class NoTestData(PuppetError):
    """A test was asked for without tickets."""


class TokenRefused(PuppetError):
    """The request lacks a token that opens the route, or came from another machine to a server that has none."""


class TooManyAttempts(PuppetError):
    """A wrong token again, from an address that has sent many of them.

    Attributes:
        retry_after_s: seconds until its count begins anew; a right token need not wait.
    """

    def __init__(self, type: str, /, *, retry_after_s: int = 60, **parameters: object) -> None:  # noqa: A002
        super().__init__(type, retry_after_s=retry_after_s, **parameters)
        self.retry_after_s = retry_after_s


class WrongMediaType(PuppetError):
    """A body that is sent as another type than the route takes.

    Attributes:
        accepted: the types that it takes.
    """

    def __init__(self, type: str, /, *, accepted: Sequence[str] = (), **parameters: object) -> None:  # noqa: A002
        super().__init__(type, accepted=accepted, **parameters)
        self.accepted = tuple(accepted)


class WrongCoding(PuppetError):
    """A body in a Content-Encoding; the server undoes none, so that no small body becomes a large one."""


class BodyTooLarge(PuppetError):
    """A body over its limit, where a route has another limit for each type of body."""


class MalformedRequest(PuppetError):
    """The bytes are no request of HTTP/1.1, or one that two programs could read in two ways."""


class RequestTimeout(PuppetError):
    """The head or the body of a request has come too slowly."""


class TargetTooLong(PuppetError):
    """The path and query of a request are longer than any route's."""


class HeadTooLarge(PuppetError):
    """The headers of a request, or what stands between pieces of its body, are more than the server takes."""


class CodingNotImplemented(PuppetError):
    """The body is sent in a Transfer-Encoding that this server does not undo."""


class HostRefused(PuppetError):
    """The request was meant for another host name; a web page may be calling through it (DNS rebinding)."""


class OriginRefused(PuppetError):
    """A page of another site sends a request that needs no permission of the browser's to be sent."""


class TrainingFailed(PuppetError):
    """A training ended without a version, through no fault of the request."""


class TrainingStopped(PuppetError):
    """A training was cancelled, or ended with its trainer."""


class ResultMissing(PuppetError):
    """A job has no result, not yet or not any more; or a version has no report."""


class ReviewOff(PuppetError):
    """The server keeps no tickets to be reviewed."""


class ModelLoading(PuppetError):
    """The server has just started and has not loaded this model yet."""


class TrainerMissing(PuppetError):
    """This server does not train."""


class Draining(PuppetError):
    """The server is shutting down."""


class ServerFull(PuppetError):
    """As much work waits as may wait; refused before it was looked at."""


class TooLate(PuppetError):
    """The answer cannot come within the time that the client gives it, so the work was not done."""


class ClientLeft(PuppetError):
    """The client closed its connection before its work began, so it was not done; nobody reads this."""


STATUS: dict[type[PuppetError], int] = {
    errors.InvalidInput: 400,
    errors.InvalidContent: 400,
    errors.InvalidText: 400,
    errors.EmptyTicket: 400,
    errors.InvalidFeatures: 400,
    errors.InvalidName: 400,
    errors.InvalidMail: 400,
    errors.UnknownKind: 400,
    errors.KindMismatch: 400,
    errors.ModelExists: 400,
    errors.ModelNotTrained: 400,
    errors.NoTrainingData: 400,
    NoTestData: 400,
    MalformedRequest: 400,
    TokenRefused: 401,
    OriginRefused: 403,
    errors.ModelNotFound: 404,
    errors.VersionNotFound: 404,
    errors.JobNotFound: 404,
    errors.CorrectionNotFound: 404,
    ResultMissing: 404,
    errors.ReviewItemNotFound: 404,
    RequestTimeout: 408,
    errors.VersionServes: 409,
    errors.NothingToRollBack: 409,
    errors.Fenced: 409,
    TrainingStopped: 409,
    ReviewOff: 409,
    errors.VersionChanged: 412,
    BodyTooLarge: 413,
    TargetTooLong: 414,
    WrongMediaType: 415,
    WrongCoding: 415,
    errors.MailMissing: 415,
    HostRefused: 421,
    errors.IdempotencyConflict: 422,
    TooManyAttempts: 429,
    HeadTooLarge: 431,
    errors.NotFinite: 500,
    TrainingFailed: 500,
    CodingNotImplemented: 501,
    errors.ArtifactRefused: 503,
    errors.StoreRefused: 503,
    ModelLoading: 503,
    TrainerMissing: 503,
    Draining: 503,
    errors.QueueFull: 503,
    ServerFull: 503,
    ClientLeft: 503,
    TooLate: 504,
    errors.FeedbackFull: 507,
    errors.ReviewFull: 507,
    UnsafeAddress: 500,
}
HEADERS: dict[type[PuppetError], dict[str, str]] = {
    WrongCoding: {"Accept-Encoding": "identity"},
    TokenRefused: {"WWW-Authenticate": "Bearer"},
    ModelLoading: {"Retry-After": "1"},
    Draining: {"Retry-After": "5"},
    errors.QueueFull: {"Retry-After": "30"},
    ServerFull: {"Retry-After": "1"},
    ClientLeft: {"Retry-After": "1"},
    TooLate: {"Retry-After": "1"},
}


@cache
def statuses() -> dict[str, list[int]]:
    """Return the statuses with which each type of problem is answered; those that never are by themselves are left out.

    The table is written from the code by `python -m tests.system.problems`.
    """
    text = files("inference").joinpath("problem_statuses.toml").read_text("utf-8")
    return msgspec.toml.decode(text, type=dict[str, list[int]])


def from_result(name: str, said: Message | None, detail: str, faults: list[Fault], num_faults: int) -> PuppetError:
    """Return the error that the trainer's process met, from the name of its class and what it said.

    What a trainer of another release has said, without a type or of one that there are no words for here, is quoted.
    """
    reason = said if said is not None and said.is_known else detail
    kind = next((kind for kind in STATUS if kind.__name__ == name), None)
    if kind is None:
        return TrainingFailed("training-failed", reason=reason)
    said = reason if isinstance(reason, Message) else message("request-refused", {"reason": reason})
    if kind is InvalidInput:
        return InvalidInput(said.type, faults, num_faults, **said.parameters)
    return kind(said.type, **said.parameters)


def language_of(request: Request[Any, Any, Any] | None) -> Language:
    """Return the language that a request asks its answer in."""
    return language_asked(request.scope["headers"]) if request is not None else DEFAULT


def language_asked(headers: Iterable[tuple[bytes, bytes]]) -> Language:
    """Return the language that headers ask for; names in lower case, as ASGI has them."""
    given = b",".join(value for name, value in headers if name == b"accept-language")
    return preferred(given.decode("latin-1"))


def problem(
    status: int,
    said: Message,
    language: Language = DEFAULT,
    faults: Sequence[Fault] = (),
    num_faults: int = 0,
    headers: dict[str, str] | None = None,
    path: str = "",
) -> Response[bytes]:
    """Return an error answer: the type, its words in a language, and its parameters as members (RFC 9457 3.2).

    Under /v2 it has a member `error` too, the only one that clients of that protocol read.
    """
    body: dict[str, object] = {
        "type": ADDRESS + said.type,
        "title": said.title(language),
        "status": status,
        "detail": said.detail(language),
        **said.members(language),
    }
    if faults:
        body |= {"errors": [fault_shown(fault, language) for fault in faults], "num_errors": num_faults}
    if path == PROTOCOL or path.startswith(PROTOCOL + "/"):
        body["error"] = "; ".join([said.detail(language), *(fault.shown(language) for fault in faults[:MAX_TOLD])])
    described = {"Content-Language": language, "Vary": "Accept-Language", **(headers or {})}
    return Response(
        msgspec.json.encode(body), status_code=status, headers=described, media_type="application/problem+json"
    )


def fault_shown(fault: Fault, language: Language) -> dict[str, object]:
    """Return a fault as a member of `errors`, in a problem or in a job."""
    said = Message(fault.type, fault.parameters)
    members = said.members(language) if said.is_known else {}
    typed = {"type": ADDRESS + fault.type} if fault.type else {}
    line = {"line": fault.line} if fault.line is not None else {}
    return {**typed, "pointer": fault.pointer, "detail": fault.said(language), **line, **members}


def answer_puppet_error(
    request: Request[Any, Any, Any] | None, error: PuppetError, language: Language | None = None, path: str = ""
) -> Response[bytes]:
    """Answer one of our own errors by the table, in the language and at the path of the request, or of those named."""
    status, headers = STATUS[type(error)], HEADERS.get(type(error), {})
    if isinstance(error, WrongMediaType):
        headers = {"Accept-Post": ", ".join(error.accepted)}
    elif isinstance(error, TooManyAttempts):
        headers = {"Retry-After": str(error.retry_after_s)}
    if status >= 500 and "Retry-After" not in headers:  # "not now" is no fault of anybody's
        log.error("%s: %s%s", type(error).__name__, error, _asked_as(request))
    faults, num_faults = (error.faults, error.num_faults) if isinstance(error, InvalidInput) else ((), 0)
    path = request.scope["path"] if request is not None else path
    return problem(status, error.message, language or language_of(request), faults, num_faults, headers, path)


def answer_http_exception(request: Request[Any, Any, Any], error: HTTPException) -> Response[bytes]:
    """Answer what Litestar itself refuses: no such route, wrong method, too large a body."""
    path = request.scope["path"]  # not `request.url`, which reads the Host header and raises where it has no port
    if error.status_code == HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
        limit = request.route_handler.resolve_request_max_body_size()
        said = message("body-too-large-for-route", {"limit_bytes": limit, "path": path})
    elif error.status_code == HTTPStatus.NOT_FOUND:
        said = message("no-such-route", {"path": path})
    elif error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
        said = message("method-not-allowed", {"method": request.method, "path": path})
    elif error.status_code == HTTPStatus.BAD_REQUEST and isinstance(error.extra, list):  # parameters of the address
        faults = [invalid(f"/{one['key']}", one["message"], None) for one in error.extra]
        return problem(
            400,
            message("query-does-not-fit", {"num_faults": len(faults)}),
            language_of(request),
            faults,
            len(faults),
            path=path,
        )
    else:
        said = message("request-refused", {"reason": error.detail})
    return problem(error.status_code, said, language_of(request), headers=dict(error.headers or {}), path=path)


def answer_bug(request: Request[Any, Any, Any], error: Exception) -> Response[bytes]:
    """Answer what we did not foresee; the text of the error may hold a ticket's words and stays here."""
    bug = type(error).__name__
    log.exception("bug in %s %s: %s%s", request.method, request.scope["path"], bug, _asked_as(request), exc_info=error)
    request_id = request.scope["state"].get("request_id")
    said = message("internal-error", {"request_id": request_id})
    return problem(500, said, language_of(request), path=request.scope["path"])


def _asked_as(request: Request[Any, Any, Any] | None) -> str:
    """Return the words of a log line that say which request it was; a client finds the same id in its answer."""
    request_id = request.scope["state"].get("request_id") if request is not None else None
    return f" (request {request_id})" if request_id else ""
