"""Call every operation of a client that was generated from the OpenAPI document; run by test_generated.py.

In: the address of a server, the document, and a client on the path of modules. Out: a JSON object, operation -> status
and type of what was read. It runs where the generators are installed, and imports nothing of this project.
"""

import importlib
import inspect
import json
import pkgutil
import sys
import typing

ARGUMENTS = {
    "name": "puppet-o2",
    "version": 1,
    "job_id": "0" * 32,
    "correction_id": "t-1",
    "item_id": "t-1",
    "type_": "no-token",
}
LAST = ("rollback", "delete_version", "delete_model")  # what the others need is there until then


def body_of(operation: typing.Any, hint: typing.Any) -> typing.Any:
    """Return the documented example of a body as the first type of the client that takes it."""
    (content,) = [one for kind, one in operation["requestBody"]["content"].items() if kind == "application/json"]
    example = next(iter(content["examples"].values()))["value"]
    types = [one for one in (typing.get_args(hint) or (hint,)) if hasattr(one, "from_dict")]
    for type_ in types:
        try:
            found = type_.from_dict(example)
            if found.to_dict() == example:
                return found
        except (KeyError, TypeError, AttributeError):
            continue
    raise AssertionError(f"no type takes {example}")


def main(address: str, document: str) -> None:
    """Call each operation once."""
    with open(document) as file:
        operations = {
            operation["operationId"]: operation
            for methods in json.load(file)["paths"].values()
            for operation in methods.values()
        }
    # Not at the top: the test has made them, and who only looks for doctests here has none.
    client = importlib.import_module("generated").Client(base_url=address)
    names = [found.name for found in pkgutil.iter_modules(importlib.import_module("generated.api.default").__path__)]
    said = {}
    for name in sorted(names, key=lambda name: (LAST.index(name) + 1 if name in LAST else 0, name)):
        call = importlib.import_module(f"generated.api.default.{name}").sync_detailed
        hints = typing.get_type_hints(call)
        needed = {key: one for key, one in inspect.signature(call).parameters.items() if key != "client"}
        given = {key: ARGUMENTS[key] for key in needed if key in ARGUMENTS}
        if "body" in needed:
            given["body"] = body_of(operations[name], hints["body"])
        response = call(client=client, **given)
        said[name] = [int(response.status_code), type(response.parsed).__name__]
    print(json.dumps(said))


if __name__ == "__main__":
    main(*sys.argv[1:])
