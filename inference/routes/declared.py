"""What follows from what a route declares: its role and the limit of its body are each stated once.

    @post("/test", opt=access.SEARCH, body_limits=("test_body_bytes",))
             role ─► who may call it (access.py), and the tokens that the OpenAPI document names for it
      body_limits ─► the settings of which the largest bounds its body; without it the application's own limit does

Routes are declared on classes, before there are settings; so what depends on settings is filled in here, when Litestar
registers a route, and also for a route that is registered later.
"""

from litestar import Controller
from litestar.handlers import BaseRouteHandler
from litestar.plugins import ReceiveRoutePlugin
from litestar.routes import BaseRoute, HTTPRoute

from inference.routes.access import Gate
from inference.routes.openapi import token_needed
from inference.settings import Settings


class Routes(Controller):
    """Routes of one subject, one method each. The document shows them as they are written; Litestar sorts by name."""

    def get_route_handlers(self) -> list[BaseRouteHandler]:
        """Return a copy of each handler, in the order of the class."""
        written = list(vars(type(self)))
        return sorted(super().get_route_handlers(), key=lambda handler: written.index(handler.handler_name))


class Declared(ReceiveRoutePlugin):
    """Fill in the `security` and the limit of the body of each route that is registered."""

    def __init__(self, settings: Settings, gate: Gate) -> None:
        self._settings = settings
        self._gate = gate

    def receive_route(self, route: BaseRoute) -> None:
        """Take a route; Litestar reads what is set here at its first request, or when it writes the document.

        Raises:
            AttributeError: a route names a limit that is not a setting.
        """
        if not isinstance(route, HTTPRoute):  # nobody serves anything else
            return
        for handler in route.route_handlers:
            # Litestar's own `security` would be a second statement of the role, which could differ from the guard's.
            handler.security = token_needed(self._gate, handler.opt.get("role"))
            limits = handler.opt.get("body_limits", ())
            if limits:
                handler.request_max_body_size = max(getattr(self._settings, limit) for limit in limits)
